"""`metal lab up --engine machines` as a person types it; it goes without a trace."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from metal.lab.machines.lab import why_not

pytestmark = pytest.mark.lab


def metal(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "metal", *words]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    if why := why_not():
        pytest.skip(why)
    lab = tmp_path / "lab"
    done = metal("lab", "up", "--engine", "machines", str(lab))
    assert done.returncode == 0, done.stderr
    yield lab
    metal("lab", "down", str(lab))


def left_of(folder: Path, wire: str) -> list[str]:
    """Processes, namespaces and cables."""
    words = ["ps", "-wweo", "args"], ["ip", "netns", "list"], ["ip", "-br", "link"]
    said = [subprocess.run(w, capture_output=True, text=True).stdout for w in words]
    marks = (str(folder), wire, f"door{wire.rpartition('-')[2]}")
    return [line for text in said for line in text.splitlines() if any(m in line for m in marks)]


@pytest.mark.parametrize("killed", [False, True])
def test_up_switched_on_and_gone(folder: Path, killed: bool) -> None:
    mark = json.loads((folder / "lab" / "machines.json").read_text())
    told = json.loads(metal("-o", "json", "lab", "status", str(folder)).stdout)
    assert {m["firmware"] for m in told["machines"].values()} == {"BIOS", "UEFI", "UEFI, TPM"}

    done = metal("-C", str(folder), "power", "on", "tpm")
    assert done.returncode == 0, done.stderr
    told = json.loads(metal("-o", "json", "lab", "status", str(folder)).stdout)
    assert told["machines"]["tpm"]["power"].startswith("power on")
    deadline = time.monotonic() + 30
    while not any("qemu-system" in line for line in left_of(folder, mark["wire"])):
        assert time.monotonic() < deadline, (folder / "lab" / "tpm" / "qemu.log").read_text()

    done = metal("lab", "break", "tpm", "dead", str(folder))
    assert done.returncode == 2 and "power off tpm" in done.stderr
    if killed:
        os.kill(mark["daemon"], signal.SIGKILL)
    assert metal("lab", "down", str(folder)).returncode == 0
    assert left_of(folder, mark["wire"]) == [] and not folder.exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    done = metal("lab", "up", "--engine", "machines", str(tmp_path))
    assert done.returncode != 0 and "not empty" in done.stderr
    assert (tmp_path / "mine").read_text() == "kept"
