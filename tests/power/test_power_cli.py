"""`metal power`, `metal boot`, `metal media`: the real command against a rack on loopback."""

from __future__ import annotations

import getpass
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from metal.model.life import Life
from metal.model.world import SeenVm, World

pytestmark = pytest.mark.skipif(
    not Path("/usr/sbin/fence_dummy").exists(), reason="fence-agents is not installed"
)
REFUSED, UNREACHABLE = 3, 4


def waiting(rack: Any) -> list[Any]:
    with rack.workspace.store as store:
        return list(store.requests.waiting())


def asked(rack: Any, running: Any) -> Any:
    """The request, as soon as the command that runs asks somebody."""
    pause, deadline = threading.Event(), time.monotonic() + 30
    while not (found := waiting(rack)):
        assert running.poll() is None, running.stderr.read()
        assert time.monotonic() < deadline
        pause.wait(0.05)
    return found[0]


def test_each_is_read_by_its_own_switch(rack: Any) -> None:
    said = rack.metal("power", "status", "--all", "-o", "json")
    assert said.returncode == 0, said.stderr
    read = {s["server"]: (s["power"], s["by"]) for s in json.loads(said.stdout)}
    assert read == {
        "alba1": ("off", "its BMC"),
        "alba2": ("on", "fence_dummy at 127.0.0.9"),
        "alba3": ("unknown", "a person at the rack"),
    }


def test_on_and_off_side_by_side(rack: Any) -> None:
    said = rack.metal("power", "on", "alba1", "alba2")
    assert said.returncode == 0, said.stderr
    assert (rack.machine.power, rack.plug.read_text()) == ("on", "on")
    assert rack.metal("power", "off", "alba1", "alba2").returncode == REFUSED, "nobody was asked"
    said = rack.metal("power", "off", "alba1", "alba2", "--yes")
    assert said.stdout.splitlines()[1].split()[:2] == ["alba1", "off"]
    assert (rack.machine.power, rack.plug.read_text()) == ("off", "off")


def test_a_cycle_is_off_and_on_and_soft_is_the_bmcs_alone(rack: Any) -> None:
    rack.machine.power_on()
    assert rack.metal("power", "cycle", "alba1", "--yes").returncode == 0
    assert (rack.machine.power, rack.machine.power_ons) == ("on", 2)
    said = rack.metal("power", "soft", "alba1", "alba2", "--yes", "-o", "json")
    assert said.returncode == REFUSED, "alba2 has no BMC that could be asked"
    assert {s["server"]: s["ok"] for s in json.loads(said.stdout)} == {
        "alba1": True,
        "alba2": False,
    }
    assert (rack.machine.power, rack.plug.read_text()) == ("off", "on")


def test_one_that_fails_does_not_stop_the_other(rack: Any) -> None:
    rack.plug.unlink()
    rack.plug.mkdir()
    said = rack.metal("power", "on", "alba2", "alba1", "-o", "json")
    assert said.returncode != 0
    assert {s["server"]: s["ok"] for s in json.loads(said.stdout)} == {
        "alba2": False,
        "alba1": True,
    }
    assert rack.machine.power == "on"


def test_what_something_depends_on_is_left_alone(rack: Any) -> None:
    vm = SeenVm(vmid=100, cluster="alba1", server="alba1", state="running")
    with rack.workspace.store as store:
        for life in (Life.ENROLLED, Life.INSTALLED, Life.MEMBER):
            store.servers.move("alba1", life)
        store.looks.save(World(vms={"wiki": vm}).model_dump_json())
        operation = store.journal.open("drain", "drain:alba1", ["server alba1"], {})
    rack.machine.power_on()
    boot = ("boot", "alba1", "--from", "network", "--now")
    for words in (*(("power", how, "alba1") for how in ("off", "cycle", "soft")), boot):
        said = rack.metal(*words, "--yes")
        assert said.returncode == REFUSED and rack.machine.power == "on"
        for reason in (f"operation {operation.id} (drain) is open", "member of cluster alba1",
                       "1 VMs ran on it at the last look: wiki"):  # fmt: skip
            assert reason in said.stderr
    assert rack.metal("power", "off", "alba1", "--yes", "--force").returncode == 0
    assert rack.machine.power == "off"


def test_a_person_is_asked_and_answers_from_another_terminal(rack: Any) -> None:
    running = rack.begin("power", "off", "alba3", "--yes")
    asked(rack, running)
    shown = rack.metal("power", "waiting").stdout
    assert "press the power button of alba3 (rack L2, U14) until its light is off" in shown
    wrong = rack.metal("power", "confirm", "alba3", "on")
    assert wrong.returncode == REFUSED and "to be switched off, not on" in wrong.stderr
    assert rack.metal("power", "confirm", "alba1", "off").returncode == REFUSED
    assert rack.metal("power", "confirm", "alba3", "off").returncode == 0
    out, _ = running.communicate(timeout=30)
    assert running.returncode == 0 and "a person at the rack" in out
    assert waiting(rack) == []


def test_a_person_who_cannot(rack: Any) -> None:
    running = rack.begin("power", "on", "alba3")
    asked(rack, running)
    assert rack.metal("power", "cannot", "alba3", "--why", "no key").returncode == 0
    _, err = running.communicate(timeout=30)
    assert running.returncode == 1
    assert f"{getpass.getuser()} cannot switch it on: no key" in err


def test_interrupted_it_asks_nobody_any_more(rack: Any) -> None:
    running = rack.begin("power", "on", "alba3")
    asked(rack, running)
    running.send_signal(2)
    running.communicate(timeout=30)
    assert running.returncode == 130 and waiting(rack) == []


def test_the_next_boot_is_told_as_read_back(rack: Any) -> None:
    said = rack.metal("boot", "alba1", "--from", "network", "--mode", "uefi", "-o", "json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["device"] == rack.machine.boot_once == "network"
    assert rack.metal("boot", "alba1", "--from", "network", "--now", "--yes").returncode == 0
    assert rack.machine.power == "on"


def test_an_image_goes_in_and_out(rack: Any) -> None:
    said = rack.metal("media", "insert", "alba1", "http://127.0.0.1:1/debian.iso", "-o", "json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["slot"]
    assert rack.metal("media", "eject", "alba1").returncode == 0


def test_a_plugs_password_is_in_escrow_only(rack: Any, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hunter2-community\n")
    assert rack.metal("power", "password", "alba2", "--from", str(file)).returncode == 0
    assert rack.workspace.secrets.reveal("power/alba2") == "hunter2-community"
    for kept in rack.folder.rglob("*"):
        assert not kept.is_file() or b"hunter2" not in kept.read_bytes()


def test_a_server_that_was_meant(rack: Any) -> None:
    said = rack.metal("power", "status", "alba")
    assert said.returncode == 2 and "did you mean" in said.stderr


def test_a_dark_bmc_is_explained_by_its_plug(rack: Any) -> None:
    from metal.controller.look import look

    workspace = rack.workspace
    workspace.store.servers.move("alba2", Life.ENROLLED)
    rack.plug.write_text("off")
    assert look(workspace).servers["alba2"].power == "off"
    rack.plug.unlink()
    rack.plug.mkdir()
    workspace.store.close()
