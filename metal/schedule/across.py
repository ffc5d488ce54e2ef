"""Which VMs go to another cluster, so that theirs survives the loss of any server again.

Only where no moves inside the cluster do that (metal/schedule/balance.py), or where its disks
were promised more than they hold. Who leaves is found in metal/schedule/relief.py. Each is placed
as `metal move` would: on a server of a cluster in which every one may still die.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date

from metal.model.fleet import Inventory
from metal.model.world import SeenCluster, World
from metal.schedule.balance import closed, mends_itself
from metal.schedule.capacity import Fleet, Room, survey
from metal.schedule.relief import Transfer, Way, lack, moved, need_of, relieve, stake
from metal.schedule.terms import without_closing

__all__ = ["Across", "Relieved", "Transfer", "across", "moved"]

SILENT = SeenCluster()


@dataclass(frozen=True)
class Relieved:
    """A cluster that cannot lose a server, or holds more than it can."""

    cluster: str
    fatal: tuple[str, ...]
    """Servers that may not die as it is."""
    over_gib: int
    """Promised of its disks, beyond what they hold."""
    moves: int = 0
    """To other clusters, of which the budget may allow the first only."""
    allowed: int = 0
    left: tuple[str, ...] = ()
    """Servers that may not die after all of those either."""
    left_gib: int = 0
    """Promised of its disks then, beyond what they hold."""
    inside: int = 0
    """Moves inside the cluster that mend what is left then; 0: none do, or nothing is left."""
    why: str = ""
    """Why nothing is moved."""


@dataclass(frozen=True)
class Across:
    """Moves in an order in which each of them keeps every law."""

    transfers: tuple[Transfer, ...]
    clusters: tuple[Relieved, ...]
    """Only those that are in need."""
    warnings: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    """Clusters of which nobody answers: what they survive is not known."""


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
    found = {room.name: _relieved(room) for room in fleet.rooms.values() if need_of(room)}
    for name in found:
        if why := _left_alone(inventory, world, fleet, fleet.rooms[name]):
            found[name] = _relieved(fleet.rooms[name], why=why)
    waiting = sorted(
        (name for name, one in found.items() if not one.why),
        key=lambda name: (-_stake(inventory, fleet.rooms[name]), name),
    )
    ways, steps = _ways(open_to, world, waiting, resting)
    going = steps[:budget]
    for name in waiting:
        if name in ways:
            allowed = sum(step.source[0] == name for step in going)
            found[name] = _relieved(fleet.rooms[name], ways[name], allowed)
        else:
            why = "no VMs were found that may leave it, have a place elsewhere and help"
            found[name] = _relieved(fleet.rooms[name], why=why)
    unknown = tuple(c for c in inventory.clusters if world.clusters.get(c, SILENT).formed is None)
    return Across(tuple(going), tuple(found.values()), warnings if ways else (), unknown)


def _relieved(room: Room, way: Way | None = None, allowed: int = 0, why: str = "") -> Relieved:
    need = need_of(room)
    one = Relieved(room.name, tuple(sorted(need.fatal)), need.over_gib, why=why)
    if way is None:
        return one
    return replace(
        one,
        moves=len(way.steps),
        allowed=allowed,
        left=tuple(sorted(way.left.fatal)),
        left_gib=way.left.over_gib,
        inside=way.inside,
    )


def _left_alone(inventory: Inventory, world: World, fleet: Fleet, room: Room) -> str:
    if why := closed(inventory, fleet, room):
        return why
    if inventory.clusters[room.name].libvirt is not None:
        return "it is libvirt's: `metal move` sends VMs between clusters of Proxmox"
    if lack(room) <= 0 and not need_of(room).over_gib and mends_itself(inventory, world, room):
        return "moves inside it mend that: `metal balance`"
    return ""


def _stake(inventory: Inventory, room: Room) -> int:
    return max((stake(inventory, room, name) for name in need_of(room).fatal), default=0)


def _ways(
    inventory: Inventory, world: World, waiting: Collection[str], resting: Collection[str]
) -> tuple[dict[str, Way], list[Transfer]]:
    """(For each cluster that can be helped how, all of it in the order in which it is lawful.)

    What one is rid of may be room for another: until nobody finds a way any more.
    """
    ways: dict[str, Way] = {}
    steps: list[Transfer] = []
    while True:
        for name in waiting:
            before = ways.get(name, Way(()))
            if before.inside or (before.steps and not before.left):
                continue
            way = relieve(inventory, world, name, resting)
            if way is not None:
                ways[name] = replace(way, steps=(*before.steps, *way.steps))
                for step in way.steps:
                    world = moved(world, step)
                steps += way.steps
                break
        else:
            return ways, steps
