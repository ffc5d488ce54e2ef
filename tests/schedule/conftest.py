"""Fleets to place VMs on: the charity's, with what enrolment would learn, and small random ones."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from metal.model.fleet import Inventory
from metal.model.life import Life
from metal.model.plan import DescribeVm, PlaceVm, StartVm
from metal.model.world import SeenCluster, SeenServer, SeenVm, World

ROOT = Path(__file__).resolve().parents[2]
TYPICAL = {
    "memory_gib": 64,
    "threads": 24,
    "disks": [{"name": "sda", "size_gib": 223}, {"name": "sdb", "size_gib": 894}],
}


@pytest.fixture(scope="session")
def charity() -> Inventory:
    """inventory.toml; servers of which it says nothing yet are typical ones."""
    document = tomllib.loads((ROOT / "inventory.toml").read_text())
    document["sizes"] = tomllib.loads((ROOT / "profiles/vms.toml").read_text())
    document["profiles"] = {
        file.stem: tomllib.loads(file.read_text())
        for file in (ROOT / "profiles/servers").glob("*.toml")
    }
    for server in document["servers"].values():
        server.setdefault("learned", TYPICAL)
    wanted = {k: v for k, v in document.items() if k in Inventory.model_fields}
    return Inventory.model_validate(wanted)


@pytest.fixture(scope="session")
def formed() -> Callable[..., World]:
    return _formed


def _formed(inventory: Inventory, vms: Mapping[str, SeenVm] | None = None) -> World:
    """Every cluster formed, every server online."""
    return World(
        servers={
            server: SeenServer(life=Life.MEMBER, power="on", health="ok", node="online")
            for server in inventory.servers
        },
        clusters={
            name: SeenCluster(formed=True, quorate=True, nodes=cluster.servers)
            for name, cluster in inventory.clusters.items()
        },
        vms=dict(vms or {}),
    )


@pytest.fixture(scope="session")
def applied() -> Callable[..., World]:
    return _applied


def _applied(world: World, actions: Iterable[PlaceVm | StartVm | DescribeVm]) -> World:
    """The world once the actions were done."""
    vms = dict(world.vms)
    for action in actions:
        if isinstance(action, StartVm):
            vms[action.vm] = vms[action.vm].model_copy(update={"state": "running"})
            continue
        if isinstance(action, DescribeVm):
            told = {"shared": action.addressing.shared}
            vms[action.vm] = vms[action.vm].model_copy(update=told)
            continue
        has = action.addressing
        vms[action.vm] = SeenVm(
            vmid=action.vmid,
            cluster=action.cluster,
            server=action.server,
            state="running",
            addresses=tuple(a for a in (has.private_ipv4, has.public_ipv4, has.ipv6) if a),
            shared=has.shared,
            memory_mib=action.memory_mib,
        )
    return world.model_copy(update={"vms": vms})


@pytest.fixture(scope="session")
def make_fleet() -> Callable[..., Inventory]:
    return _make_fleet


def _make_fleet(
    clusters: Mapping[str, list[float | None]],
    vms: Mapping[str, Mapping[str, Any]],
    *,
    pool: int = 8,
    threads: int = 32,
    cpu_factor: float = 4,
    disk_gib: int | None = 20_000,
    chips: Mapping[str, str] | None = None,
    sites: Mapping[str, str] | None = None,
) -> Inventory:
    """Clusters of servers with so many GiB for VMs (None: not known); VMs of 1 GiB unless told.

    Each cluster has a site of its own, with `pool` public addresses, unless `sites` (cluster →
    another one, whose site it shares) says otherwise. `chips`: server → what its processor is.
    """
    told, servers = {}, {}
    at_whom = sites or {}
    for n, (cluster, memories) in enumerate(sorted(clusters.items()), start=1):
        told[f"at-{cluster}"] = {
            "donor": {"name": f"Donor {n}", "contact": "noc@donor.example.org"},
            "place": cluster,
            "subnets": {
                "bmc": f"10.{n}.0.0/24",
                "management": f"10.{n}.1.0/24",
                "gateway": f"10.{n}.1.1",
                "private_ipv4": f"10.{n}.128.0/20",
                "public_ipv4": f"198.51.{n}.0/24",
                "public_gateway": f"198.51.{n}.1",
                "ipv6": f"2001:db8:{n}::/48",
            },
            "ipv4_pool": (f"198.51.{n}.2-198.51.{n}.{1 + pool}",) if pool else (),
        }
        for i, memory in enumerate(memories, start=1):
            servers[f"{cluster}{i}"] = {
                "site": f"at-{at_whom.get(cluster, cluster)}",
                "rack": "R",
                "profile": "node",
                "address": f"10.{n}.1.{10 + i}",
                "bmc": {"address": f"10.{n}.0.{10 + i}"},
                "learned": {
                    "memory_gib": None if memory is None else int(memory) + 4,
                    "threads": threads,
                    "cpu_type": (chips or {}).get(f"{cluster}{i}"),
                    "disks": _disks(disk_gib, len(memories) > 1),
                },
            }
    return Inventory.model_validate(
        {
            "fleet": {"name": "small", "domain": "small.example.org"},
            "administrators": {"ana": {"name": "Ana", "keys": ["age1x"]}},
            "sites": told,
            "servers": servers,
            "clusters": {
                c: {"servers": [f"{c}{i}" for i in range(1, len(m) + 1)], "ceph": len(m) > 1}
                for c, m in clusters.items()
            },
            "profiles": {
                "node": {
                    "description": "a node",
                    "reserved_memory_gib": 4,
                    "cpu_factor": cpu_factor,
                }
            },
            "sizes": {"small": {"vcpus": 1, "memory_gib": 1, "disk_gib": 10}},
            "vms": {vm: {"size": "small", "why": "a test", **wanted} for vm, wanted in vms.items()},
        }
    )


def _disks(gib: int | None, ceph: bool) -> list[dict[str, Any]]:
    """One for Debian and one for Ceph, or a single one; none where they are not known."""
    if gib is None:
        return []
    large = {"name": "sdb", "size_gib": gib}
    return [{"name": "sda", "size_gib": 100}, large] if ceph else [large]
