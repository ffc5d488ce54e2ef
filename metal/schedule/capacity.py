"""What there is room for: a working picture of the fleet that placing adds VMs to.

Memory and disks are never overcommitted, CPU by the profile's factor. What nobody told counts as
nothing: a server of unknown memory or disks gets no VM, and a cluster that does not answer closes
for new ones.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from metal.model.cpus import DEFAULT, offers
from metal.model.disks import system_gib
from metal.model.fleet import Inventory
from metal.model.life import Life
from metal.model.plan import LEFT_ALONE
from metal.model.world import SeenVm, World
from metal.network.budget import Ledger, held_by, holdings, infrastructure
from metal.network.sites import pool
from metal.schedule.storage import CEPH_FULL, SYSTEM_GIB, UNLIMITED, shared_gib, short_of_disk
from metal.schedule.survival import UNIT_MIB, Guest, Item, Node, Verdict, units, verdict
from metal.schedule.terms import traffic_at
from metal.schedule.wishes import guest_of, together_sets

UNFORMED = "it is not formed yet"
LENT = "the time that its site was lent for is over"


@dataclass
class Host:
    """One server of a cluster; its memory and VMs are in `node`."""

    node: Node
    threads: int | None = None
    known: bool = True
    """Whether anybody told how much memory it has."""
    disk_limit: float | None = None
    """Of a server whose VMs live on its own disks; UNLIMITED where the cluster's storage counts."""
    disk: int = 0
    closed: str = ""
    """Why nothing new goes here."""

    @property
    def name(self) -> str:
        return self.node.name

    def refuses(self, item: Item) -> str:
        """Why it cannot take the VMs, all at once; empty when it can."""
        if self.closed:
            return self.closed
        node = self.node
        if item.memory > node.free:
            return "not enough memory free"
        if not item.sound:
            return "VMs that stay together are in one replica group"
        if shared := item.groups & node.groups():
            return f"another VM of the group {min(shared)!r} runs there"
        if not item.runs(node):
            return f"its processor is not known to be a {', '.join(sorted(item.cpus)) or DEFAULT}"
        if self.threads is not None and item.widest > self.threads:
            return f"{item.widest} vCPUs on {self.threads} threads"
        if item.vcpus > node.cpus_free:
            return "not enough CPU free"
        return short_of_disk(self.disk_limit, self.disk, item.disk_gib)


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
    shared: bool = True
    """Whether all its servers reach the VMs' disks."""
    solo: bool = False
    """The inventory gives it one server. Where one is left of several, restarts stay promised."""

    @property
    def last(self) -> str:
        """The one server that is left of those that were to restart each other's VMs; empty
        where there are more."""
        return next(iter(self.hosts)) if len(self.hosts) == 1 and not self.alone else ""

    @property
    def alone(self) -> str:
        """Why no server here restarts what ran on another; empty when it would."""
        if self.solo:
            return "it stands alone"
        return "" if self.shared else "its servers share no storage"

    @cached_property
    def threads(self) -> int | None:
        """Of its smallest server: any of them may have to restart a VM."""
        return min((h.threads for h in self.hosts.values() if h.threads), default=None)

    def survival(self) -> Verdict:
        """Of a machine on its own nothing survives: its VMs have replicas elsewhere, or wait."""
        if self.alone:
            return Verdict.SURVIVABLE
        return verdict([h.node for h in self.hosts.values()])

    def refuses(self, item: Item) -> str:
        if self.closed:
            return self.closed
        if self.threads is not None and item.widest > self.threads:
            return f"{item.widest} vCPUs, but its smallest server has {self.threads} threads"
        return short_of_disk(self.disk_limit, self.disk, item.disk_gib)

    def put(self, host: Host, item: Item) -> bool:
        """Take the VMs in if every single server may still die afterwards."""
        undo: list[tuple[Guest, int]] = []
        for guest in item.guests:
            undo.append((guest, host.node.sums))
            host.node.add(guest)
        if self.survival() is not Verdict.SURVIVABLE:
            for guest, sums in reversed(undo):
                host.node.undo(guest, sums)
            return False
        host.disk += item.disk_gib
        self.disk += item.disk_gib
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
    """VMs of which nobody told the memory or vCPUs: they count as nothing, and prove nothing."""
    traffic: Counter[str] = field(default_factory=Counter)
    """Site → GB a month of the VMs there."""

    def hosts(self) -> Iterator[tuple[Room, Host]]:
        for room in self.rooms.values():
            for host in room.hosts.values():
                yield room, host


def survey(
    inventory: Inventory,
    world: World,
    ready: Collection[str],
    forming: Collection[str],
    only: Collection[str] | None = None,
) -> Fleet:
    """The fleet as seen. `ready` clusters are formed or (`forming`) will be before VMs come.

    Who looks at a few clusters `only` is told of others who is there, and not what is left.
    """
    rooms = {
        name: _room(inventory, world, name, name in ready, name in forming)
        for name in sorted(inventory.clusters)
    }
    silent = tuple(c for c in rooms if is_silent(inventory, world, c, c in forming))
    fleet = Fleet(rooms, {}, silent=silent)
    _settle_residents(fleet, inventory, world, only)
    homes = {vm: cluster for vm, (cluster, _) in fleet.where.items() if inventory.chosen(vm)}
    pools = {str(a) for site in inventory.sites.values() for a in pool(site)}
    current = {
        vm: seen.addresses
        for vm, seen in world.vms.items()
        if seen.addresses and any(a.partition("/")[0] in pools for a in seen.addresses)
    }
    holders, reserved = held_by(current), infrastructure(inventory)
    sites = {room.site for room in rooms.values() if only is None or room.name in only}
    for site in sorted(sites):
        held = holdings(inventory, site, homes, current, holders=holders, reserved=reserved)
        foreign = len(held.foreign)
        fleet.ledgers[site] = Ledger(inventory, site, foreign)
    fleet.traffic.update(traffic_at(inventory, ((v, c) for v, (c, _) in fleet.where.items())))
    for vm, cluster in sorted(homes.items()):
        if rooms[cluster].site in sites:
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
        server: _host(inventory, world, server, cluster.ceph or cluster.holds_gib is not None)
        for server in cluster.servers
        if not _retired(world, server)
    }
    return Room(
        name=name,
        site=inventory.site_of(name),
        hosts=hosts,
        disk_limit=shared_gib(inventory, name),
        closed=_closed(inventory, world, name, ready, forming),
        only_pinned=cluster.only_pinned,
        shared=cluster.ceph or cluster.storage is not None,
        solo=len(cluster.servers) == 1,
    )


def _closed(inventory: Inventory, world: World, name: str, ready: bool, forming: bool) -> str:
    seen = world.clusters.get(name)
    if not ready:
        return LENT if seen and seen.formed else UNFORMED
    if not forming:
        if seen is None or not seen.formed:
            return "nobody of it answers"
        if seen.quorate is False:
            return "it has no quorum"
        if seen.ceph_full:
            return f"its Ceph is nearly full ({CEPH_FULL:.0%})"
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


def _host(inventory: Inventory, world: World, server: str, shared: bool) -> Host:
    """`shared`: the cluster says how much its VMs' disks may take, and its servers do not."""
    learned = inventory.servers[server].learned
    profile = inventory.profile(server)
    memory = learned.memory_gib if learned else None
    room = 0 if memory is None else int((memory - profile.reserved_memory_gib) * 1024 // UNIT_MIB)
    threads = (learned.threads or learned.cores) if learned else None
    cpus = int(profile.cpu_factor * threads) if threads else None
    node = Node(server, room, cpus=cpus, offers=offers(inventory.cpu_of(server)))
    host = Host(node, threads, memory is not None)
    if shared:
        host.disk_limit = UNLIMITED
    elif size := system_gib(profile, inventory.servers[server]):
        host.disk_limit = size - SYSTEM_GIB
    seen = world.servers.get(server)
    if memory is None:
        host.closed = "its memory is not known"
    elif seen and seen.health == "critical":
        host.closed = "its BMC reports it as failing"
    elif seen and seen.life is Life.DRAINING:
        host.closed = "it is being emptied"
    return host


def _settle_residents(
    fleet: Fleet, inventory: Inventory, world: World, only: Collection[str] | None
) -> None:
    """What runs stays where it is. VMs that the inventory lacks count and are left alone."""
    by_server = {host.name: (room, host) for room, host in fleet.hosts()}
    sets = together_sets(inventory.vms)
    for vm, seen in sorted(world.vms.items()):
        if seen.kind == "template":
            _keep_disk(by_server.get(seen.server), seen.disk_gib or 0)
            continue
        managed = vm in inventory.vms
        if not managed:
            kind = "container " if seen.kind == "container" else ""
            fleet.notes.append(
                f"{kind}{vm} (vmid {seen.vmid}) on {seen.server} is not in the inventory: "
                f"{LEFT_ALONE}"
            )
        if seen.server not in by_server:
            fleet.notes.append(
                f"{vm} runs on {seen.server}, which is in no cluster of the inventory"
            )
            continue
        room, host = by_server[seen.server]
        fleet.where[vm] = (room.name, host.name)
        if only is not None and room.name not in only:
            continue
        guest = guest_of(inventory, vm, sets, seen) if managed else _stranger(fleet, vm, seen, room)
        host.node.add(guest)
        host.disk += guest.disk_gib
        room.disk += guest.disk_gib


def _keep_disk(at: tuple[Room, Host] | None, gib: int) -> None:
    """A template never runs, but its disk is there."""
    if at is not None:
        room, host = at
        host.disk += gib
        room.disk += gib


def _stranger(fleet: Fleet, vm: str, seen: SeenVm, room: Room) -> Guest:
    """A VM that the inventory lacks. Without its size nobody knows what is left beside it."""
    sizes = {"memory": seen.memory_mib, "disk": seen.disk_gib}
    untold = " and ".join(what for what, size in sizes.items() if size is None)
    if untold and not room.closed:
        room.closed = f"nobody told how much {untold} {vm} has, which the inventory lacks"
    if seen.memory_mib is None or seen.vcpus is None:
        fleet.unsized.add(vm)
    memory = units(seen.memory_mib or 0)
    return Guest(vm, memory, vcpus=seen.vcpus or 0, disk_gib=seen.disk_gib or 0)
