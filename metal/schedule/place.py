"""Which VM on which server: sticky, most important first, every single server may die.

Greedy on the freest server, with one VM moved aside where that makes room, and other orders
tried when something is left over. Pure and deterministic.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from dataclasses import dataclass

from metal.model.fleet import Inventory
from metal.model.world import World
from metal.schedule.capacity import Fleet, Host, Room, guest_of, survey
from metal.schedule.freest import Freest
from metal.schedule.survival import UNIT_MIB, Guest

EJECTIONS = 3_000
"""How many pairs (VM moved aside, new home) one attempt may try."""


@dataclass(frozen=True)
class Home:
    """Where a VM goes."""

    cluster: str
    server: str
    freest: bool
    """No other server that may have it had more of its memory free."""
    mates: tuple[str, ...]
    """Other VMs of its replica group and their servers: "mail2 on bora1"."""


@dataclass(frozen=True)
class Unplaced:
    """A VM that goes nowhere, why, and what would mend it."""

    vm: str
    why: str
    mend: str

    def __str__(self) -> str:
        return f"{self.vm} is not placed: {self.why} → {self.mend}"


@dataclass(frozen=True)
class Placement:
    """New VMs' homes, and those without one; `fleet` is the picture with them in it."""

    homes: dict[str, Home]
    unplaced: tuple[Unplaced, ...]
    fleet: Fleet


Order = Callable[[Inventory, str], tuple[object, ...]]


def _by_priority(inventory: Inventory, vm: str) -> tuple[object, ...]:
    return (-inventory.vms[vm].priority, -inventory.needs(vm).memory_mib, vm)


def _pinned_first(inventory: Inventory, vm: str) -> tuple[object, ...]:
    return (inventory.vms[vm].cluster is None, *_by_priority(inventory, vm))


def _biggest_first(inventory: Inventory, vm: str) -> tuple[object, ...]:
    wanted = inventory.vms[vm]
    return (wanted.cluster is None, wanted.apart is None, -inventory.needs(vm).memory_mib, vm)


ORDERS: tuple[Order, ...] = (_by_priority, _pinned_first, _biggest_first)


def place(
    inventory: Inventory,
    world: World,
    ready: Collection[str] | None = None,
    forming: Collection[str] = (),
) -> Placement:
    """Homes for the inventory's VMs that the world lacks.

    `ready` clusters (all when None) are formed, or (`forming`) will be by then. When not all
    fit, what is left over is as unimportant as the orders tried could make it.
    """
    names = frozenset(inventory.clusters if ready is None else ready)
    attempts: list[Placement] = []
    for order in ORDERS:
        attempts.append(_Attempt(inventory, world, names, forming).run(order))
        if not attempts[-1].unplaced:
            break
    return min(attempts, key=lambda p: _loss(inventory, p))


def _loss(inventory: Inventory, placement: Placement) -> list[int]:
    """The priorities left over, highest first: to be as low as can be."""
    return sorted((inventory.vms[u.vm].priority for u in placement.unplaced), reverse=True)


class _Attempt:
    """One run through the VMs in one order."""

    def __init__(
        self, inventory: Inventory, world: World, ready: Collection[str], forming: Collection[str]
    ) -> None:
        self.inventory = inventory
        self.world = world
        self.fleet = survey(inventory, world, ready, forming)
        self.guests = {vm: guest_of(inventory, vm) for vm in inventory.vms}
        self.groups: dict[str, set[str]] = {}
        for vm, wanted in inventory.vms.items():
            if wanted.apart:
                self.groups.setdefault(wanted.apart, set()).add(vm)
        self.new: set[str] = set()
        self.freest: dict[str, bool] = {}
        self.left: dict[str, Unplaced] = {}
        self.ejections = EJECTIONS
        self.freest_first = Freest(self.fleet.hosts())

    def run(self, order: Order) -> Placement:
        waiting = sorted(
            (v for v in self.inventory.vms if v not in self.world.vms and self.inventory.chosen(v)),
            key=lambda vm: order(self.inventory, vm),
        )
        # A machine on its own gets replicas only, so the others come first.
        for solo in (False, True):
            for vm in waiting:
                if self._pinned_to_solo(vm) is solo:
                    self._settle(vm)
        self._drop_lonely()
        homes = {vm: self._home(vm) for vm in waiting if vm in self.new}
        left = tuple(self.left[vm] for vm in waiting if vm in self.left)
        return Placement(homes, left, self.fleet)

    def _settle(self, vm: str) -> None:
        hidden = self._hidden(vm)
        if hidden:
            self.left[vm] = hidden
        elif not self._put(vm) and not self._make_room(vm):
            self.left[vm] = self._explain(vm)

    def _pinned_to_solo(self, vm: str) -> bool:
        pin = self.inventory.vms[vm].cluster
        return pin is not None and self.fleet.rooms[pin].solo

    def _hidden(self, vm: str) -> Unplaced | None:
        """It may already run where nobody answers: a second one would be worse than none."""
        pin = self.inventory.vms[vm].cluster
        suspects = [c for c in self.fleet.silent if pin in (None, c)]
        if not suspects:
            return None
        names = ", ".join(suspects)
        return Unplaced(
            vm,
            f"it may run in {names}, which does not answer",
            f"get {names} to answer, or pin {vm} to another cluster if it surely runs nowhere",
        )

    def _rooms(self, vm: str) -> list[Room]:
        pin = self.inventory.vms[vm].cluster
        if pin is not None:
            return [self.fleet.rooms[pin]]
        return [r for r in self.fleet.rooms.values() if not (r.solo or r.only_pinned)]

    def _put(self, vm: str, only: Room | None = None) -> bool:
        """Place it on the best server that can take it."""
        guest = self.guests[vm]
        walk = self._candidates(vm, only)
        taken: tuple[Room, Host] | None = None
        for rank, (room, host) in enumerate(walk):
            if room.put(guest, host):
                taken = room, host
                self.freest[vm] = rank == 0
                break
        walk.close()
        if taken:
            self._settled(vm, *taken)
        return taken is not None

    def _settled(self, vm: str, room: Room, host: Host) -> None:
        self.fleet.ledgers[room.site].add(vm)
        self.fleet.where[vm] = (room.name, host.name)
        self.new.add(vm)
        self.freest_first.changed(host.name)

    def _take(self, vm: str) -> None:
        room, host = self._at(vm)
        room.take(vm, host)
        self.fleet.ledgers[room.site].remove(vm)
        del self.fleet.where[vm]
        self.new.discard(vm)
        self.freest_first.changed(host.name)

    def _put_back(self, vm: str, room: Room, host: Host) -> None:
        """Where it was before, which is known to be allowed."""
        room.put(self.guests[vm], host)
        self.freest[vm] = False
        self._settled(vm, room, host)

    def _at(self, vm: str) -> tuple[Room, Host]:
        cluster, server = self.fleet.where[vm]
        room = self.fleet.rooms[cluster]
        return room, room.hosts[server]

    def _candidates(self, vm: str, only: Room | None) -> Generator[tuple[Room, Host], None, None]:
        """Servers that could take it, best first: away from its mates, then the freest."""
        mates = self._mates(vm)
        pin = self.inventory.vms[vm].cluster
        room = only or (self.fleet.rooms[pin] if pin else None)
        hosts = Freest((room, h) for h in room.hosts.values()) if room else self.freest_first
        if not mates:
            yield from self._willing(vm, hosts)
            return
        clusters = [cluster for cluster, _ in mates]
        sites = [self.fleet.rooms[c].site for c in clusters]
        near: dict[tuple[int, int], list[tuple[Room, Host]]] = {}
        for at, host in self._willing(vm, hosts):
            key = (clusters.count(at.name), sites.count(at.site))
            if key == (0, 0):
                yield at, host
            near.setdefault(key, []).append((at, host))
        for key in sorted(near.keys() - {(0, 0)}):
            yield from near[key]

    def _willing(
        self, vm: str, hosts: Iterable[tuple[Room, Host]]
    ) -> Generator[tuple[Room, Host], None, None]:
        guest, pinned = self.guests[vm], self.inventory.vms[vm].cluster is not None
        barred: dict[str, bool] = {}
        for room, host in hosts:
            if room.name not in barred:
                barred[room.name] = bool(
                    (room.solo and not (pinned and self._has_mate_outside(vm, room)))
                    or (room.only_pinned and not pinned)
                    or room.refuses(guest)
                    or self.fleet.ledgers[room.site].refuses(vm)
                )
            if not barred[room.name] and not host.refuses(guest):
                yield room, host

    def _mates(self, vm: str) -> list[tuple[str, str]]:
        """(cluster, server) of the placed others of its replica group."""
        group = self.guests[vm].apart
        others = sorted(self.groups.get(group, set()) - {vm}) if group else []
        return [self.fleet.where[o] for o in others if o in self.fleet.where]

    def _has_mate_outside(self, vm: str, room: Room) -> bool:
        """Placed elsewhere, or going to be: another solo machine's own replica."""
        group = self.guests[vm].apart
        for other in self.groups.get(group, set()) - {vm} if group else set():
            at = self.fleet.where.get(other)
            pin = at[0] if at else self.inventory.vms[other].cluster
            if other not in self.left and pin not in (None, room.name):
                return True
        return False

    def _drop_lonely(self) -> None:
        """A VM on a solo machine whose replicas all went without a home goes without, too."""
        while True:
            lonely = [
                vm
                for vm in sorted(self.new)
                if self._at(vm)[0].solo
                and all(cluster == self._at(vm)[0].name for cluster, _ in self._mates(vm))
            ]
            if not lonely:
                return
            self._take(lonely[0])
            self.left[lonely[0]] = self._explain(lonely[0])

    def _make_room(self, vm: str) -> bool:
        """Move one VM of this plan elsewhere, if that lets both have a home."""
        for room in self._rooms(vm):
            if room.refuses(self.guests[vm]) and room.closed:
                continue
            for other in self._movable(room):
                if self.ejections <= 0:
                    return False
                self.ejections -= 1
                old_room, old_host = self._at(other)
                self._take(other)
                if self._put(vm, room):
                    if self._put(other):
                        return True
                    self._take(vm)
                self._put_back(other, old_room, old_host)
        return False

    def _movable(self, room: Room) -> Iterator[str]:
        """VMs this plan put at the room's site, the smallest first."""
        here = [vm for vm in self.new if self._at(vm)[0].site == room.site]
        yield from sorted(here, key=lambda vm: (self.guests[vm].memory, vm))

    def _home(self, vm: str) -> Home:
        cluster, server = self.fleet.where[vm]
        group = self.guests[vm].apart
        others = sorted(self.groups.get(group, set()) - {vm}) if group else []
        mates = tuple(
            f"{other} on {self.fleet.where[other][1]}"
            for other in others
            if other in self.fleet.where
        )
        return Home(cluster, server, self.freest[vm], mates)

    def _explain(self, vm: str) -> Unplaced:
        """Why no cluster could take it, one by one, and what would mend that."""
        guest = self.guests[vm]
        whys: dict[str, list[str]] = {}
        mends: dict[str, None] = {}
        for room in self._rooms(vm):
            why, mend = self._why_not(vm, guest, room)
            whys.setdefault(why, []).append(room.name)
            mends[mend] = None
        if not whys:
            return Unplaced(
                vm,
                "there is no cluster of several servers for it that takes VMs unasked",
                "pin it to a cluster (to a solo machine only with a replica elsewhere, `apart`)",
            )
        text = "; ".join(f"{', '.join(rooms)}: {why}" for why, rooms in whys.items())
        return Unplaced(vm, text, " or ".join(list(mends)[:3]))

    def _why_not(self, vm: str, guest: Guest, room: Room) -> tuple[str, str]:
        if room.closed:
            return room.closed, f"mend {room.name} first"
        if room.solo and not self._mates_outside(vm, room):
            return (
                "a machine on its own takes only VMs with a replica elsewhere",
                "give it an `apart` group with a VM in another cluster, or unpin it",
            )
        why = room.refuses(guest)
        if why:
            return why, f"give {vm} less or {room.name} more"
        why = self.fleet.ledgers[room.site].refuses(vm)
        if why:
            return f"{room.site}: {why}", _address_mend(vm, room.site)
        reasons = {host.name: host.refuses(guest) for host in room.hosts.values()}
        if all(reasons.values()):
            distinct = list(dict.fromkeys(reasons.values()))
            text = (
                f"{distinct[0]} on any server"
                if len(distinct) == 1
                else ", ".join(f"{server} {why}" for server, why in reasons.items())
            )
        else:
            text = "with it the death of one server could not be survived"
        gib = guest.memory * UNIT_MIB / 1024
        return text, f"free {gib:g} GiB of memory there, or give {vm} a smaller size"

    def _mates_outside(self, vm: str, room: Room) -> bool:
        return any(cluster != room.name for cluster, _ in self._mates(vm))


def _address_mend(vm: str, site: str) -> str:
    return f"add addresses to sites.{site}.ipv4_pool, or give {vm} a lighter ipv4 treatment"
