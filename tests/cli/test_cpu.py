"""`metal cpu`, and moves that the hypervisor says would fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metal.controller.balancing import balance_plan
from metal.controller.preflight import cleared
from metal.controller.processors import processors
from metal.controller.workspace import Workspace
from metal.model.errors import Refused, Unreachable
from metal.model.hypervisor import HostResources
from metal.model.life import Life
from metal.model.world import SeenCluster, SeenServer, SeenVm, World

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "charity"
V2 = ("cx16", "popcnt", "ssse3", "sse4_1", "sse4_2", "aes")
VMS = ("forum", "blog", "shop", "tickets", "survey", "pads")


class Host:
    """Of a hypervisor only what is asked here."""

    def __init__(self, cpus: dict[str, Any], stuck: dict[int, tuple[str, ...]]) -> None:
        self.cpus, self.stuck = cpus, stuck

    def resources(self, node: str) -> HostResources:
        if node not in self.cpus:
            raise Unreachable("no answer", where=node)
        name, flags = self.cpus[node]
        return HostResources(
            threads=8, memory_mib=1, memory_free_mib=1, version="v", cpu=name, flags=flags
        )

    def obstacles(self, vmid: int, target: str) -> tuple[str, ...]:
        return self.stuck.get(vmid, ())


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host({}, {})
    monkeypatch.setattr(Workspace, "hypervisor", lambda self, cluster: host)
    return host


def test_the_charitys_processors_are_golden(metal, golden) -> None:
    said = metal("-C", str(EXAMPLE), "cpu")
    assert said.code == 0, said.err
    golden("cpu.txt", said.out)
    rows = json.loads(metal("-C", str(EXAMPLE), "cpu", "-o", "json").out)
    assert [r["common"] for r in rows] == ["Broadwell", None, None, None]


def test_a_host_that_tells_its_flags_is_believed(workspace: Path, hosts: Host) -> None:
    hosts.cpus |= {
        "bora1": ("Intel Xeon Silver 4116", ()),
        "bora2": ("AMD EPYC 7302P 16-Core Processor", ()),
        "bora3": ("Intel Xeon E5-2640 v4", V2),
    }
    found = {c.cluster: c for c in processors(Workspace.open(workspace), World(), ask=True)}
    bora = found["bora"]
    assert [p.newest for p in bora.servers] == ["Skylake-Server", "EPYC-Rome", "x86-64-v2-AES"]
    assert (bora.newest, bora.usual) == ("x86-64-v2-AES", True)
    assert found["alba"].newest is None and "no answer" in found["alba"].servers[0].by


@pytest.fixture
def crowded(workspace: Path) -> tuple[Workspace, World]:
    """Six VMs on alba1, whose servers have 64 GiB each."""
    known = "\n[servers.alba{}.learned]\nmemory_gib = 64\nthreads = 24\n"
    inventory = workspace / "inventory.toml"
    disks = 'disks = [{ name = "sda", size_gib = 223 }, { name = "sdb", size_gib = 894 }]\n'
    told = "".join(known.format(n) + disks for n in (1, 2, 3))
    inventory.write_text(inventory.read_text() + told)
    up = SeenServer(life=Life.MEMBER, power="on", health="ok", node="online")
    servers = ("alba1", "alba2", "alba3")
    world = World(
        servers=dict.fromkeys(servers, up),
        clusters={"alba": SeenCluster(formed=True, quorate=True, nodes=servers)},
        vms={
            vm: SeenVm(vmid=100 + n, cluster="alba", server="alba1", state="running")
            for n, vm in enumerate(VMS)
        },
    )
    return Workspace.open(workspace), world


def test_who_would_not_get_through_stays_and_others_go(
    crowded: tuple[Workspace, World], hosts: Host
) -> None:
    workspace, world = crowded
    free, _ = balance_plan(workspace, world, ask=True)
    stuck = free.actions[0]
    assert stuck.kind == "migrate"
    hosts.stuck[stuck.vmid] = ("alba2 has no bridge vmbr9",)
    plan, _ = balance_plan(workspace, world, ask=True)
    gone = {a.vm for a in plan.actions if a.kind == "migrate"}
    assert stuck.vm not in gone and len(gone) == len(free.actions)
    assert plan.warnings == (f"{stuck.vm} stays: alba2 has no bridge vmbr9",)
    assert balance_plan(workspace, world)[0].actions == free.actions, "nobody was asked"


def test_a_plan_with_a_move_that_would_fail_is_refused(
    crowded: tuple[Workspace, World], hosts: Host
) -> None:
    workspace, world = crowded
    plan, _ = balance_plan(workspace, world)
    assert cleared(workspace, plan) is plan
    move = plan.actions[0]
    assert move.kind == "migrate"
    hosts.stuck[move.vmid] = ("it has no storage fast",)
    with pytest.raises(Refused, match=f"1 of 4 moves would fail:\n  {move.vm} to .*fast"):
        cleared(workspace, plan)
