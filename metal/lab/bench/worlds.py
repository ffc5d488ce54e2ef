"""Fleets of any size to measure planning on: clusters of three, mixed memory, mixed VMs."""

from itertools import count
from random import Random
from typing import Any

from metal.model.fleet import (
    Administrator,
    BmcAccess,
    Cluster,
    Disk,
    Donor,
    Fleet,
    Inventory,
    Learned,
    Server,
    ServerProfile,
    Service,
    Site,
    Subnets,
    Vm,
    VmSize,
)
from metal.model.life import Life
from metal.model.world import SeenCluster, SeenServer, SeenVm, World

SIZES = {
    "tiny": VmSize(vcpus=1, memory_gib=1, disk_gib=10),
    "small": VmSize(vcpus=2, memory_gib=2, disk_gib=20),
    "medium": VmSize(vcpus=2, memory_gib=4, disk_gib=40),
    "large": VmSize(vcpus=4, memory_gib=8, disk_gib=80),
    "huge": VmSize(vcpus=8, memory_gib=16, disk_gib=160),
}
SHARES = (20, 30, 30, 15, 5)
MEMORIES = (96, 128, 160, 192)
RESERVED = 8
CPU = "Intel(R) Xeon(R) CPU E5-2670 v3 @ 2.30GHz"


def fleet(clusters: int, vms: int, seed: int = 1, sites: int = 20, size: int = 3) -> Inventory:
    """Clusters of `size` servers and VMs with every kind of wish: one in eight in a replica group
    of two (every second of them apart by site), pairs that stay together, processors, preferred
    clusters, and IPv4 addresses of their own or shared."""
    dice = Random(seed)
    names = [f"site{i:02d}" for i in range(sites)]
    servers: dict[str, Server] = {}
    formed: dict[str, Cluster] = {}
    octets = count(1)
    for c in range(clusters):
        memory = dice.choice(MEMORIES)
        members = [f"c{c:03d}n{n}" for n in range(size)]
        formed[f"c{c:03d}"] = Cluster(servers=tuple(members), ceph=True)
        for name in members:
            servers[name] = _server(names[c % sites], memory, next(octets))
    wanted: dict[str, Vm] = {}
    for v in range(vms):
        kind = dice.choices(list(SIZES), SHARES)[0]
        group = f"g{v // 16}" if v % 16 < 2 else None
        wishes = _wishes(v, dice.choice(list(formed)))
        wanted[f"vm{v:05d}"] = Vm(
            size=kind, why="measured", apart=group, priority=dice.randrange(101), **wishes
        )
    return Inventory(
        fleet=Fleet(name="bench", domain="bench.example.org"),
        administrators={"ana": Administrator(name="Ana", keys=("age1x",))},
        sites={name: _site(i) for i, name in enumerate(names)},
        servers=servers,
        clusters=formed,
        vms=wanted,
        profiles={"node": ServerProfile(description="a node", reserved_memory_gib=RESERVED)},
        sizes=SIZES,
    )


def _wishes(v: int, cluster: str) -> dict[str, Any]:
    wishes: dict[str, Any] = {}
    if v % 32 < 2:
        wishes["apart_by"] = "site"
    if v % 16 in (7, 11):
        wishes["together"] = (f"vm{v - 1:05d}",)
    if v % 10 == 6:
        wishes["cpu"] = "x86-64-v3"
    if v % 10 == 7:
        wishes["prefers"] = (cluster,)
    if v % 40 == 8:
        wishes |= {"ipv4": "dedicated", "serves": (Service(port=25),)}
    elif v % 5 == 1:
        wishes |= {"ipv4": "nat", "serves": (Service(port=2000 + v % 97),)}
    elif v % 5 == 2:
        wishes |= {"ipv4": "proxy", "serves": (Service(port=443, name=f"vm{v}.example.org"),)}
    return wishes


def _server(site: str, memory: int, number: int) -> Server:
    at = f"10.{200 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"
    disks = (Disk(name="sda", size_gib=240), Disk(name="sdb", size_gib=4000))
    known = Learned(memory_gib=memory, threads=64, cpu=CPU, disks=disks)
    values: dict[str, Any] = {"site": site, "rack": "R", "profile": "node", "address": at}
    return Server(**values, bmc=BmcAccess(address=at), learned=known)


def _site(number: int) -> Site:
    subnets = Subnets.model_validate(
        {
            "bmc": f"10.{number}.0.0/24",
            "management": f"10.{number}.1.0/24",
            "gateway": f"10.{number}.1.1",
            "private_ipv4": f"10.{number}.128.0/17",
            "public_ipv4": f"203.0.{number}.0/24",
            "public_gateway": f"203.0.{number}.1",
            "ipv6": f"2001:db8:{number:x}::/48",
        }
    )
    donor = Donor(name="Donor", contact="noc@donor.example.org")
    pool = (f"203.0.{number}.2-203.0.{number}.60",)
    return Site(donor=donor, place=f"site {number}", subnets=subnets, ipv4_pool=pool)


def world(inventory: Inventory, homes: dict[str, tuple[str, str]] | None = None) -> World:
    """Every cluster formed, every server online; `homes`: VM → (cluster, server)."""
    up = SeenServer(life=Life.MEMBER, power="on", health="ok", node="online")
    return World(
        servers=dict.fromkeys(inventory.servers, up),
        clusters={
            name: SeenCluster(formed=True, quorate=True, nodes=cluster.servers)
            for name, cluster in inventory.clusters.items()
        },
        vms={
            vm: SeenVm(vmid=100 + i, cluster=c, server=s, state="running")
            for i, (vm, (c, s)) in enumerate((homes or {}).items())
        },
    )
