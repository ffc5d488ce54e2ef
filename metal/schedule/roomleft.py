"""How many more VMs of a size fit, and survive any one server's loss: the count and its bound."""

from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace

from metal.model.fleet import Inventory, VmSize
from metal.model.world import World
from metal.schedule.capacity import Room, survey
from metal.schedule.storage import UNLIMITED
from metal.schedule.survival import Guest, Node, Verdict, units, verdict, waiting


@dataclass(frozen=True)
class Left:
    """What one cluster takes. `count` is proven; no more than `bound` can be had by anyone."""

    cluster: str
    count: int
    bound: int
    why: str = ""
    """What stands in the way of more."""


def room_left(inventory: Inventory, world: World, size: VmSize) -> tuple[Left, ...]:
    """One entry a cluster, by the inventory's names."""
    fleet = survey(inventory, world, inventory.clusters, ())
    guest = Guest("", units(round(size.memory_gib * 1024)), None, size.vcpus, size.disk_gib)
    return tuple(_left(room, guest) for room in fleet.rooms.values())


def _left(room: Room, guest: Guest) -> Left:
    refused = room.closed or (room.alone and f"{room.alone}: only replicas go there")
    refused = refused or (room.last and "its other servers are retired")
    if refused:
        return Left(room.name, 0, 0, refused)
    nodes = [h.node for h in room.hosts.values() if not h.closed]
    limits = {"memory": _slots(nodes, guest.memory, [n.room - n.used for n in nodes])}
    if guest.vcpus and all(n.cpus is not None for n in nodes):
        limits["CPU"] = _slots(nodes, guest.vcpus, [n.cpus_free for n in nodes], cpu=True)
    if room.threads is not None and guest.vcpus > room.threads:
        limits["threads of its smallest server"] = 0
    if guest.disk_gib and room.disk_limit != UNLIMITED:
        # Of disks that nobody told nothing is left.
        free = 0.0 if room.disk_limit is None else room.disk_limit - room.disk
        limits["disks"] = max(0, int(free // guest.disk_gib))
    tightest = min(limits, key=lambda k: limits[k])
    count = most(nodes, guest, limits[tightest])
    return Left(room.name, count, limits[tightest], f"its {tightest}")


def _slots(nodes: list[Node], each: int, free: list[int], cpu: bool = False) -> int:
    """After the worst failure everything lives on the rest, but for replicas that wait: no more
    than fit there, one by one into what is free and in all into what would be."""
    worst: list[int] = []
    for node in nodes:
        rest = [f for f, n in zip(free, nodes, strict=True) if n is not node]
        survivors = [n for n in nodes if n is not node]
        waits = waiting([*node.items.values()], survivors) if survivors else []
        used = node.vcpus if cpu else node.used
        used -= sum(i.vcpus if cpu else i.memory for i in waits)
        worst.append(min((sum(rest) - used) // each, sum(max(0, f) // each for f in rest)))
    return max(0, min(worst, default=0))


def most(nodes: list[Node], guest: Guest, bound: int) -> int:
    """The largest number up to `bound` that was found to survive: spread over the freest servers,
    by halving; and then one by one, wherever one more may be."""
    low, high, step = 0, bound, bound
    while low < high:
        if _survive(_spread(nodes, guest, step)):
            low = step
        else:
            high = step - 1
        step = (low + high + 1) // 2
    filled = _spread(nodes, guest, low)
    while filled is not None and low < bound and _one_more(filled, guest, low):
        low += 1
    return low


def _survive(filled: list[Node] | None) -> bool:
    return filled is not None and verdict(filled) is Verdict.SURVIVABLE


def _spread(nodes: list[Node], guest: Guest, number: int) -> list[Node] | None:
    """So many of them on the freest servers; None where that takes no more."""
    filled = [n.copy() for n in nodes]
    heap = [(-n.free, i) for i, n in enumerate(filled)]
    heapify(heap)
    for serial in range(number):
        while heap and filled[heap[0][1]].cpus_free < guest.vcpus:
            heappop(heap)  # others have less memory free and may have more CPU
        if not heap or -heap[0][0] < guest.memory:
            return None
        i = heap[0][1]
        filled[i].add(_numbered(guest, serial))
        heapreplace(heap, (-filled[i].free, i))
    return filled


def _one_more(filled: list[Node], guest: Guest, serial: int) -> bool:
    """Take it in where every server may still die."""
    new = _numbered(guest, serial)
    for node in sorted(filled, key=lambda n: (-n.free, n.name)):
        if node.free >= guest.memory and node.cpus_free >= guest.vcpus:
            sums = node.sums
            node.add(new)
            if _survive(filled):
                return True
            node.undo(new, sums)
    return False


def _numbered(guest: Guest, serial: int) -> Guest:
    return Guest(f"new {serial}", guest.memory, None, guest.vcpus)
