"""`metal donors`, and terms that an inventory contradicts itself in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

BERLIN = 'donor = { name = "Netzgarten eG", contact = "technik@netzgarten.example.org", '


@pytest.fixture
def terms(looked: Path) -> Path:
    """Berlin lends on strict terms."""
    inventory = looked / "inventory.toml"
    text = inventory.read_text()
    strict = (
        "units = 2, watts = 900, traffic_gb = 5000, mbit = 200, addresses = 4, notice_days = 90, "
    )
    assert BERLIN in text
    text = text.replace(BERLIN, BERLIN + strict + 'returns = "wiped", ')
    inventory.write_text(text)
    return looked


def test_donors_are_golden(
    terms: Path, metal: Callable[..., object], golden: Callable[..., None], tmp_path: Path
) -> None:
    world = tmp_path / "world.json"
    world.write_text(metal("-C", str(terms), "look", "--last", "-o", "json").out)
    said = metal("-C", str(terms), "donors", "--world", str(world))
    assert said.code == 0, said.err
    golden("donors.txt", said.out)
    rows = json.loads(metal("-C", str(terms), "donors", "--world", str(world), "-o", "json").out)
    berlin = next(r for r in rows if r["site"] == "berlin")
    assert berlin["notice_by"] == "2028-10-02" and "3 U used, 2 lent" in berlin["beyond"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("watts = 0", "`watts` is 0"),
        ("wats = 5", "watts"),
        ('returns = "clean"', "`returns` cannot be 'clean'"),
        ("addresses = 2", "the pool has 4 addresses, but Netzgarten eG lends 2"),
    ],
)
def test_wrong_terms_are_named_at_their_line(
    workspace: Path, metal: Callable[..., object], word: str, said: str
) -> None:
    inventory = workspace / "inventory.toml"
    text = inventory.read_text()
    inventory.write_text(text.replace(BERLIN, f"{BERLIN}{word}, "))
    lines = inventory.read_text().splitlines()
    at = 1 + next(n for n, line in enumerate(lines) if line.startswith(BERLIN))
    found = metal("-C", str(workspace), "check")
    assert found.code == 2 and said in found.err
    near = (f"inventory.toml:{at}:", f"inventory.toml:{at + 1}:")
    assert any(place in found.err for place in near)
