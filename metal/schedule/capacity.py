"""What there is room for: a working picture of the fleet that placing adds VMs to.

Memory is never overcommitted, CPU by the profile's factor, disks where they are known. What
nobody told counts as nothing: a server of unknown memory gets no VM, and a cluster that does
not answer closes for new ones.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from metal.model.disks import data_disks, system_disk
from metal.model.fleet import Inventory
from metal.model.life import Life
from metal.model.world import World
from metal.network.budget import Ledger, holdings
from metal.schedule.survival import UNIT_MIB, Guest, Node, Verdict, units, verdict

CEPH_FULL = 0.85
"""Share of a cluster's disks that is promised: Ceph warns from there on, and stops at 0.95."""
CEPH_COPIES = 3
SYSTEM_GIB = 40
"""Of a solo machine's disk, for Debian itself."""


@dataclass
class Host:
    """One server of a cluster; its memory and VMs are in `node`."""

    node: Node
    threads: int | None = None
    known: bool = True
    """Whether anybody told how much memory it has."""
    disk_limit: float | None = None
    """None where the cluster's Ceph counts, or the disks are not known."""
    disk: int = 0
    closed: str = ""
    """Why nothing new goes here."""

    @property
    def name(self) -> str:
        return self.node.name

    def refuses(self, guest: Guest) -> str:
        """Why it cannot take the VM; empty when it can."""
        if self.closed:
            return self.closed
        if guest.memory > self.node.free:
            return "not enough memory free"
        if guest.apart and guest.apart in self.node.groups():
            return f"another VM of the group {guest.apart!r} runs there"
        if self.threads is not None and guest.vcpus > self.threads:
            return f"{guest.vcpus} vCPUs on {self.threads} threads"
        if guest.vcpus > self.node.cpus_free:
            return "not enough CPU free"
        if self.disk_limit is not None and self.disk + guest.disk_gib > self.disk_limit:
            return "not enough disk free"
        return ""


@dataclass
class Room:
    """One cluster."""

    name: str
    site: str
    hosts: dict[str, Host]
    disk_limit: float | None = None
    disk: int = 0
    closed: str = ""
    """Why nothing new goes here."""
    only_pinned: bool = False
    """Nothing new goes here that does not name it."""

    @property
    def solo(self) -> bool:
        return len(self.hosts) == 1

    @cached_property
    def threads(self) -> int | None:
        """Of its smallest server: any of them may have to restart a VM."""
        return min((h.threads for h in self.hosts.values() if h.threads), default=None)

    def survival(self) -> Verdict:
        """Of a machine on its own nothing survives: its VMs have replicas elsewhere."""
        if self.solo:
            return Verdict.SURVIVABLE
        return verdict([h.node for h in self.hosts.values()])

    def refuses(self, guest: Guest) -> str:
        if self.closed:
            return self.closed
        if self.threads is not None and guest.vcpus > self.threads:
            return f"{guest.vcpus} vCPUs, but its smallest server has {self.threads} threads"
        if self.disk_limit is not None and self.disk + guest.disk_gib > self.disk_limit:
            return f"its disks have {max(0, int(self.disk_limit - self.disk))} GiB left"
        return ""

    def put(self, guest: Guest, host: Host) -> bool:
        """Take the VM in if every single server may still die afterwards."""
        sums = host.node.sums
        host.node.add(guest)
        if self.survival() is not Verdict.SURVIVABLE:
            host.node.undo(guest, sums)
            return False
        host.disk += guest.disk_gib
        self.disk += guest.disk_gib
        return True

    def take(self, vm: str, host: Host) -> Guest:
        guest = host.node.remove(vm)
        host.disk -= guest.disk_gib
        self.disk -= guest.disk_gib
        return guest


@dataclass
class Fleet:
    """Every cluster with what runs there, and every site's addresses."""

    rooms: dict[str, Room]
    ledgers: dict[str, Ledger]
    where: dict[str, tuple[str, str]] = field(default_factory=dict)
    """VM → (cluster, server), of every VM seen or placed."""
    silent: tuple[str, ...] = ()
    """Clusters that may run VMs that nobody saw."""
    notes: list[str] = field(default_factory=list)
    unsized: set[str] = field(default_factory=set)
    """VMs of which nobody told the memory: they count as nothing, and prove nothing."""

    def hosts(self) -> Iterator[tuple[Room, Host]]:
        for room in self.rooms.values():
            for host in room.hosts.values():
                yield room, host


def guest_of(inventory: Inventory, vm: str, seen_mib: int | None = None) -> Guest:
    """A VM of the inventory; the larger of what it should have and what it was seen to have."""
    needs = inventory.needs(vm)
    return Guest(
        name=vm,
        memory=units(max(needs.memory_mib, seen_mib or 0)),
        apart=inventory.vms[vm].apart,
        vcpus=needs.vcpus,
        disk_gib=needs.disk_gib,
    )


def survey(
    inventory: Inventory, world: World, ready: Collection[str], forming: Collection[str]
) -> Fleet:
    """The fleet as seen. `ready` clusters are formed or (`forming`) will be before VMs come."""
    rooms = {
        name: _room(inventory, world, name, name in ready, name in forming)
        for name in sorted(inventory.clusters)
    }
    silent = tuple(c for c in rooms if is_silent(inventory, world, c, c in forming))
    fleet = Fleet(rooms, {}, silent=silent)
    _settle_residents(fleet, inventory, world)
    homes = {vm: cluster for vm, (cluster, _) in fleet.where.items() if inventory.chosen(vm)}
    current = {vm: seen.addresses for vm, seen in world.vms.items()}
    for site in sorted({room.site for room in rooms.values()}):
        foreign = len(holdings(inventory, site, homes, current).foreign)
        fleet.ledgers[site] = Ledger(inventory, site, foreign)
    for vm, cluster in sorted(homes.items()):
        fleet.ledgers[rooms[cluster].site].add(vm)
    return fleet


def is_silent(inventory: Inventory, world: World, cluster: str, forming: bool) -> bool:
    """Nobody of it answered, and it may run VMs: what is not seen there is not absent."""
    seen = world.clusters.get(cluster)
    if forming or (seen is not None and seen.formed is not None):
        return False
    lived = {Life.INSTALLED, Life.MEMBER, Life.DRAINING}
    return any(
        world.servers[server].life in lived
        for server in inventory.clusters[cluster].servers
        if server in world.servers
    )


def _room(inventory: Inventory, world: World, name: str, ready: bool, forming: bool) -> Room:
    cluster = inventory.clusters[name]
    hosts = {
        server: _host(inventory, world, server, cluster.ceph)
        for server in cluster.servers
        if not _retired(world, server)
    }
    return Room(
        name=name,
        site=inventory.site_of(name),
        hosts=hosts,
        disk_limit=_ceph_gib(inventory, name) if cluster.ceph else None,
        closed=_closed(inventory, world, name, ready, forming),
        only_pinned=cluster.only_pinned,
    )


def _closed(inventory: Inventory, world: World, name: str, ready: bool, forming: bool) -> str:
    if not ready:
        return "it is not formed yet"
    seen = world.clusters.get(name)
    if not forming:
        if seen is None or not seen.formed:
            return "nobody of it answers"
        if seen.quorate is False:
            return "it has no quorum"
    joined = seen.nodes if seen else ()
    for server in inventory.clusters[name].servers:
        if _retired(world, server):
            continue
        known = world.servers.get(server)
        if known and known.life is Life.DRAINING:
            return f"its server {server} is draining"
        if forming and server not in joined:
            continue
        if known is None or known.node != "online":
            return f"its server {server} is {known.node if known else 'unknown'}"
    return ""


def carries(world: World, server: str) -> bool:
    """Positive proof that it can take a VM now: online, and not on its way out."""
    seen = world.servers.get(server)
    out = (Life.DRAINING, Life.RETIRED)
    return seen is not None and seen.node == "online" and seen.life not in out


def _retired(world: World, server: str) -> bool:
    return server in world.servers and world.servers[server].life is Life.RETIRED


def _host(inventory: Inventory, world: World, server: str, ceph: bool) -> Host:
    learned = inventory.servers[server].learned
    profile = inventory.profile(server)
    memory = learned.memory_gib if learned else None
    room = 0 if memory is None else int((memory - profile.reserved_memory_gib) * 1024 // UNIT_MIB)
    threads = (learned.threads or learned.cores) if learned else None
    cpus = int(profile.cpu_factor * threads) if threads else None
    host = Host(Node(server, room, cpus=cpus), threads, memory is not None)
    if learned and learned.disks and not ceph:
        host.disk_limit = system_disk(profile, learned).size_gib - SYSTEM_GIB
    seen = world.servers.get(server)
    if memory is None:
        host.closed = "its memory is not known"
    elif seen and seen.health == "critical":
        host.closed = "its BMC reports it as failing"
    elif seen and seen.life is Life.DRAINING:
        host.closed = "it is being emptied"
    return host


def _ceph_gib(inventory: Inventory, cluster: str) -> float | None:
    """What Ceph can hold in three copies with any one server lost; None if a disk list is
    missing. Three servers keep two copies of all then: they are as full as before."""
    sizes: list[int] = []
    for server in inventory.clusters[cluster].servers:
        learned = inventory.servers[server].learned
        disks = data_disks(inventory.profile(server), learned) if learned else ()
        if not disks:
            return None
        sizes.append(sum(d.size_gib for d in disks))
    if len(sizes) <= CEPH_COPIES:
        return CEPH_FULL * min(sizes)
    return CEPH_FULL * min(copied_gib(sizes[:i] + sizes[i + 1 :]) for i in range(len(sizes)))


def copied_gib(sizes: list[int]) -> float:
    """The most that fits in three copies, each on a server of its own: a server larger than all
    the data holds no more than the data."""
    left, copies = sorted(sizes, reverse=True), CEPH_COPIES
    while copies > 1 and left[0] * copies > sum(left):
        left, copies = left[1:], copies - 1
    return sum(left) / copies


def _settle_residents(fleet: Fleet, inventory: Inventory, world: World) -> None:
    """What runs stays where it is. VMs that the inventory lacks count and are left alone."""
    by_server = {host.name: (room, host) for room, host in fleet.hosts()}
    for vm, seen in sorted(world.vms.items()):
        if seen.kind == "template":
            continue  # it never runs
        managed = vm in inventory.vms
        if not managed:
            kind = "container " if seen.kind == "container" else ""
            fleet.notes.append(
                f"{kind}{vm} (vmid {seen.vmid}) on {seen.server} is not in the inventory: "
                "it is left alone"
            )
        if seen.server not in by_server:
            fleet.notes.append(
                f"{vm} runs on {seen.server}, which is in no cluster of the inventory"
            )
            continue
        room, host = by_server[seen.server]
        fleet.where[vm] = (room.name, host.name)
        if managed:
            guest = guest_of(inventory, vm, seen.memory_mib)
        else:
            guest = Guest(vm, units(seen.memory_mib or 0))
            if seen.memory_mib is None:
                fleet.unsized.add(vm)
            if seen.memory_mib is None and not room.closed:
                room.closed = f"nobody told how much memory {vm} has, which the inventory lacks"
        host.node.add(guest)
        host.disk += guest.disk_gib
        room.disk += guest.disk_gib
