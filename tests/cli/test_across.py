"""`metal balance --across` in a world where cima's VMs have grown: no network, no hypervisor."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GROWN_GIB = {"ci": 20, "pads": 20, "ci-runner3": 20, "db3": 20}
"""Of cima, by somebody in Proxmox."""


@pytest.fixture
def grown(tmp_path: Path) -> tuple[Path, Path]:
    """(workspace, recorded world) of the charity."""
    folder = tmp_path / "charity"
    shutil.copytree(ROOT / "examples" / "charity", folder)
    world = json.loads((folder / "running.json").read_text())
    for vm, gib in GROWN_GIB.items():
        world["vms"][vm]["memory_mib"] = gib * 1024
    file = tmp_path / "grown.json"
    file.write_text(json.dumps(world))
    return folder, file


@pytest.fixture
def said(
    grown: tuple[Path, Path], metal: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., object]:
    monkeypatch.chdir(grown[0])
    return lambda *words: metal("balance", "--across", "--world", str(grown[1]), *words)


def test_moves_between_clusters_are_golden_and_on_the_page(
    said: Callable[..., object], golden: Callable[..., None]
) -> None:
    shown = said()
    assert shown.code == 10, shown.err
    golden("across.txt", shown.out)
    page = (ROOT / "docs" / "schedule.md").read_text()
    assert f"$ metal balance --across --world grown.json\n{shown.out}```" in page


def test_a_budget_of_one_says_how_many_are_left(said: Callable[..., object]) -> None:
    shown = said("--moves", "1")
    assert shown.code == 10 and "1 of them may go today" in " ".join(shown.out.split())


def test_the_document_has_the_calls(said: Callable[..., object]) -> None:
    found = json.loads(said("-o", "json").out)
    assert found["calls"] == [
        f"metal move {t['vm']} {t['target'][0]} --to {t['target'][1]}" for t in found["transfers"]
    ]
    assert [c["cluster"] for c in found["clusters"]] == ["cima"]


def test_where_all_survive_nothing_moves(
    grown: tuple[Path, Path], metal: Callable[..., object]
) -> None:
    world = str(grown[0] / "running.json")
    shown = metal("-C", str(grown[0]), "balance", "--across", "--world", world)
    assert (shown.code, "nothing to move" in shown.out) == (0, True)


@pytest.mark.parametrize("word", [("--apply",), ("--out", "plan.json")])
def test_what_makes_no_sense_is_told(said: Callable[..., object], word: tuple[str, ...]) -> None:
    shown = said(*word)
    assert (shown.code, f"leave {word[0]}" in shown.err) == (2, True)


def test_balance_names_the_way_out(grown: tuple[Path, Path], metal: Callable[..., object]) -> None:
    shown = metal("-C", str(grown[0]), "balance", "--world", str(grown[1]))
    text = " ".join(shown.out.split())
    assert "cima3 may not die, and no moves inside cima" in text
    assert "balance --across` looks beyond it" in text


def test_who_does_not_answer_is_not_said_to_survive(
    said: Callable[..., object], grown: tuple[Path, Path]
) -> None:
    grown[1].write_text("{}")
    shown = said()
    assert shown.code == 0, shown.err
    assert "nobody answers of alba, bora, cima" in shown.out and "Every cluster" not in shown.out
