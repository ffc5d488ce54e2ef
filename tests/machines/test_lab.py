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

from metal.inventory import load
from metal.lab.machines.lab import why_not
from metal.lab.topology import REDFISH_PORT

pytestmark = pytest.mark.lab


EXAMPLE = Path(__file__).parents[2] / "inventory.toml"


def metal(*words: str, inside: str = "") -> "subprocess.CompletedProcess[str]":
    """`inside`: the namespace that it is run in."""
    enter = ("ip", "netns", "exec", inside) if inside else ()
    command = [*enter, sys.executable, "-m", "metal", *words]
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


SITE = """
[servers.alba1.learned]
uuid = "30c39b2b-6a0f-4f5e-8a3c-0e4d7f2b9a11"
macs = ["02:00:5e:00:01:01", "02:00:5e:00:01:02"]
disks = [
  { name = "sda", size_gib = 223, serial = "SALBA1SDA" },
  { name = "sdb", size_gib = 3726, serial = "SALBA1SDB" },
]
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """The example's site of three servers, one of which was enrolled."""
    if why := why_not():
        pytest.skip(why)
    mine, lab = tmp_path / "mine", tmp_path / "lab"
    mine.mkdir()
    (mine / "inventory.toml").write_text(EXAMPLE.read_text() + SITE)
    options = ("--engine", "machines", "--site", "lisbon")
    done = metal("-C", str(mine), "lab", "up", *options, str(lab))
    assert done.returncode == 0, done.stderr
    yield lab
    metal("lab", "down", str(lab))


def test_a_site_of_an_own_inventory(own: Path) -> None:
    """Addresses, cards and disks are the inventory's; nothing of it answers outside its wire."""
    mark = json.loads((own / "lab" / "machines.json").read_text())
    told = json.loads(metal("-o", "json", "lab", "status", str(own)).stdout)
    assert told["inside"] == mark["wire"]
    assert {m["address"] for m in told["machines"].values()} == {f"10.11.1.1{n}" for n in "123"}

    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True).stdout
    assert f"door{mark['wire'].rpartition('-')[2]}" not in links, "nothing leads to it from outside"
    ports = {server.bmc.port for server in load(own).servers.values() if server.site == "lisbon"}
    assert ports == {REDFISH_PORT}, "where no real one answers"
    done = metal("-C", str(own), "plan", inside=mark["wire"])
    assert "install Debian trixie on alba1" in done.stdout, done.stderr
    assert "SALBA1SDA" in done.stdout
    done = metal("-C", str(own), "power", "on", "alba1", inside=mark["wire"])
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 60
    while not (qemu := [line for line in left_of(own, mark["wire"]) if "qemu-system" in line]):
        assert time.monotonic() < deadline, (own / "lab" / "alba1-bmc.log").read_text()
    for part in ("mac=02:00:5e:00:01:01", "mac=02:00:5e:00:01:02", "serial=SALBA1SDB"):
        assert part in qemu[0]
    assert metal("lab", "down", str(own)).returncode == 0
    assert left_of(own, mark["wire"]) == [] and not own.exists()


def test_a_site_is_of_whole_machines_and_known(tmp_path: Path) -> None:
    (tmp_path / "inventory.toml").write_text(EXAMPLE.read_text())
    lab = tmp_path / "lab"
    done = metal("-C", str(tmp_path), "lab", "up", "--site", "lisbon", str(lab))
    assert done.returncode == 2 and "--engine machines" in done.stderr
    if not why_not():
        options = ("--engine", "machines", "--site", "atlantis")
        done = metal("-C", str(tmp_path), "lab", "up", *options, str(lab))
        assert done.returncode == 2 and "lisbon" in done.stderr
    assert not lab.exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    done = metal("lab", "up", "--engine", "machines", str(tmp_path))
    assert done.returncode != 0 and "not empty" in done.stderr
    assert (tmp_path / "mine").read_text() == "kept"
