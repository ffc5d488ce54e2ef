"""`metal move`: a VM goes to another cluster of the inventory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from metal.cli.root import metal
from metal.controller.balancing import moved_lately
from metal.controller.look import look
from metal.controller.moving import move, order_of, warnings
from metal.controller.planning import make_plan
from metal.controller.progress import silent
from metal.controller.running import list_runs
from metal.controller.tokens import ensure_token
from metal.controller.workspace import Workspace
from metal.lab.proxmox.datacenter import Datacenter
from metal.model.errors import BadInput, MetalError, Refused
from metal.model.hypervisor import HaPlace
from metal.model.life import Life
from metal.model.world import SeenVm

from .conftest import BARE, NET, PORT, SERVER

NAMES = ("alba1", "alba2", "alba3", "bora1", "bora2", "bora3")
HAS = """[servers.{name}.learned]
memory_gib = 64
threads = 16
disks = [{{ name = "sda", size_gib = 200 }}, {{ name = "sdb", size_gib = 900 }}]
"""
CLUSTERS = """
[clusters.alba]
servers = ["alba1", "alba2", "alba3"]
[clusters.bora]
servers = ["bora1", "bora2", "bora3"]

[vms.git]
size = "small"
cluster = "alba" # its old home
home = ["alba2"]
why = "inside only"
adopted = { vmid = 101, called = "git", addresses = ["10.0.0.5/24"] }
"""


@pytest.fixture
def two(foreign: Any, workspace: Workspace) -> Iterator[Datacenter]:
    """Two clusters with Ceph that metal looks after with tokens of its own; git runs in alba."""
    nodes = foreign(*NAMES)
    nodes.datacenter.put_cluster("alba", NAMES[:3], ceph="vms")
    nodes.datacenter.put_cluster("bora", NAMES[3:], ceph="vms")
    text = BARE.replace("10.1.1.0/24", f"{NET}.0/24").replace("10.1.1.1", f"{NET}.254")
    text = text.replace("[servers]\n[clusters]\n[vms]\n", "")
    for number, name in enumerate(NAMES, 1):
        text += SERVER.format(name=name, address=f"{NET}.{number}", port=PORT)
        text += HAS.format(name=name)
    (workspace.folder / "inventory.toml").write_text(text + CLUSTERS)
    workspace.reload()
    for name in NAMES:
        for life in (Life.ENROLLED, Life.INSTALLED, Life.MEMBER):
            workspace.store.servers.move(name, life)
        workspace.store.servers.pin(name, nodes.pins[name])
        workspace.secrets.escrow(f"root/{name}", "secret-root", controller=True)
    for cluster in ("alba", "bora"):
        ensure_token(workspace, cluster)
    disk = {"scsi0": "vms:vm-101-disk-0,size=20G", "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"}
    nodes.vm(101, "alba1", name="git", onboot=1, **disk)
    yield nodes.datacenter


def run(workspace: Workspace, *words: str) -> Any:
    return CliRunner().invoke(metal, ["-C", str(workspace.folder), *words])


def test_the_command_moves_it_and_writes_it_down(two: Datacenter, workspace: Workspace) -> None:
    done = run(workspace, "move", "git", "bora", "--to", "bora2", "--yes")
    assert done.exit_code == 0, done.output
    assert "git is in bora, on bora2" in done.output
    (vm,) = [vm for vm in two.truth()["vms"] if vm["vmid"] == 101]
    assert (vm["node"], vm["copies"], vm["starts"]) == ("bora2", ["bora2"], 0)
    text = (workspace.folder / "inventory.toml").read_text()
    assert 'cluster = "bora" # its old home' in text
    assert "home = [" not in text
    workspace.reload()
    world = look(workspace)
    assert world.vms["git"].cluster == "bora"
    assert not make_plan(workspace, world).actions
    with pytest.raises(Refused, match="it is in bora already, on bora2"):
        order_of(workspace, world, "git", "bora", None, copy=False)
    again = run(workspace, "move", "git", "bora")
    assert again.exit_code == 0 and "git is in bora already, on bora2" in again.output


def test_it_says_beforehand_what_it_means(two: Datacenter, workspace: Workspace) -> None:
    """And where nobody can be asked, nothing is done."""
    asked = run(workspace, "move", "git", "bora", "--to", "bora2")
    assert isinstance(asked.exception, Refused)
    assert "git (vmid 101) goes from alba to bora, on bora2, its disks to vms" in asked.output
    assert "it runs on while its disks (20 GiB, some 3 min at 1000 Mbit/s) are sent" in (
        " ".join(asked.output.split())
    )
    assert not workspace.store.journal.list(open_only=True)


@pytest.mark.parametrize("way", [(), ("--copy",)])
def test_it_is_planned_for_a_recorded_world_as_for_the_one_that_is_seen(
    two: Datacenter, workspace: Workspace, tmp_path: Path, way: tuple[str, ...]
) -> None:
    file = tmp_path / "world.json"
    file.write_text(run(workspace, "look", "-o", "json").stdout)
    words = ("move", "git", "bora", "--plan", "-o", "json", *way)
    told = run(workspace, *words, "--world", str(file))
    assert told.exit_code == 10, told.output
    plan = json.loads(told.stdout)
    assert (plan["source"], plan["target"], plan["storage"]) == ("alba", "bora", "vms")
    assert any("nobody was asked" in step for step in plan["steps"]) == bool(way)
    if not way:
        seen = run(workspace, *words)
        assert (seen.exit_code, json.loads(seen.stdout)) == (10, plan)
    assert not workspace.store.journal.list(), "nothing was begun"


def test_that_only_root_removes_the_old_one_is_said_beforehand(
    two: Datacenter, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a cluster that was adopted; with the password at hand it is no news."""
    order = order_of(workspace, look(workspace), "git", "bora", None, copy=False)
    said = "only root of alba removes what Proxmox leaves of it there"
    assert said not in " ".join(warnings(workspace, order, 1000))
    for name in NAMES[:3]:
        workspace.secrets.forget(f"root/{name}")
    assert said in " ".join(warnings(workspace, order, 1000))
    done = run(workspace, "move", "git", "bora", "--to", "bora2", "--yes")
    assert done.exit_code != 0 and "METAL_PVE_PASSWORD" in done.output
    monkeypatch.setenv("METAL_PVE_PASSWORD", "secret-root")
    again = run(workspace, "move", "git", "bora", "--yes")
    assert again.exit_code == 0, again.output
    assert [vm["node"] for vm in two.truth()["vms"] if vm["vmid"] == 101] == ["bora2"]


def test_without_a_storage_in_common_a_copy_is_refused(
    two: Datacenter, workspace: Workspace
) -> None:
    world = look(workspace)
    with pytest.raises(Refused, match="no storage for backups is one that alba and bora both"):
        order_of(workspace, world, "git", "bora", None, copy=True)
    workspace.secrets.forget("proxmox/bora")
    with pytest.raises(Refused, match="no storage for backups"):
        order_of(workspace, world, "git", "bora", None, copy=False)


def test_what_makes_no_sense_is_told(two: Datacenter, workspace: Workspace) -> None:
    world = look(workspace)
    for vm, cluster, odd in (("gti", "bora", "no cluster shows"), ("git", "bra", "no cluster bra")):
        with pytest.raises(BadInput, match=odd):
            order_of(workspace, world, vm, cluster, None, copy=False)
    with two.present() as nodes:
        for name in NAMES[3:]:
            nodes[name].memory_mib = 2048
    with pytest.raises(
        Refused, match="bora1 and bora2 and bora3 have not 2048 MiB of memory free now"
    ):
        order_of(workspace, world, "git", "bora", None, copy=False)


def test_the_server_is_one_with_which_every_server_may_still_die(
    two: Datacenter, workspace: Workspace
) -> None:
    """bora2 has the most memory free, and its death could not be survived with git on it."""
    file = workspace.folder / "inventory.toml"
    text = file.read_text()
    where = text.index("[servers.bora2.learned]")
    file.write_text(text[:where] + text[where:].replace("memory_gib = 64", "memory_gib = 512", 1))
    big = """
[vms.big]
size = "small"
cluster = "bora"
memory_gib = 62
why = "fills what may fail over"
"""
    file.write_text(file.read_text() + big)
    workspace.reload()
    full = SeenVm(vmid=300, cluster="bora", server="bora2", state="running", memory_mib=59 * 1024)
    seen = look(workspace)
    world = seen.model_copy(update={"vms": seen.vms | {"big": full}})
    with pytest.raises(Refused, match=r"no place for git: .*death of one server"):
        order_of(workspace, world, "git", "bora", "bora2", copy=False)
    with pytest.raises(BadInput, match="bora has no server alba1"):
        order_of(workspace, world, "git", "bora", "alba1", copy=False)


def test_what_was_begun_goes_on_as_it_was_begun(two: Datacenter, workspace: Workspace) -> None:
    order = order_of(workspace, look(workspace), "git", "bora", "bora3", copy=False)
    two.fill["vms"] = 0.9
    with pytest.raises(MetalError, match="90 % full"):
        move(workspace, order, silent)
    two.fill.clear()
    again = order_of(workspace, look(workspace), "git", "bora", "bora1", copy=False)
    assert again == order
    assert move(workspace, again, silent)["server"] == "bora3"
    assert Path(workspace.folder / "inventory.toml").read_text().count('cluster = "bora"') == 1


CHILD = """
import os, signal, sys
from pathlib import Path
from metal.controller.look import look
from metal.controller.moving import move, order_of
from metal.controller.progress import silent
from metal.controller.running import list_runs
from metal.controller.workspace import Workspace
from metal.drivers.proxmox import between

def send(*_args, **_more):
    os.kill(os.getpid(), signal.SIGKILL)

between.send = send
workspace = Workspace(Path(sys.argv[1]))
move(workspace, order_of(workspace, look(workspace), "git", "bora", None, copy=False), silent)
"""


def test_killed_after_it_left_ha_and_given_up_it_is_in_ha_again(
    two: Datacenter, workspace: Workspace
) -> None:
    api = workspace.proxmox("alba")._api
    api.post("cluster/ha/resources", {"sid": "vm:101", "state": "started", "max_restart": 2})
    home = {"type": "node-affinity", "resources": "vm:101", "nodes": "alba2:1"}
    api.post("cluster/ha/rules", {"rule": "metal-home-101", **home})
    before = workspace.proxmox("alba").ha_place(101)
    killed = subprocess.run([sys.executable, "-c", CHILD, str(workspace.folder)])
    assert killed.returncode == -signal.SIGKILL
    assert workspace.proxmox("alba").ha_place(101) == HaPlace(), "it had left HA"
    (operation,) = list_runs(workspace)
    assert run(workspace, "run", "cancel", str(operation.id)).exit_code == 0
    assert workspace.proxmox("alba").ha_place(101) == before
    assert not list_runs(workspace)


CROWD = """
[vms.{name}]
size = "small"
memory_gib = 2
priority = {priority}
why = "one of three, each on a server that holds one"
adopted = {{ vmid = {vmid}, called = "{name}", addresses = [] }}
"""


@pytest.fixture
def crowded(two: Datacenter, workspace: Workspace) -> Datacenter:
    """alba has a VM on each server, and nowhere may any of them restart."""
    file = workspace.folder / "inventory.toml"
    text = file.read_text()
    for name in NAMES[:3]:
        where = text.index(f"[servers.{name}.learned]")
        text = text[:where] + text[where:].replace("memory_gib = 64", "memory_gib = 19", 1)
    text = text[: text.index("[vms.git]")]
    for number, name in enumerate(("git", "web", "mail")):
        text += CROWD.format(name=name, priority=20 * number, vmid=101 + number)
    for number, name in ((2, "web"), (3, "mail")):
        disk = {"scsi0": f"vms:vm-{100 + number}-disk-0,size=20G"}
        net = {"net0": f"virtio=BC:24:11:00:00:0{number},bridge=vmbr0"}
        has = {"memory": "2048", "cores": 2, "name": name, **disk, **net}
        two.put_guest(f"alba{number}", 100 + number, has, running=True)
    file.write_text(text)
    workspace.reload()
    return two


def test_a_cluster_that_cannot_lose_a_server_is_mended_from_outside(
    crowded: Datacenter, workspace: Workspace
) -> None:
    """`metal balance --across`: the least important goes, once somebody agreed, and no more."""
    shown = run(workspace, "balance", "--across")
    assert shown.exit_code == 10, shown.output
    assert "move git bora --to bora1" in " ".join(shown.output.split())
    asked = run(workspace, "balance", "--across", "--apply")
    assert isinstance(asked.exception, Refused)
    assert not workspace.store.journal.list()
    done = run(workspace, "balance", "--across", "--apply", "--yes")
    assert done.exit_code == 0, done.output
    assert "git is in bora, on bora1" in done.output
    world = look(workspace)
    assert {vm: seen.cluster for vm, seen in world.vms.items()} == {
        "git": "bora",
        "web": "alba",
        "mail": "alba",
    }
    assert moved_lately(workspace) == {"git": 1}
    again = run(workspace, "balance", "--across")
    assert (again.exit_code, "nothing to move" in again.output) == (0, True)
