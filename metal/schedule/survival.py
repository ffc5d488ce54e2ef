"""Does a cluster survive the loss of any one of its servers?

Pre-filters settle most: the sums of memory and of CPU reject, slack of the largest VM accepts.
What is left is packed (metal/schedule/packing.py): exact for two survivors, sorted best fit and a
bounded search for more. What neither decides is unknown, and unknown is never safe.
"""

from collections.abc import Iterable, KeysView, Sequence
from dataclasses import dataclass
from enum import StrEnum

from metal.model.cpus import DEFAULT, HOST

UNIT_MIB = 128
UNCOUNTED = 1 << 30
"""vCPUs of a server of which nobody told the threads: not a limit, and never a proof."""


NOTHING: frozenset[str] = frozenset()


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
    together: str | None = None
    """Those of one such set share a node, wherever that is."""
    cpu: str | None = None
    """The processor it needs; None takes any that is not known to be too old."""

    @property
    def plain(self) -> bool:
        return self.apart is None and self.together is None and self.cpu is None

    @property
    def set(self) -> str:
        """Who restarts with it: nobody else where it is in no set."""
        return self.together or f"={self.name}"


def units(memory_mib: float) -> int:
    """Memory a VM needs, rounded up."""
    return -int(-memory_mib // UNIT_MIB)


class Node:
    """One server and what runs on it. `room` is the memory VMs may have, in units; `cpus` the
    vCPUs, `offers` the types of processor, None where nobody knows."""

    __slots__ = (
        "_groups",
        "bulk",
        "cpus",
        "guests",
        "items",
        "largest",
        "name",
        "offers",
        "old",
        "replicas",
        "room",
        "special",
        "sums",
        "used",
        "vcpus",
        "wanted",
    )

    def __init__(
        self,
        name: str,
        room: int,
        guests: Iterable[Guest] = (),
        cpus: int | None = None,
        offers: frozenset[str] | None = None,
    ) -> None:
        self.name = name
        self.room = room
        self.cpus = cpus
        self.offers = offers
        self.old = offers is not None and DEFAULT not in offers
        """Its processor is known to lack what a VM gets unasked."""
        self.guests: dict[str, Guest] = {}
        self._groups: dict[str, int] = {}
        self.special: dict[str, Guest] = {}
        """Those that cannot go just anywhere: replicas, sets that stay together, chosen CPUs."""
        self.items: dict[str, Item] = {}
        """The special ones as they restart, by `Guest.set`."""
        self.replicas = 0
        self.bulk = 0
        """Memory of the largest item."""
        self.wanted: frozenset[str] = frozenset()
        """The processors that its items ask for."""
        self.used = 0
        self.vcpus = 0
        self.largest = 0
        """Memory of the largest plain guest."""
        self.sums = 1
        """Bit s: some subset of its plain guests needs s units."""
        for guest in guests:
            self.add(guest)

    @property
    def free(self) -> int:
        return self.room - self.used

    @property
    def spare(self) -> int:
        """What it can take: an overfull one takes nothing, and takes nothing from the others."""
        return max(0, self.room - self.used)

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
        if guest.plain:
            self.sums |= self.sums << guest.memory
            self.largest = max(self.largest, guest.memory)
        else:
            self.special[guest.name] = guest
            self._renew(guest)
            if guest.apart is not None:
                self.replicas += 1
                self._groups[guest.apart] = self._groups.get(guest.apart, 0) + 1

    def _renew(self, guest: Guest) -> None:
        """The item of its set, after it came or went."""
        name = guest.set
        company = self.special.values() if guest.together else (self.special.get(guest.name),)
        those = [g for g in company if g is not None and g.set == name]
        if those:
            self.items[name] = Item.of(those)
        else:
            del self.items[name]
        self.bulk = max((i.memory for i in self.items.values()), default=0)
        self.wanted = frozenset(c for i in self.items.values() for c in i.cpus)

    def undo(self, guest: Guest, sums: int) -> None:
        """Take back the last `add`; `sums` is what they were before it."""
        del self.guests[guest.name]
        self.used -= guest.memory
        self.vcpus -= guest.vcpus
        self.sums = sums
        if guest.memory == self.largest:
            plain = (g.memory for n, g in self.guests.items() if n not in self.special)
            self.largest = max(plain, default=0)
        if self.special.pop(guest.name, None):
            self._renew(guest)
        if guest.apart is not None:
            self.replicas -= 1
            self._groups[guest.apart] -= 1
            if not self._groups[guest.apart]:
                del self._groups[guest.apart]

    def remove(self, name: str) -> Guest:
        """Sums cannot be subtracted: they are added up again."""
        guest = self.guests[name]
        sums = self.sums
        if guest.plain:
            sums = 1
            for other in self.guests.values():
                if other is not guest and other.plain:
                    sums |= sums << other.memory
        self.undo(guest, sums)
        return guest

    def without(self, vms: Iterable[str]) -> "Node":
        """As it is once they are gone; itself where none of them is on it."""
        going = [vm for vm in vms if vm in self.guests]
        less = self.copy() if going else self
        for vm in going:
            less.remove(vm)
        return less

    def copy(self) -> "Node":
        return Node(self.name, self.room, self.guests.values(), self.cpus, self.offers)


@dataclass(frozen=True, slots=True)
class Item:
    """VMs that restart as one: a single one, or a set that stays together."""

    guests: tuple[Guest, ...]
    memory: int
    vcpus: int
    disk_gib: int
    widest: int
    """The most vCPUs that one of them has."""
    groups: frozenset[str]
    sound: bool
    """False for replicas that were to stay together: they suit nowhere."""
    usual: bool
    """Whether one of them takes the usual processor."""
    cpus: frozenset[str]
    """The processors that are asked for."""

    @classmethod
    def of(cls, those: Sequence[Guest]) -> "Item":
        if len(those) == 1:
            return cls._of_one(those[0])
        groups = [g.apart for g in those if g.apart is not None]
        return cls(
            guests=tuple(those),
            memory=sum(g.memory for g in those),
            vcpus=sum(g.vcpus for g in those),
            disk_gib=sum(g.disk_gib for g in those),
            widest=max(g.vcpus for g in those),
            groups=frozenset(groups),
            sound=len(set(groups)) == len(groups),
            usual=any(g.cpu is None for g in those),
            cpus=frozenset(g.cpu for g in those if g.cpu not in (None, HOST)),
        )

    @classmethod
    def _of_one(cls, guest: Guest) -> "Item":
        """Most are: thousands are made while a fleet is placed."""
        return cls(
            guests=(guest,),
            memory=guest.memory,
            vcpus=guest.vcpus,
            disk_gib=guest.disk_gib,
            widest=guest.vcpus,
            groups=NOTHING if guest.apart is None else frozenset((guest.apart,)),
            sound=True,
            usual=guest.cpu is None,
            cpus=NOTHING if guest.cpu is None or guest.cpu == HOST else frozenset((guest.cpu,)),
        )

    def suits(self, node: Node) -> bool:
        """Whether the node has the processors, and no replica of it: size aside."""
        return self.sound and self.groups.isdisjoint(node.groups()) and self.runs(node)

    def runs(self, node: Node) -> bool:
        """Whether the node has the processors."""
        if self.usual and node.old:
            return False
        return not self.cpus or (node.offers is not None and self.cpus <= node.offers)


def bundle(guests: Iterable[Guest]) -> list[Item]:
    """The VMs as items, sets that stay together as one each."""
    sets: dict[str, list[Guest]] = {}
    for guest in guests:
        sets.setdefault(guest.set, []).append(guest)
    return [Item.of(those) for those in sets.values()]


def waiting(items: Sequence[Item], survivors: Sequence[Node]) -> list[Item]:
    """Replicas that wait for their server, because each survivor has one of their group.

    Of several that could wait the largest do: whatever takes one of them takes a smaller one.
    """
    waits: list[Item] = []
    for group in sorted({g for item in items for g in item.groups}):
        mates = [i for i in items if group in i.groups and i not in waits]
        places = sum(group not in n.groups() for n in survivors)
        mates.sort(key=lambda i: (i.memory, i.vcpus, min(g.name for g in i.guests)))
        waits += mates[places:]
    return waits


def verdict(nodes: Sequence[Node]) -> Verdict:
    """Whether every single node may die and all its VMs restart on the others."""
    frees = [n.room - n.used for n in nodes]
    if frees and min(frees) < 0:
        return Verdict.NOT
    if _ample(nodes, sum(frees)):
        return Verdict.SURVIVABLE
    worst = Verdict.SURVIVABLE
    for node in nodes:
        found = failure_verdict(nodes, node)
        if found is Verdict.NOT:
            return found
        if found is Verdict.UNKNOWN:
            worst = found
    return worst


def _ample(nodes: Sequence[Node], free: int) -> bool:
    """Whether what is `free` in all, on none below nothing, is so much that any filling of the
    others takes the VMs of any one: most clusters, told without a search."""
    bulk = vcpus = room = 0
    cpus = UNCOUNTED
    for n in nodes:
        if n.old:
            return False
        bulk, vcpus = max(bulk, n.largest, n.bulk), max(vcpus, n.vcpus)
        room, cpus = max(room, n.room), min(cpus, n.cpus_free)
    # Of the others so much is free once they took all that the largest may run.
    slack = free - room
    if slack < max(0, (len(nodes) - 2) * bulk) or cpus < vcpus:
        return False
    return all(not n.items or _loose(n, [o for o in nodes if o is not n]) for n in nodes)


def failure_verdict(nodes: Sequence[Node], failed: Node) -> Verdict:
    """Whether the VMs of `failed` fit on the others."""
    survivors = [n for n in nodes if n is not failed]
    spare, cpus, least, old = 0, 0, UNCOUNTED, False
    for n in survivors:
        spare, old = spare + n.spare, old or n.old
        cpus, least = cpus + n.cpus_free, min(least, n.cpus_free)
    items = bundle(failed.guests.values()) if old else [*failed.items.values()]
    free = not items or (not old and _loose(failed, survivors))
    forced: Forced | None = ([], [], items)
    if not free:
        # Where each may go somewhere, and no two of a group, none has to wait.
        forced = forced_apart(items, *survivors) if len(survivors) == 2 else None
    waits = waiting(items, survivors) if forced is None and survivors else []
    used = failed.used - sum(i.memory for i in waits)
    vcpus = failed.vcpus - sum(i.vcpus for i in waits)
    if used > spare or vcpus > cpus:
        return Verdict.NOT
    if vcpus <= least:
        if free and _roomy(survivors, spare - used, max(failed.largest, failed.bulk)):
            return Verdict.SURVIVABLE
        if waits and len(survivors) == 2:
            forced = forced_apart([i for i in items if i not in waits], *survivors)
        if forced is not None and len(survivors) == 2:
            sums, largest = (1, 0) if old else (failed.sums, failed.largest)
            found = _two(sums, used, survivors, forced, largest)
            return Verdict.SURVIVABLE if found else Verdict.NOT
    from metal.schedule.packing import pack_exactly

    return pack_exactly(list(failed.guests.values()), survivors)[0]


def _loose(failed: Node, survivors: Sequence[Node]) -> bool:
    """Whether each of its VMs may go to any survivor, size aside."""
    groups, wanted = failed.groups(), failed.wanted
    if len(groups) != failed.replicas:
        return False
    for n in survivors:
        if groups and not groups.isdisjoint(n.groups()):
            return False
        if wanted and (n.offers is None or not wanted <= n.offers):
            return False
    return True


Forced = tuple[list[Item], list[Item], list[Item]]
"""(to the one, to the other, to either)"""


def _two(sums: int, used: int, survivors: list[Node], forced: Forced, largest: int) -> bool:
    """Exact: what is fixed is taken off, the rest is a subset sum."""
    frees = [n.spare - sum(i.memory for i in on) for n, on in zip(survivors, forced, strict=False)]
    need = used - sum(i.memory for on in forced[:2] for i in on)
    if min(frees) < 0 or need > sum(frees):
        return False
    if sum(frees) - need >= max([largest, *(i.memory for i in forced[2])]):
        return True
    for item in forced[2]:
        sums |= sums << item.memory
    return bool(halves(sums, need, *frees))


def forced_apart(items: Sequence[Item], a: Node, b: Node) -> Forced | None:
    """What suits one survivor only is fixed to it.

    None when something suits neither, or two of a group may go to either: the search decides.
    """
    forced: Forced = ([], [], [])
    loose: set[str] = set()
    for item in items:
        to_a, to_b = item.suits(a), item.suits(b)
        if not (to_a or to_b) or not loose.isdisjoint(item.groups):
            return None
        forced[2 if to_a and to_b else 0 if to_a else 1].append(item)
        loose |= item.groups
    return forced


def restart_plan(nodes: Sequence[Node], failed: str) -> dict[str, str] | None:
    """VM of `failed` → node it restarts on, without those that wait; None when there is no such
    packing, or none was found within the bound."""
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
