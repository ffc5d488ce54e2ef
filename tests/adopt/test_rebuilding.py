"""`metal rebuild`: alba burns, and its VMs come back in bora from their backups."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metal.controller.look import look
from metal.controller.progress import silent
from metal.controller.rebuilding import begun, carry_out, order_of, planned, refuse_alive
from metal.controller.running import resume_run
from metal.controller.workspace import Workspace
from metal.drivers.proxmox import Proxmox
from metal.model.errors import BadInput, Failed, Refused
from metal.model.life import Status

from . import test_evacuating as evacuating

fleet, twice, run = evacuating.fleet, evacuating.twice, evacuating.run
OLD = evacuating.NAMES[:3]
PBS = {"type": "pbs", "server": "10.9.9.9", "datastore": "far", "content": "backup"}


class Killed(BaseException):
    """The process dies here."""


@pytest.fixture
def burnt(fleet: Any, workspace: Workspace) -> Any:
    """git was backed up twice, web never, and then alba lost its power for good."""
    with fleet.datacenter.present() as nodes:
        for name in ("alba1", "bora1"):
            nodes[name].cluster.storages["far"] = {"storage": "far", **PBS}
    alba = workspace.proxmox("alba")
    for _ in range(2):
        asked = {"vmid": "101", "storage": "far", "mode": "snapshot"}
        alba._api.run("nodes/alba1/vzdump", asked | {"notes-template": "{{guestname}}"})
    for name in OLD:
        fleet.datacenter.power_off(name)
    return fleet


def states(fleet: Any) -> dict[str, list[str]]:
    """What runs in bora → where."""
    return {
        v["name"]: v["copies"]
        for v in fleet.datacenter.truth()["vms"]
        if v["node"].startswith("bora")
    }


def test_the_plan_names_what_comes_back_and_what_is_missing(
    burnt: Any, workspace: Workspace
) -> None:
    workspace.secrets.escrow("disk/alba2", "a key", controller=False)
    told = run(workspace, "rebuild", "home", "-o", "json")
    assert told.exit_code == 1, told.output
    document = json.loads(told.stdout)
    (git,) = document["back"]
    assert (git["vm"], git["cluster"]) == ("git", "bora")
    assert git["backup"]["name"].endswith("0001.vma.zst"), "the newest"
    assert "bora reaches no backup of it" in document["lacks"]["web"]
    keys = {row["server"]: row["key_escrowed"] for row in document["servers"]}
    assert keys == {"alba1": False, "alba2": True, "alba3": False}
    assert states(burnt) == {}
    text = run(workspace, "rebuild", "home").stdout
    assert "home is gone: 2 VMs were there, 1 can be brought back" in text
    assert "MISSING web" in text


def test_a_recorded_world_tells_of_backups_or_says_that_nobody_knows(
    burnt: Any, workspace: Workspace, tmp_path: Path
) -> None:
    live = json.loads(run(workspace, "rebuild", "home", "-o", "json").stdout)
    file = tmp_path / "world.json"
    file.write_text(run(workspace, "look", "--backups", "-o", "json").stdout)
    again = run(workspace, "rebuild", "home", "--world", str(file), "-o", "json")
    assert json.loads(again.stdout) == live
    file.write_text(run(workspace, "look", "-o", "json").stdout)
    unasked = run(workspace, "rebuild", "home", "--world", str(file), "-o", "json")
    document = json.loads(unasked.stdout)
    assert (unasked.exit_code, document["back"]) == (1, [])
    assert "bora may reach a backup of it" in document["lacks"]["git"]
    assert "metal look --backups" in document["silent_storages"]["bora"]


@pytest.mark.parametrize(
    ("sign", "why"),
    [
        ({"size": 0}, "it is empty"),
        ({"verification": {"state": "failed", "upid": "UPID:pbs"}}, "its verification says failed"),
    ],
)
def test_a_backup_that_cannot_be_read_is_passed_over(
    burnt: Any, workspace: Workspace, sign: dict[str, Any], why: str
) -> None:
    first, second = (f"backup/vzdump-qemu-101-000{n}.vma.zst" for n in (0, 1))
    signs = burnt.datacenter.backup_signs
    signs[first] = {"verification": {"state": "ok", "upid": "UPID:pbs"}}
    signs[second] = sign
    (git,) = json.loads(run(workspace, "rebuild", "home", "-o", "json").stdout)["back"]
    assert (git["backup"]["name"], git["backup"]["verified"]) == (first, True)
    signs[first] = sign
    document = json.loads(run(workspace, "rebuild", "home", "-o", "json").stdout)
    assert document["back"] == [] and f"{second} on far: {why}" in document["lacks"]["git"]


def test_a_storage_that_is_not_active_promises_nothing(burnt: Any, workspace: Workspace) -> None:
    burnt.datacenter.inactive.add("far")
    document = json.loads(run(workspace, "rebuild", "home", "-o", "json").stdout)
    assert document["back"] == []
    assert document["silent_storages"] == {"far of bora": "it is not active"}


def test_it_is_brought_back_once_a_person_says_that_the_old_place_is_gone(
    burnt: Any, workspace: Workspace, twice: list[int]
) -> None:
    refused = run(workspace, "rebuild", "home", "--act", "--yes")
    assert isinstance(refused.exception, Refused)
    assert "nobody says that alba1, alba2, alba3 are off" in str(refused.exception)
    assert not workspace.store.journal.list()
    done = run(workspace, "rebuild", "home", "--act", "--yes", "--i-know-it-is-gone")
    assert done.exit_code == 1, "web is missing"
    assert "git is in bora, on bora" in done.stdout
    ((name, copies),) = states(burnt).items()
    assert name == "git" and len(copies) == 1
    assert not twice
    assert 101 in workspace.proxmox("bora").ha_managed()
    assert 'cluster = "bora"' in (workspace.folder / "inventory.toml").read_text()
    records = workspace.store.servers.all()
    assert {records[s].status for s in OLD} == {Status.HELD}
    assert "lost with home" in records["alba1"].note


def test_what_lives_is_not_rebuilt(fleet: Any, workspace: Workspace) -> None:
    with pytest.raises(Refused, match="it is not gone: alba1: its cluster sees it online"):
        refuse_alive(workspace, look(workspace), "home")
    with pytest.raises(BadInput, match="no such site or cluster"):
        planned(workspace, look(workspace), "hme")


def test_one_killed_on_the_way_goes_on_and_starts_nothing_twice(
    burnt: Any, workspace: Workspace, twice: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = planned(workspace, look(workspace), "home")
    order = order_of(workspace, found, "a test says so")
    start = Proxmox.ensure_started

    def dies(driver: Proxmox, vmid: int) -> None:
        start(driver, vmid)
        raise Killed

    monkeypatch.setattr(Proxmox, "ensure_started", dies)
    with pytest.raises(Killed):
        carry_out(workspace, order, silent)
    monkeypatch.setattr(Proxmox, "ensure_started", start)
    opened = begun(workspace, "home")
    assert opened is not None and opened[0] == order
    resume_run(workspace, opened[1].id, silent)
    assert not twice
    (vm,) = [v for v in burnt.datacenter.truth()["vms"] if v["node"].startswith("bora")]
    assert (vm["name"], vm["starts"]) == ("git", 1)
    assert begun(workspace, "home") is None


def test_nothing_comes_back_while_the_old_place_answers_again(
    burnt: Any, workspace: Workspace
) -> None:
    """It was not gone after all: planned in the dark, asked again before each VM."""
    found, _ = planned(workspace, look(workspace), "home")
    order = order_of(workspace, found, "a test says so")
    seen = look(workspace)
    back = seen.servers["alba1"].model_copy(update={"power": "on"})
    alive = seen.model_copy(update={"servers": seen.servers | {"alba1": back}})
    with pytest.raises(Failed, match="alba1: its BMC reads power on"):
        carry_out(workspace, order, silent, see=lambda: alive)
    assert states(burnt) == {}


def test_another_vm_of_its_number_is_left_alone(burnt: Any, workspace: Workspace) -> None:
    burnt.vm(101, "bora1", name="impostor", running=False)
    found, _ = planned(workspace, look(workspace), "home")
    with pytest.raises(Failed, match="bora has another VM of its number 101: impostor"):
        carry_out(workspace, order_of(workspace, found, "a test says so"), silent)
    assert states(burnt) == {"impostor": []}
