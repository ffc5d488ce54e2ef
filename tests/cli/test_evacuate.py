"""`metal evacuate` of the charity's example, from its recorded world."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from metal.controller.erasures import keep
from metal.controller.workspace import Workspace
from metal.model.erasure import Erasure

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "charity"
GENOA = 'donor = { name = "Cooperativa Lanterna", contact = "rete@lanterna.example.org", '


@pytest.fixture
def charity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Genoa is given back, its disks erased; the words that name workspace and world: short ones,
    for commands are folded as they are typed here."""
    monkeypatch.chdir(tmp_path)
    folder = Path("charity")
    shutil.copytree(EXAMPLE, folder)
    inventory = folder / "inventory.toml"
    assert GENOA in inventory.read_text()
    terms = GENOA + 'returns = "wiped", '
    inventory.write_text(inventory.read_text().replace(GENOA, terms))
    return "-C", str(folder), "--world", str(folder / "running.json"), "--from", "2027-01-10"


def evacuate(metal: Callable[..., object], charity: tuple[str, ...], name: str, *more: str):
    return metal(*charity[:2], "evacuate", name, *charity[2:], *more)


def test_a_site_is_golden(metal, golden, charity: tuple[str, ...]) -> None:
    said = evacuate(metal, charity, "genoa", "--mbit", "200")
    assert said.code == 0, said.err
    golden("evacuate.txt", said.out)


def test_what_cannot_go_is_golden(metal, golden, charity: tuple[str, ...]) -> None:
    said = evacuate(metal, charity, "lisbon")
    assert said.code == 1, said.err
    golden("evacuate-stranded.txt", said.out)


def test_too_late_ends_with_one(metal, charity: tuple[str, ...]) -> None:
    said = evacuate(metal, charity, "cima", "--mbit", "10", "--by", "2027-01-11", "-o", "json")
    document = json.loads(said.out)
    assert said.code == 1 and document["late"] and not document["stranded"]
    assert document["moves"][0]["begins"] == "2027-01-10T00:00:00"


def test_an_unknown_name_is_bad_input(metal, charity: tuple[str, ...]) -> None:
    said = evacuate(metal, charity, "geneva")
    assert (said.code, "genoa" in said.err) == (2, True)


def test_what_was_erased_is_no_longer_owed(metal, charity: tuple[str, ...]) -> None:
    def owed() -> dict[str, list[str]]:
        rows = json.loads(evacuate(metal, charity, "genoa", "-o", "json").out)["hand_back"]
        return {row["server"]: row["unwiped"] for row in rows}

    before = owed()
    record = Erasure(
        fleet="f", donor="d", contact="c", site="genoa", server="cima1", server_model="",
        server_serial=None, disk_model=None, disk_serial="sda", disk_bytes=None, result="erased",
        method="zero", recorded="2027-01-09T00:00:00Z", by="ana", operation=1,
    )  # fmt: skip
    workspace = Workspace.open(Path(charity[1]))
    keep(workspace, record)
    keep(workspace, record.model_copy(update={"disk_serial": "sdb", "result": "not erased"}))
    assert before["cima1"] == ["sda", "sdb", "sdc"]
    assert owed() == before | {"cima1": ["sdb", "sdc"]}
