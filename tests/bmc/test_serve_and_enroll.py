"""`metal lab bmc` in one process, `metal enroll --dry-run` in another, outside of any workspace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .lawful import assert_lawful

REPOSITORY = Path(__file__).resolve().parents[2]
TREES = REPOSITORY / "../shared/bmc/redfish"
NAMES = sorted(p.parent.name for p in TREES.glob("*/tree.json"))
pytestmark = pytest.mark.skipif(not NAMES, reason="no recorded machines beside the repository")
LOGIN = {"METAL_BMC_USER": "donor", "METAL_BMC_PASSWORD": "only-for-this-test"}


def metal(*words: str, folder: Path) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("METAL_")}
    return subprocess.Popen(
        [sys.executable, "-m", "metal", *words],
        cwd=folder,
        env=environment | LOGIN | {"PYTHONPATH": str(REPOSITORY), "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(served: subprocess.Popen[str]) -> dict[str, Any]:
    """The JSON object that a process printed first; it goes on running."""
    assert served.stdout
    lines = []
    for line in served.stdout:
        lines.append(line)
        if line.rstrip() == "}":
            break
    found: dict[str, Any] = json.loads("".join(lines))
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """name → ADDRESS:PORT of each recorded machine."""
    folder = tmp_path_factory.mktemp("served")
    running = {
        name: metal(
            "lab", "bmc", "--tree", str(TREES / name / "tree.json"), "-o", "json", folder=folder
        )
        for name in NAMES
    }
    places = {name: told(process) for name, process in running.items()}
    yield {name: f"{place['address']}:{place['port']}" for name, place in places.items()}
    for process in running.values():
        process.send_signal(signal.SIGTERM)
    for process in running.values():
        process.communicate()
        assert process.returncode == 0


def test_all_of_them_in_one_command(served: dict[str, str], tmp_path: Path) -> None:
    """One object a server: the Cray has two. Nothing is written anywhere."""
    process = metal("enroll", "--dry-run", "-o", "json", *served.values(), folder=tmp_path)
    out, err = process.communicate()
    assert process.returncode == 0, err
    documents = json.loads(out)
    wanted = []
    for name in served:
        known = json.loads((TREES / name / "expected.json").read_text())
        systems = [known, *known["other_systems"]]
        wanted += [(known["vendor"], s["model"], s["serial"], s["uuid"]) for s in systems]
    told = [(d["vendor"], d["model"], d["serial"], d["uuid"]) for d in documents]
    assert sorted(told, key=str) == sorted(wanted, key=str)
    for document in documents:
        assert "refused" not in document
        assert_lawful(document)
    assert list(tmp_path.iterdir()) == []
    assert LOGIN["METAL_BMC_PASSWORD"] not in out + err


def test_a_refusal_has_its_reason_and_stops_nobody(served: dict[str, str], tmp_path: Path) -> None:
    switch = tmp_path / "switch.json"
    root = "/redfish/v1"
    systems = {"@odata.id": f"{root}/Systems"}
    switch.write_text(json.dumps({f"{root}/": {"Systems": systems, "Product": "Switch"},
                                  f"{root}/Systems": {"Members": []}}))  # fmt: skip
    process = metal("lab", "bmc", "--tree", str(switch), "-o", "json", folder=tmp_path)
    try:
        place = told(process)
        words = [f"127.0.0.1:{place['port']}", served[NAMES[-1]], "127.0.0.1:1"]
        asked = metal("enroll", "--dry-run", "-o", "json", *words, folder=tmp_path)
        out, _ = asked.communicate()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
    refused, server, nobody = json.loads(out)
    assert "no server behind it" in refused["refused"] and refused["exit_code"] == 3
    assert server["model"] and nobody["exit_code"] == 4
    assert asked.returncode != 0
