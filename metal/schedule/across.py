"""Which VMs go to another cluster, so that theirs survives the loss of any server again.

Only where no moves inside the cluster do that (metal/schedule/balance.py), or where its disks
were promised more than they hold. As few as are found; of as few those that do not prefer to be
where they are, then the least important, then the least to send. Each is placed as
`metal move` would: on a server of a cluster in which every one may still die.
"""

from collections.abc import Collection, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from math import ceil, comb

from metal.model.fleet import Inventory
from metal.model.world import World
from metal.schedule.balance import closed, mends_itself
from metal.schedule.capacity import Fleet, Room, survey
from metal.schedule.elsewhere import elsewhere
from metal.schedule.even import fatal
from metal.schedule.explain import Unplaced
from metal.schedule.survival import Guest, Node
from metal.schedule.terms import without_closing
from metal.schedule.wishes import together_sets

TRIES = 5_000
"""Sets of one size that are looked through; beyond that one VM after the other is chosen."""
JOURNEYS = 40
"""Sets that would do and of which it is tried whether they find a place."""


@dataclass(frozen=True)
class Transfer:
    """One VM goes to another cluster."""

    vm: str
    priority: int
    source: tuple[str, str]
    target: tuple[str, str]
    """Both are (cluster, server)."""
    gib: int
    """Of its disks, all of which are sent."""
    renumbered: bool
    """Its private and IPv6 addresses lead nowhere at the new site: a person gives it others."""


@dataclass(frozen=True)
class Relieved:
    """A cluster that cannot lose a server, or holds more than it can."""

    cluster: str
    fatal: tuple[str, ...]
    """Servers that may not die as it is."""
    over_gib: int
    """Promised of its disks, beyond what they hold."""
    moves: int = 0
    """That mend it, of which the budget may allow the first only."""
    allowed: int = 0
    why: str = ""
    """Why nothing is moved."""


@dataclass(frozen=True)
class Across:
    """Moves in an order in which each of them keeps every law."""

    transfers: tuple[Transfer, ...]
    clusters: tuple[Relieved, ...]
    """Only those that are in need."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Need:
    """What is wrong with a cluster."""

    fatal: frozenset[str]
    over_gib: int

    def __bool__(self) -> bool:
        return bool(self.fatal or self.over_gib)

    def exceeds(self, other: "_Need") -> bool:
        return not self.fatal <= other.fatal or self.over_gib > other.over_gib


def across(
    inventory: Inventory,
    world: World,
    budget: int,
    today: date,
    resting: Collection[str] = (),
) -> Across:
    """At most `budget` moves; VMs that are `resting` were moved lately and stay.

    Sites that are given back soon take nothing. The clusters with the most important VMs on a
    server that may not die come first.
    """
    open_to, warnings = without_closing(inventory, today)
    fleet = survey(inventory, world, inventory.clusters, ())
    found = {room.name: _relieved(room) for room in fleet.rooms.values() if _need(room)}
    for name in found:
        if why := _left_alone(inventory, world, fleet, fleet.rooms[name]):
            found[name] = _relieved(fleet.rooms[name], why=why)
    waiting = sorted(
        (name for name, one in found.items() if not one.why),
        key=lambda name: (-_stake(inventory, fleet.rooms[name]), name),
    )
    ways = _ways(open_to, world, waiting, resting)
    left = budget
    for way in ways:
        cluster, allowed = way[0].source[0], min(left, len(way))
        found[cluster] = _relieved(fleet.rooms[cluster], len(way), allowed)
        left -= allowed
    for name in {*waiting} - {way[0].source[0] for way in ways}:
        why = "no VMs were found that may leave it, have a place elsewhere and mend it"
        found[name] = _relieved(fleet.rooms[name], why=why)
    transfers = [step for way in ways for step in way][:budget]
    return Across(tuple(transfers), tuple(found.values()), warnings if ways else ())


def moved(world: World, step: Transfer) -> World:
    """The world once it was made."""
    cluster, server = step.target
    there = world.vms[step.vm].model_copy(update={"cluster": cluster, "server": server})
    return world.model_copy(update={"vms": world.vms | {step.vm: there}})


def _relieved(room: Room, moves: int = 0, allowed: int = 0, why: str = "") -> Relieved:
    need = _need(room)
    return Relieved(room.name, tuple(sorted(need.fatal)), need.over_gib, moves, allowed, why)


def _need(room: Room, without: Collection[str] = ()) -> _Need:
    """With those VMs gone."""
    guests = [g for h in room.hosts.values() for g in h.node.guests.values()]
    disk = room.disk - sum(g.disk_gib for g in guests if g.name in without)
    over = 0 if room.disk_limit is None else ceil(max(0.0, disk - room.disk_limit))
    nodes = [_less(h.node, without) for h in room.hosts.values()]
    return _Need(frozenset() if room.solo else fatal(nodes), over)


def _less(node: Node, without: Collection[str]) -> Node:
    going = [vm for vm in without if vm in node.guests]
    less = node.copy() if going else node
    for vm in going:
        less.remove(vm)
    return less


def _left_alone(inventory: Inventory, world: World, fleet: Fleet, room: Room) -> str:
    if why := closed(inventory, fleet, room):
        return why
    if inventory.clusters[room.name].libvirt is not None:
        return "it is libvirt's: `metal move` sends VMs between clusters of Proxmox"
    if _lack(room) <= 0 and not _need(room).over_gib and mends_itself(inventory, world, room):
        return "moves inside it mend that: `metal balance`"
    return ""


def _stake(inventory: Inventory, room: Room) -> int:
    """The priority of the most important VM that would be down."""
    at_stake = [vm for name in _need(room).fatal for vm in room.hosts[name].node.guests]
    return max((inventory.vms[vm].priority for vm in at_stake if vm in inventory.vms), default=0)


def _ways(
    inventory: Inventory, world: World, waiting: Sequence[str], resting: Collection[str]
) -> list[list[Transfer]]:
    """For each cluster that can be mended the moves, after those for the clusters before it.

    What one is rid of may be room for another: until nobody finds a way any more.
    """
    for name in waiting:
        if way := _way(inventory, world, name, resting):
            for step in way:
                world = moved(world, step)
            rest = [other for other in waiting if other != name]
            return [way, *_ways(inventory, world, rest, resting)]
    return []


def _way(
    inventory: Inventory, world: World, cluster: str, resting: Collection[str]
) -> list[Transfer] | None:
    """Moves that mend the cluster, one after the other; None where none were found."""
    room = survey(inventory, world, inventory.clusters, ()).rooms[cluster]
    movable = sorted(
        (vm for vm in _guests(room) if _may_leave(inventory, world, vm, cluster, resting)),
        key=lambda vm: _price(inventory, world, cluster, (vm,)),
    )
    barred: set[str] = set()
    tried = 0
    for those in _sets(inventory, world, room, movable, barred):
        if barred.intersection(those) or _need(room, those):
            continue
        if tried == JOURNEYS:
            break
        tried += 1
        way = _journey(inventory, world, room, those)
        if way is not None:
            return way
        barred |= {vm for vm in those if isinstance(elsewhere(inventory, world, vm), Unplaced)}
    return None


def _guests(room: Room) -> dict[str, Guest]:
    return {vm: g for h in room.hosts.values() for vm, g in h.node.guests.items()}


def _may_leave(
    inventory: Inventory, world: World, vm: str, cluster: str, resting: Collection[str]
) -> bool:
    """Who is tied to the cluster by a wish stays; who would be down meanwhile is not asked to."""
    if vm not in inventory.vms or vm in resting or vm in together_sets(inventory.vms):
        return False
    wanted, seen = inventory.vms[vm], world.vms[vm]
    tied = wanted.cluster is not None or wanted.home
    return not tied and seen.cluster == cluster and (seen.state, seen.kind) == ("running", "vm")


def _price(
    inventory: Inventory, world: World, cluster: str, those: Sequence[str]
) -> tuple[int, int, int, int, tuple[str, ...]]:
    """How many, who would rather stay, how important, how much to send."""
    return (
        len(those),
        sum(cluster in inventory.vms[vm].prefers for vm in those),
        sum(inventory.vms[vm].priority for vm in those),
        sum(_gib(inventory, world, vm) + inventory.needs(vm).memory_mib // 1024 for vm in those),
        tuple(those),
    )


def _gib(inventory: Inventory, world: World, vm: str) -> int:
    return max(inventory.needs(vm).disk_gib, world.vms[vm].disk_gib or 0)


def _sets(
    inventory: Inventory,
    world: World,
    room: Room,
    movable: Sequence[str],
    barred: Set[str],
) -> Iterator[tuple[str, ...]]:
    """Who may go together, the cheapest first. Where there are too many sets of a size, one is
    chosen VM by VM; another if some of it turned out to be `barred` meanwhile."""
    guests, lack = _guests(room), _lack(room)
    for size in range(1, len(movable) + 1):
        if comb(len(movable), size) > TRIES:
            break
        enough = (
            those
            for those in combinations(movable, size)
            if sum(guests[vm].memory for vm in those) >= lack
        )
        yield from sorted(enough, key=lambda s: _price(inventory, world, room.name, s))
    else:
        return
    while True:
        those = _chosen(room, movable)
        yield those
        if barred.isdisjoint(those):
            return
        movable = [vm for vm in movable if vm not in barred]


def _lack(room: Room) -> int:
    """Memory, in units, that must leave at least, wherever in the cluster its VMs are; replicas
    are not counted, for they may wait. Beyond none, no moves inside it help."""
    nodes = [h.node for h in room.hosts.values()]
    used = sum(g.memory for n in nodes for g in n.guests.values() if g.apart is None)
    return used - sum(n.room for n in nodes) + max(n.room for n in nodes)


def _chosen(room: Room, movable: Sequence[str]) -> tuple[str, ...]:
    """The largest until that does; then whoever need not go, the dearest first, stays."""
    guests, those = _guests(room), list[str]()
    for vm in sorted(movable, key=lambda vm: -guests[vm].memory):
        if not _need(room, those):
            break
        those.append(vm)
    for vm in reversed(movable):
        if vm in those and not _need(room, [other for other in those if other != vm]):
            those.remove(vm)
    return tuple(those)


def _journey(
    inventory: Inventory, world: World, room: Room, those: Sequence[str]
) -> list[Transfer] | None:
    """The largest first. At no step may a server not die that might before."""
    guests, need = _guests(room), _need(room)
    way: list[Transfer] = []
    for vm in sorted(those, key=lambda vm: (-guests[vm].memory, vm)):
        home = elsewhere(inventory, world, vm)
        after = _need(room, [*(step.vm for step in way), vm])
        if isinstance(home, Unplaced) or after.exceeds(need):
            return None
        seen, need = world.vms[vm], after
        way.append(
            Transfer(
                vm=vm,
                priority=inventory.vms[vm].priority,
                source=(room.name, seen.server),
                target=(home.cluster, home.server),
                gib=_gib(inventory, world, vm),
                renumbered=inventory.site_of(home.cluster) != room.site,
            )
        )
        world = moved(world, way[-1])
    return way
