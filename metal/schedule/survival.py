"""Does a cluster survive the loss of any one of its servers?

Pre-filters settle most: the sums of memory and of CPU reject, slack of the largest VM accepts.
What is left is packed (metal/schedule/packing.py): exact for two survivors, sorted best fit and a
bounded search for more. What neither decides is unknown, and unknown is never safe.
"""

from collections.abc import Iterable, KeysView, Sequence
from dataclasses import dataclass
from enum import StrEnum

UNIT_MIB = 128
UNCOUNTED = 1 << 30
"""vCPUs of a server of which nobody told the threads: not a limit, and never a proof."""


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
    """One server and what runs on it. `room` is the memory VMs may have, in units; `cpus` the
    vCPUs, None where nobody knows."""

    __slots__ = ("_groups", "cpus", "grouped", "guests", "name", "room", "sums", "used", "vcpus")

    def __init__(
        self, name: str, room: int, guests: Iterable[Guest] = (), cpus: int | None = None
    ) -> None:
        self.name = name
        self.room = room
        self.cpus = cpus
        self.guests: dict[str, Guest] = {}
        self._groups: dict[str, int] = {}
        self.grouped: dict[str, Guest] = {}
        """Those of a replica group."""
        self.used = 0
        self.vcpus = 0
        self.sums = 1
        """Bit s: some subset of its guests of no replica group needs s units."""
        for guest in guests:
            self.add(guest)

    @property
    def free(self) -> int:
        return self.room - self.used

    @property
    def cpus_free(self) -> int:
        """Never below none: what runs there already is not what is asked."""
        return UNCOUNTED if self.cpus is None else max(0, self.cpus - self.vcpus)

    def groups(self) -> KeysView[str]:
        return self._groups.keys()

    def add(self, guest: Guest) -> None:
        self.guests[guest.name] = guest
        self.used += guest.memory
        self.vcpus += guest.vcpus
        if guest.apart is None:
            self.sums |= self.sums << guest.memory
        else:
            self._groups[guest.apart] = self._groups.get(guest.apart, 0) + 1
            self.grouped[guest.name] = guest

    def undo(self, guest: Guest, sums: int) -> None:
        """Take back the last `add`; `sums` is what they were before it."""
        del self.guests[guest.name]
        self.used -= guest.memory
        self.vcpus -= guest.vcpus
        self.sums = sums
        if guest.apart is not None:
            self._groups[guest.apart] -= 1
            del self.grouped[guest.name]
            if not self._groups[guest.apart]:
                del self._groups[guest.apart]

    def remove(self, name: str) -> Guest:
        """Sums cannot be subtracted: they are added up again."""
        guest = self.guests[name]
        sums = 1
        for other in self.guests.values():
            if other.apart is None and other is not guest:
                sums |= sums << other.memory
        self.undo(guest, sums)
        return guest

    def copy(self) -> "Node":
        return Node(self.name, self.room, self.guests.values(), self.cpus)


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
    if failed.used > spare or failed.vcpus > sum(n.cpus_free for n in survivors):
        return Verdict.NOT
    grouped = list(failed.grouped.values())
    if all(n.cpus_free >= failed.vcpus for n in survivors):
        largest = max((g.memory for g in failed.guests.values()), default=0)
        if not grouped and _roomy(survivors, spare - failed.used, largest):
            return Verdict.SURVIVABLE
        forced = forced_apart(grouped, *survivors) if len(survivors) == 2 else None
        if forced is not None:
            found = _two(failed, survivors, forced, largest)
            return Verdict.SURVIVABLE if found else Verdict.NOT
    from metal.schedule.packing import pack_exactly

    return pack_exactly(list(failed.guests.values()), survivors)[0]


def _two(
    failed: Node, survivors: list[Node], forced: tuple[list[Guest], list[Guest]], largest: int
) -> bool:
    """Exact: what is fixed is taken off, the rest is a subset sum."""
    frees = [n.free - sum(g.memory for g in on) for n, on in zip(survivors, forced, strict=True)]
    need = failed.used - sum(g.memory for on in forced for g in on)
    if min(frees) < 0 or need > sum(frees):
        return False
    if sum(frees) - need >= largest:
        return True
    sums, fixed = failed.sums, {g.name for on in forced for g in on}
    for guest in failed.grouped.values():
        if guest.name not in fixed:
            sums |= sums << guest.memory
    return bool(halves(sums, need, *frees))


def forced_apart(grouped: list[Guest], a: Node, b: Node) -> tuple[list[Guest], list[Guest]] | None:
    """VMs with a replica on one survivor are fixed to the other: (those to a, those to b).

    None when groups need more than that: the general search decides.
    """
    if not grouped:
        return [], []
    on_a = [g for g in grouped if g.apart in b.groups()]
    on_b = [g for g in grouped if g.apart in a.groups()]
    twice = len({g.apart for g in grouped}) < len(grouped)
    return None if twice or {g.name for g in on_a} & {g.name for g in on_b} else (on_a, on_b)


def restart_plan(nodes: Sequence[Node], failed: str) -> dict[str, str] | None:
    """VM of `failed` → node it restarts on; None when there is no such packing, or none was
    found within the bound."""
    dead = next(n for n in nodes if n.name == failed)
    return pack(list(dead.guests.values()), [n for n in nodes if n is not dead])


def pack(guests: Sequence[Guest], nodes: Sequence[Node]) -> dict[str, str] | None:
    """An explicit packing of `guests` into what `nodes` have free, replicas kept apart."""
    from metal.schedule.packing import pack_exactly

    return pack_exactly(list(guests), nodes)[1]


def _roomy(survivors: Sequence[Node], slack: int, largest: int) -> bool:
    """Filled one after the other, each survivor but the last wastes less than the largest VM."""
    return slack >= (len(survivors) - 1) * largest and all(n.free >= 0 for n in survivors)


def halves(sums: int, need: int, free_a: int, free_b: int) -> int:
    """The subset sums that may go to a while the rest fits on b, as bits; 0 when there is none.

    Exact for two survivors: a shift and a mask.
    """
    low, high = max(0, need - free_b), min(need, free_a)
    if free_a < 0 or free_b < 0 or high < low:
        return 0
    return ((sums >> low) & ((1 << (high - low + 1)) - 1)) << low
