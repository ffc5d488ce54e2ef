"""Does a cluster survive the loss of any one of its servers?

Three nodes are exact as a subset sum: bit s of one Python integer per node says that some
subset of its VMs needs s units of memory. Losing f is survivable if and only if some s of them
can go to one survivor and the rest to the other: a shift and a mask. Other sizes try sorted best
fit, then a bounded exact search; what neither decides is unknown, and unknown is never safe.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

UNIT_MIB = 128
SEARCH_STEPS = 20_000


class Verdict(StrEnum):
    SURVIVABLE = "survivable"
    NOT = "not"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Guest:
    """A VM as the packer sees it. `memory` in units of 128 MiB, rounded up."""

    name: str
    memory: int
    apart: str | None = None
    """Replica group: two of one group never share a node, after a failure neither."""
    vcpus: int = 0
    disk_gib: int = 0


def units(memory_mib: float) -> int:
    """Memory a VM needs, rounded up."""
    return -int(-memory_mib // UNIT_MIB)


class Node:
    """One server and what runs on it. `room` is the memory VMs may have, in units."""

    __slots__ = ("guests", "name", "room", "sums", "used")

    def __init__(self, name: str, room: int, guests: Iterable[Guest] = ()) -> None:
        self.name = name
        self.room = room
        self.guests: dict[str, Guest] = {}
        self.used = 0
        self.sums = 1
        """Bit s: some subset of its guests of no replica group needs s units."""
        for guest in guests:
            self.add(guest)

    @property
    def free(self) -> int:
        return self.room - self.used

    def groups(self) -> set[str]:
        return {g.apart for g in self.guests.values() if g.apart}

    def add(self, guest: Guest) -> None:
        self.guests[guest.name] = guest
        self.used += guest.memory
        if guest.apart is None:
            self.sums |= self.sums << guest.memory

    def undo(self, guest: Guest, sums: int) -> None:
        """Take back the last `add`; `sums` is what they were before it."""
        del self.guests[guest.name]
        self.used -= guest.memory
        self.sums = sums

    def remove(self, name: str) -> Guest:
        """Sums cannot be subtracted: they are added up again."""
        guest = self.guests.pop(name)
        left = list(self.guests.values())
        self.used, self.sums, self.guests = 0, 1, {}
        for other in left:
            self.add(other)
        return guest


def verdict(nodes: Sequence[Node]) -> Verdict:
    """Whether every single node may die and all its VMs restart on the others."""
    if any(n.free < 0 for n in nodes):
        return Verdict.NOT
    worst = Verdict.SURVIVABLE
    for node in nodes:
        found = failure_verdict(nodes, node)
        if found is Verdict.NOT:
            return found
        if found is Verdict.UNKNOWN:
            worst = found
    return worst


def failure_verdict(nodes: Sequence[Node], failed: Node) -> Verdict:
    """Whether the VMs of `failed` fit on the others."""
    survivors = [n for n in nodes if n is not failed]
    spare = sum(n.free for n in survivors)
    if failed.used > spare:
        return Verdict.NOT
    grouped = [g for g in failed.guests.values() if g.apart]
    largest = max((g.memory for g in failed.guests.values()), default=0)
    if not grouped and _roomy(survivors, spare - failed.used, largest):
        return Verdict.SURVIVABLE
    if len(survivors) == 2:
        split = _fixed(grouped, *survivors)
        if split is not None:
            loose, on_a, on_b = split
            sums = failed.sums
            for guest in loose:
                sums |= sums << guest.memory
            need = failed.used - on_a - on_b
            free_a, free_b = survivors[0].free - on_a, survivors[1].free - on_b
            return Verdict.SURVIVABLE if _halves(sums, need, free_a, free_b) else Verdict.NOT
    return _pack(list(failed.guests.values()), survivors)[0]


def restart_plan(nodes: Sequence[Node], failed: str) -> dict[str, str] | None:
    """VM of `failed` → node it restarts on; None when there is no such packing, or none was
    found within the bound."""
    dead = next(n for n in nodes if n.name == failed)
    return _pack(list(dead.guests.values()), [n for n in nodes if n is not dead])[1]


def pack(guests: Sequence[Guest], nodes: Sequence[Node]) -> dict[str, str] | None:
    """An explicit packing of `guests` into what `nodes` have free, replicas kept apart."""
    return _pack(list(guests), nodes)[1]


def _roomy(survivors: Sequence[Node], slack: int, largest: int) -> bool:
    """Filled one after the other, each survivor but the last wastes less than the largest VM."""
    return all(n.free >= 0 for n in survivors) and slack >= (len(survivors) - 1) * largest


def _fixed(grouped: list[Guest], a: Node, b: Node) -> tuple[list[Guest], int, int] | None:
    """VMs with a replica on one survivor are fixed to the other: (the rest, units fixed to a,
    units fixed to b). None when groups need more than that: the general search decides.
    """
    if len({g.apart for g in grouped}) < len(grouped):
        return None
    groups_a, groups_b = a.groups(), b.groups()
    loose: list[Guest] = []
    on_a = on_b = 0
    for guest in grouped:
        if guest.apart in groups_a and guest.apart in groups_b:
            return None
        if guest.apart in groups_a:
            on_b += guest.memory
        elif guest.apart in groups_b:
            on_a += guest.memory
        else:
            loose.append(guest)
    return loose, on_a, on_b


def _halves(sums: int, need: int, free_a: int, free_b: int) -> int:
    """The subset sums that may go to a while the rest fits on b, as bits; 0 when there is none."""
    low, high = max(0, need - free_b), min(need, free_a)
    if free_a < 0 or free_b < 0 or high < low:
        return 0
    return ((sums >> low) & ((1 << (high - low + 1)) - 1)) << low


def _split(guests: list[Guest], a: Node, b: Node) -> tuple[Verdict, dict[str, str] | None] | None:
    """The exact packing into two nodes, read back from the subset sums; None as for `_fixed`."""
    split = _fixed([g for g in guests if g.apart], a, b)
    if split is None:
        return None
    grouped, on_a, on_b = split
    loose = [g for g in guests if not g.apart] + grouped
    steps = [1]
    for guest in loose:
        steps.append(steps[-1] | steps[-1] << guest.memory)
    need = sum(g.memory for g in loose)
    free_a, free_b = a.free - on_a, b.free - on_b
    halves = _halves(steps[-1], need, free_a, free_b)
    if not halves:
        return Verdict.NOT, None
    left = _nearest(halves, (need + free_a - free_b) // 2)
    groups_a = a.groups()
    found = {g.name: b.name if g.apart in groups_a else a.name for g in guests}
    for guest, before in zip(reversed(loose), reversed(steps[:-1]), strict=True):
        if left >= guest.memory and before >> (left - guest.memory) & 1:
            left -= guest.memory
            found[guest.name] = a.name
        else:
            found[guest.name] = b.name
    return Verdict.SURVIVABLE, found


def _nearest(bits: int, target: int) -> int:
    """The set bit nearest to `target`: what leaves both survivors about as free."""
    target = max(0, target)
    below = (bits & ((1 << (target + 1)) - 1)).bit_length() - 1
    above = bits >> target
    if not above:
        return below
    up = target + (above & -above).bit_length() - 1
    return up if below < 0 or up - target < target - below else below


def _pack(guests: list[Guest], nodes: Sequence[Node]) -> tuple[Verdict, dict[str, str] | None]:
    exact = _split(guests, nodes[0], nodes[1]) if len(nodes) == 2 else None
    if exact is not None:
        return exact
    order = sorted(guests, key=lambda g: (-g.memory, g.apart is None, g.name))
    free = [n.free for n in nodes]
    groups = [n.groups() for n in nodes]
    found = _best_fit(order, free[:], [set(g) for g in groups])
    exhausted = False
    if found is None:
        found, exhausted = _search(order, free, groups)
    if found is None:
        return (Verdict.NOT if exhausted else Verdict.UNKNOWN), None
    return Verdict.SURVIVABLE, {g.name: nodes[i].name for g, i in zip(order, found, strict=True)}


def _fits(guest: Guest, free: int, groups: set[str]) -> bool:
    return guest.memory <= free and (guest.apart is None or guest.apart not in groups)


def _best_fit(order: list[Guest], free: list[int], groups: list[set[str]]) -> list[int] | None:
    found: list[int] = []
    for guest in order:
        fitting = [i for i in range(len(free)) if _fits(guest, free[i], groups[i])]
        if not fitting:
            return None
        best = min(fitting, key=lambda i: (free[i], i))
        free[best] -= guest.memory
        if guest.apart:
            groups[best].add(guest.apart)
        found.append(best)
    return found


def _search(
    order: list[Guest], free: list[int], groups: list[set[str]]
) -> tuple[list[int] | None, bool]:
    """(packing or None, whether everything was tried)."""
    found: list[int] = []
    left = [0] * (len(order) + 1)
    for i in range(len(order) - 1, -1, -1):
        left[i] = left[i + 1] + order[i].memory
    steps = 0

    def descend(depth: int) -> bool:
        nonlocal steps
        steps += 1
        if depth == len(order):
            return True
        if left[depth] > sum(f for f in free if f > 0):
            return False
        guest = order[depth]
        tried: set[tuple[int, frozenset[str]]] = set()
        for i in range(len(free)):
            if steps > SEARCH_STEPS:
                return False
            alike = (free[i], frozenset(groups[i]))
            if not _fits(guest, free[i], groups[i]) or alike in tried:
                continue
            tried.add(alike)
            free[i] -= guest.memory
            added = guest.apart is not None and guest.apart not in groups[i]
            if added and guest.apart:
                groups[i].add(guest.apart)
            found.append(i)
            if descend(depth + 1):
                return True
            found.pop()
            free[i] += guest.memory
            if added and guest.apart:
                groups[i].discard(guest.apart)
        return False

    done = descend(0)
    return (found if done else None), steps <= SEARCH_STEPS
