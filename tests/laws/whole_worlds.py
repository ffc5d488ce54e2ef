"""Whole worlds over all laws at once: what hypothesis draws, as a document and what is seen of it.

A world may be as bad as it likes (overfull, replicas side by side, servers that are down or on
their way out): nothing that metal plans may make it worse.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from metal.model.fleet import Inventory
from metal.model.life import Life
from metal.model.world import SeenCluster, SeenServer, SeenVm, World

TODAY = date(2026, 6, 1)
CHIPS = ("Haswell", "Haswell", "Westmere", "Opteron_G3", None)
"""v3, v2-AES, less than what every VM gets, and nobody knows."""
CPUS = (None, None, None, None, "x86-64-v3", "host")
GROUPS = ("db", "web")
RESERVED = 4
SYSTEM_DISK = 100


@dataclass(frozen=True, repr=False)
class Whole:
    """An inventory and a world, and the day."""

    inventory: Inventory
    world: World
    today: date = TODAY

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(str(self))

    def __str__(self) -> str:
        """What somebody needs who reads of a law that is broken."""
        fleet, world, lines = self.inventory, self.world, [""]
        for name, cluster in fleet.clusters.items():
            lines.append(
                f"{name} at {fleet.site_of(name)} {_told(cluster)} {_told(world.clusters[name])}"
            )
            for server in cluster.servers:
                learned = fleet.servers[server].learned
                lines.append(
                    f"  {server} {_told(world.servers[server])} {learned and _told(learned)}"
                )
        lines += [
            f"{name} {_told(site.donor)} {site.ipv4_pool}" for name, site in fleet.sites.items()
        ]
        lines += [f"{vm} {_told(wanted)}" for vm, wanted in fleet.vms.items()]
        lines += [f"{vm} is seen {_told(seen)}" for vm, seen in world.vms.items()]
        return "\n".join(lines)


def _told(model: Any) -> str:
    return str(model.model_dump(exclude_defaults=True, exclude={"size", "why", "contact"}))


@st.composite
def whole_worlds(draw: st.DrawFn, *, calm: bool = False) -> Whole:
    """`calm`: every server is online and every figure known, so that there is much to plan."""
    names = ("a", "b", "c")[: draw(st.integers(1, 3))]
    sizes = {
        name: draw(st.sampled_from([1, 3, 3, 2, 4] if not calm else [3, 3, 2, 4, 1]))
        for name in names
    }
    site_of = {n: f"at-{draw(st.sampled_from(names[: i + 1]))}" for i, n in enumerate(names)}
    clusters = {name: _cluster(draw, name, sizes[name]) for name in names}
    servers = {
        server: _server(draw, f"{n + 1}.{i + 1}", server, site_of[name], clusters[name], calm)
        for n, name in enumerate(names)
        for i, server in enumerate(clusters[name]["servers"])
    }
    vms = _vms(draw, clusters)
    document = {
        "fleet": {"name": "whole", "domain": "whole.example.org"},
        "administrators": {"ana": {"name": "Ana", "keys": ["age1x"]}},
        "sites": {f"at-{n}": _site(draw, i, calm) for i, n in enumerate(names, start=1)},
        "servers": servers,
        "clusters": clusters,
        "profiles": {
            "node": {
                "description": "a node",
                "reserved_memory_gib": RESERVED,
                "cpu_factor": draw(st.sampled_from([1, 2])),
            }
        },
        "sizes": {"small": {"vcpus": 1, "memory_gib": 1, "disk_gib": 10}},
        "vms": vms,
        "balance": {"start": 0, "gain": 0},
    }
    inventory = Inventory.model_validate(document)
    return Whole(inventory, _world(draw, inventory, calm))


def _cluster(draw: st.DrawFn, name: str, size: int) -> dict[str, Any]:
    shares = draw(st.sampled_from(["ceph", "ceph", "ceph", "storage", "nothing"]))
    return {
        "servers": [f"{name}{i}" for i in range(1, size + 1)],
        "ceph": shares == "ceph" and size > 1,
        "storage": "san" if (san := shares == "storage" and size > 1) else None,
        "storage_gib": draw(st.sampled_from([None, 40, 400])) if san else None,
        "only_pinned": draw(st.integers(0, 9)) == 0,
    }


def _server(
    draw: st.DrawFn, number: str, name: str, site: str, cluster: dict[str, Any], calm: bool
) -> dict[str, Any]:
    memory = draw(st.sampled_from([3, 4, 6, 8] if calm else [3, 4, 6, 8, None]))
    disk = draw(st.sampled_from([60, 150, 1000] if calm else [60, 150, 1000, None]))
    disks = [{"name": "sda", "size_gib": SYSTEM_DISK}] if cluster["ceph"] else []
    disks += [{"name": "sdb", "size_gib": SYSTEM_DISK + (disk or 0)}]
    chip = draw(st.sampled_from(CHIPS))
    return {
        "site": site,
        "rack": "R",
        "profile": "node",
        "address": f"10.{number.replace('.', '.1.1')}",
        "bmc": {"address": f"10.{number.replace('.', '.0.1')}"},
        "learned": {
            "memory_gib": None if memory is None else memory + RESERVED,
            "threads": draw(st.sampled_from([2, 4, 16] if calm else [2, 4, 16, None])),
            "cpu_type": chip,
            "cpu": chip and f"a {chip}",
            "disks": [] if disk is None else disks,
        },
    }


def _site(draw: st.DrawFn, n: int, calm: bool) -> dict[str, Any]:
    pool = draw(st.integers(0, 3))
    ends = [None, None, None, 400] if calm else [None, None, None, 400, 10, -10]
    days = draw(st.sampled_from(ends))
    return {
        "donor": {
            "name": draw(st.sampled_from(["Dora", f"Donor {n}"])),
            "contact": "noc@donor.example.org",
            "traffic_gb": draw(st.sampled_from([None, None, 100, 300])),
            "addresses": draw(st.sampled_from([None, None, 1])),
            "until": None if days is None else TODAY + timedelta(days=days),
            "notice_days": 30,
            "mbit": draw(st.sampled_from([None, 100, 1000])),
        },
        "place": "somewhere",
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


def _vms(draw: st.DrawFn, clusters: dict[str, Any]) -> dict[str, dict[str, Any]]:
    by = {
        g: draw(st.sampled_from(["server", "server", "cluster", "site", "donor"])) for g in GROUPS
    }
    vms: dict[str, dict[str, Any]] = {}
    for n in range(draw(st.integers(1, 8))):
        group = draw(st.sampled_from([None, None, None, *GROUPS]))
        pin = draw(st.sampled_from([None, None, None, *clusters]))
        beside = f"vm{draw(st.integers(0, n - 1))}" if n and draw(st.integers(0, 4)) == 0 else None
        if beside is not None:  # an inventory that contradicts itself is never loaded
            group, pin = None, vms[beside]["cluster"]
        home = draw(st.booleans()) and pin is not None and beside is None
        vms[f"vm{n}"] = {
            "size": "small",
            "why": "a law",
            "memory_gib": draw(st.sampled_from([0.5, 1, 1.3, 2, 3])),
            "vcpus": draw(st.sampled_from([1, 1, 2, 4])),
            "disk_gib": draw(st.sampled_from([10, 10, 50])),
            "priority": draw(st.integers(0, 3)),
            "apart": group,
            "apart_by": by[group] if group else "server",
            "together": () if beside is None else (beside,),
            "cluster": pin,
            "home": (draw(st.sampled_from(clusters[pin]["servers"])),) if home and pin else (),
            "prefers": (draw(st.sampled_from(sorted(clusters))),) if draw(st.booleans()) else (),
            "cpu": draw(st.sampled_from(CPUS)),
            "may_wait": draw(st.booleans()),
            "traffic_gb": draw(st.sampled_from([0, 0, 60, 150])),
            "ipv4": draw(st.sampled_from(["ipv6", "ipv6", "dedicated", "nat", "proxy"])),
            "serves": [{"port": draw(st.sampled_from([25, 443])), "name": f"vm{n}.example.org"}],
        }
    return vms


def _world(draw: st.DrawFn, inventory: Inventory, calm: bool) -> World:
    states = [Life.MEMBER] * 12 + ([] if calm else [Life.DRAINING, Life.RETIRED])
    nodes = ["online"] * 14 + ([] if calm else ["offline", "unknown"])
    ills = ["ok"] * 14 + ([] if calm else ["critical"])
    servers = {
        name: SeenServer.model_validate(
            {
                "life": draw(st.sampled_from(states)),
                "power": "on",
                "node": draw(st.sampled_from(nodes)),
                "health": draw(st.sampled_from(ills)),
            }
        )
        for name in inventory.servers
    }
    clusters = {
        name: SeenCluster(
            formed=True if calm else draw(st.sampled_from([True] * 12 + [None])),
            quorate=True if calm else draw(st.sampled_from([True] * 12 + [False])),
            nodes=wanted.servers,
            ceph_full=False if calm else draw(st.sampled_from([False] * 10 + [True, None])),
        )
        for name, wanted in inventory.clusters.items()
    }
    return World(servers=servers, clusters=clusters, vms=_seen(draw, inventory, servers, calm))


def _seen(
    draw: st.DrawFn, inventory: Inventory, servers: dict[str, SeenServer], calm: bool
) -> dict[str, SeenVm]:
    """Mostly where a person would have put them: in one cluster, sets side by side."""
    places = [
        (c, s)
        for c, wanted in inventory.clusters.items()
        for s in wanted.servers
        if servers[s].life is not Life.RETIRED
    ]
    seen: dict[str, SeenVm] = {}
    for number, vm in enumerate([*inventory.vms, "stranger"]):
        wanted = inventory.vms.get(vm)
        if draw(st.integers(0, 2)) == 0 or (wanted is None and draw(st.integers(0, 3))):
            continue
        at = [p for p in places if wanted is None or wanted.cluster in (None, p[0])]
        if not at:
            continue
        cluster, server = draw(st.sampled_from(at))
        mates = [o for o in (wanted.together if wanted else ()) if o in seen]
        if mates and draw(st.integers(0, 5)):
            cluster, server = seen[mates[0]].cluster, seen[mates[0]].server
        odd = not calm and draw(st.integers(0, 4)) == 0
        seen[vm] = SeenVm(
            vmid=100 + number,
            cluster=cluster,
            server=server,
            state=draw(st.sampled_from(["running"] * 6 + ["stopped"])),
            kind="vm" if wanted else draw(st.sampled_from(["vm", "container", "template"])),
            memory_mib=None if odd else draw(st.sampled_from([512, 1024, 2048])),
            vcpus=None if odd else draw(st.sampled_from([1, 1, 3])),
            disk_gib=None if odd else draw(st.sampled_from([10, 20])),
        )
    return seen
