"""Which VMs move, inside their clusters, so that the servers are used evenly.

Nothing moves for its own sake: a cluster that is even enough is left alone, each move must pay,
a day's moves are counted, and what was moved lately stays. Where HA put a VM is as good a place
as any other.
"""

from collections.abc import Collection
from dataclasses import dataclass

from metal.model.fleet import Inventory
from metal.model.plan import MigrateVm, Risk
from metal.model.world import World
from metal.schedule.capacity import Fleet, Host, Room, carries, survey
from metal.schedule.climb import Climb, Settled, climb, settle
from metal.schedule.even import State
from metal.schedule.preflight import unlike
from metal.schedule.spread import Scale, score
from metal.schedule.wishes import members, together_sets


@dataclass(frozen=True)
class Evened:
    """One cluster before and after."""

    cluster: str
    before: float
    after: float
    """Both are scores: 0 is even."""
    moves: int
    mended: tuple[str, ...] = ()
    """Servers that may not die now, and may afterwards."""
    broken: tuple[str, ...] = ()
    """Servers that may not die afterwards either."""
    hopeless: bool = False
    """Proven: no moves inside the cluster let every server die."""
    why: str = ""
    """Why nothing of it was looked at."""


@dataclass(frozen=True)
class Balance:
    """Moves in an order in which each of them keeps every law."""

    moves: tuple[MigrateVm, ...]
    clusters: tuple[Evened, ...]


def balance(
    inventory: Inventory, world: World, budget: int, resting: Collection[str] = ()
) -> Balance:
    """At most `budget` moves; VMs that are `resting` were moved lately and stay.

    Where the budget does not do for all, clusters with a server that may not die come first, then
    those that gain most.
    """
    fleet = survey(inventory, world, inventory.clusters, ())
    shut = {
        name: why for name, room in fleet.rooms.items() if (why := closed(inventory, fleet, room))
    }
    climbs = {
        name: _climb(inventory, world, room, resting, budget)
        for name, room in fleet.rooms.items()
        if name not in shut
    }
    moves: list[MigrateVm] = []
    evened: dict[str, Evened] = {}
    for name in sorted(climbs, key=lambda name: (climbs[name].promise, name)):
        start = climbs[name].start
        end = settle(climbs[name], budget - len(moves))
        evened[name] = _evened(name, start, end)
        moves += _actions(world, name, start, end.state)
    for name, why in shut.items():
        now = score(list(fleet.rooms[name].hosts.values()), inventory.balance)
        evened[name] = Evened(name, now, now, 0, why=why)
    return Balance(tuple(moves), tuple(evened[name] for name in inventory.clusters))


def mends_itself(inventory: Inventory, world: World, room: Room) -> bool:
    """Whether moves inside the cluster are found after which every server of it may die, however
    many: those that are told to rest today can go tomorrow."""
    most = sum(len(h.node.guests) for h in room.hosts.values())
    return _climb(inventory, world, room, (), most).mended() is not None


def moves_inside(
    inventory: Inventory, world: World, room: Room, without: Collection[str]
) -> int | None:
    """How many moves inside the cluster mend it once the VMs `without` have left it, found by the
    quick search alone; None where it finds none."""
    most = sum(len(h.node.guests) for h in room.hosts.values())
    nodes = {h.name: h.node.without(without) for h in room.hosts.values()}
    scale = Scale(list(room.hosts.values()), inventory.balance)
    rungs = climb(nodes, _movable(inventory, world, room, without), scale, most).rungs
    return next((n for n, state in enumerate(rungs) if not state.fatal), None)


def _climb(
    inventory: Inventory, world: World, room: Room, resting: Collection[str], budget: int
) -> Climb:
    nodes = {h.name: h.node for h in room.hosts.values()}
    movable = _movable(inventory, world, room, resting)
    return climb(nodes, movable, Scale(list(room.hosts.values()), inventory.balance), budget)


def closed(inventory: Inventory, fleet: Fleet, room: Room) -> str:
    """Why nothing of this cluster may be moved about; empty when it may."""
    unsized = sorted(vm for vm in fleet.unsized if fleet.where.get(vm, ("",))[0] == room.name)
    if not room.hosts:
        return "all its servers are retired"
    if len(room.hosts) == 1:
        return "it stands alone" if room.solo else "all its other servers are retired"
    if room.closed:
        return room.closed
    if not inventory.clusters[room.name].restarts:
        return "its servers share no storage: a move would copy the disks"
    if unsized:
        return f"nobody told how large {', '.join(unsized)} is"
    return next((f"{h.name}: {h.closed}" for h in room.hosts.values() if h.closed), "")


def _movable(
    inventory: Inventory, world: World, room: Room, resting: Collection[str]
) -> dict[str, list[str]]:
    """VM → servers it may go to, the least important VM first; of those that stay together one.

    HA would bring back who has a home; what is stopped gains nothing.
    """

    def free(vm: str) -> bool:
        seen, wanted = world.vms[vm], inventory.vms.get(vm)
        goes = wanted is not None and not wanted.home and vm not in resting
        return goes and (seen.state, seen.kind) == ("running", "vm")

    units = [
        u for h in room.hosts.values() for u in _units(inventory, world, h) if all(map(free, u))
    ]
    units.sort(key=lambda u: (max(inventory.vms[vm].priority for vm in u), u[0]))
    targets = [h.name for h in room.hosts.values() if carries(world, h.name)]
    return {
        unit[0]: [
            t
            for t in targets
            if not any(unlike(inventory, vm, world.vms[vm].server, t) for vm in unit)
        ]
        for unit in units
    }


def _units(inventory: Inventory, world: World, host: Host) -> list[tuple[str, ...]]:
    """What may go from the server as one: a VM, or all VMs that stay together, where all of them
    are there."""
    sets = together_sets(inventory.vms)
    company = members(sets)
    here = host.node.guests
    units: list[tuple[str, ...]] = [(vm,) for vm in here if vm not in sets]
    for first in dict.fromkeys(sets[vm] for vm in here if vm in sets):
        unit = tuple(vm for vm in company[first] if vm in world.vms)
        if here.keys() >= {*unit}:
            units.append(unit)
    return units


def _evened(name: str, start: State, end: Settled) -> Evened:
    best = end.state
    return Evened(
        cluster=name,
        before=start.score,
        after=best.score,
        moves=len(best.moves),
        mended=tuple(sorted(start.fatal - best.fatal)),
        broken=tuple(sorted(best.fatal)),
        hopeless=end.hopeless,
    )


def _actions(world: World, cluster: str, start: State, best: State) -> list[MigrateVm]:
    """One after the other: each was found lawful after those before it."""
    found: list[MigrateVm] = []
    mended = sorted(start.fatal - best.fatal)
    why = (
        f"{' and '.join(mended)} may die afterwards, and may not now"
        if mended
        else f"{cluster} is uneven: its score falls from {start.score:.2f} to {best.score:.2f}"
    )
    for number, (vm, source, target) in enumerate(best.moves, start=1):
        found.append(
            MigrateVm(
                what=f"move {vm} from {source} to {target}",
                why=f"{why} (move {number} of {len(best.moves)})",
                risk=Risk.SAFE,
                needs=(found[-1].id,) if found else (),
                vm=vm,
                vmid=world.vms[vm].vmid,
                cluster=cluster,
                source=source,
                target=target,
            )
        )
    return found
