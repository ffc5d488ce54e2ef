"""Which VM on which server: sticky, most important first, every single server may die.

Greedy on the freest server, with one VM moved aside where that makes room, and other orders
tried when something is left over; who is left over has the place of one that matters less. VMs
that stay together are placed as one. Pure and deterministic.
"""

import gc
from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from metal.model.fleet import Inventory
from metal.model.world import World
from metal.schedule.capacity import Fleet, Host, Room, survey
from metal.schedule.explain import Unplaced, explain
from metal.schedule.freest import Freest
from metal.schedule.orders import ORDERS, Order, loss
from metal.schedule.terms import too_much_traffic
from metal.schedule.together import Together
from metal.schedule.wishes import shared_scope

__all__ = ["Home", "Placement", "Unplaced", "place"]

EJECTIONS = 3_000
"""How many pairs one attempt may try: (VM moved aside, new home), and as many (who waits, whose
place it would have)."""


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
class Placement:
    """New VMs' homes, and those without one; `fleet` is the picture with them in it."""

    homes: dict[str, Home]
    unplaced: tuple[Unplaced, ...]
    fleet: Fleet


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
    with uncollected():
        for order in ORDERS:
            attempts.append(Attempt(inventory, world, names, forming).run(order))
            if not attempts[-1].unplaced:
                break
    return min(attempts, key=lambda p: loss(inventory, (u.vm for u in p.unplaced)))


@contextmanager
def uncollected() -> Iterator[None]:
    """Python looks for no cycles meanwhile: placing makes none, and a large inventory would be
    looked through again and again."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


class Attempt:
    """One run through the VMs in one order. VMs that stay together go by the first one's name."""

    def __init__(
        self,
        inventory: Inventory,
        world: World,
        ready: Collection[str],
        forming: Collection[str],
        servers: Collection[str] | None = None,
    ) -> None:
        """`servers`: no other takes anything new, and what others have left is not looked at."""
        self.inventory = inventory
        self.servers = servers
        self.world = world
        self.clusters = frozenset(
            name
            for name, cluster in inventory.clusters.items()
            if servers is None or not {*cluster.servers}.isdisjoint(servers)
        )
        """Those that may take something."""
        self.fleet = survey(inventory, world, ready, forming, self.clusters)
        self.units = Together(inventory, world, self.fleet.where)
        self.new: set[str] = set()
        """First names of what was placed."""
        self.freest: dict[str, bool] = {}
        self.left: dict[str, tuple[str, str]] = {}
        self.ejections = self.exchanges = EJECTIONS
        self.freest_first = Freest(self.fleet.hosts())

    def run(self, order: Order) -> Placement:
        new = (
            v for v in self.inventory.vms if v not in self.world.vms and self.inventory.chosen(v)
        )
        waiting = sorted(new, key=lambda vm: order(self.inventory, (vm,)))
        units = {first: self.units.unit(first) for first in map(self.units.first, waiting)}
        firsts = sorted(units, key=lambda first: order(self.inventory, units[first]))
        # A machine on its own gets replicas only, so the others come first.
        for first in sorted(firsts, key=self._pinned_to_solo):
            self.settle(first)
        self._exchange()
        self._bring_home()
        self._drop_lonely()
        placed = {vm for first in self.new for vm in self.units.unit(first)}
        homes = {vm: self._home(vm) for vm in waiting if vm in placed}
        left = [(vm, self.left[self.units.first(vm)]) for vm in waiting if vm not in placed]
        return Placement(homes, tuple(Unplaced(vm, *why) for vm, why in left), self.fleet)

    def settle(self, first: str) -> None:
        hidden, clash = self._hidden(first), self.units.clash(first)
        if hidden or clash:
            self.left[first] = hidden or (clash, "move them to one server, or part them")
        elif not self._put(first) and not self._make_room(first):
            self.left[first] = self._explain(first)

    def _pinned_to_solo(self, first: str) -> bool:
        pin = self.units.pin(first)
        return pin is not None and bool(self.fleet.rooms[pin].alone)

    def _hidden(self, first: str) -> tuple[str, str] | None:
        """It may already run where nobody answers: a second one would be worse than none."""
        pin = self.units.pin(first)
        suspects = [c for c in self.fleet.silent if pin in (None, c)]
        if not suspects:
            return None
        names = ", ".join(suspects)
        return (
            f"it may run in {names}, which does not answer",
            f"get {names} to answer, or pin {first} to another cluster if it surely runs nowhere",
        )

    def _rooms(self, first: str) -> list[Room]:
        pin = self.units.pin(first)
        if pin is not None:
            return [self.fleet.rooms[pin]] if pin in self.clusters else []
        asked = (self.fleet.rooms[name] for name in sorted(self.clusters))
        return [r for r in asked if not (r.alone or r.only_pinned)]

    def _put(self, first: str, only: Room | None = None) -> bool:
        """Place it on the best server that can take it."""
        item = self.units.item(first)
        walk = self._candidates(first, only)
        taken: tuple[Room, Host] | None = None
        for rank, (room, host) in enumerate(walk):
            if room.put(host, item):
                taken = room, host
                self.freest[first] = rank == 0 and host.name not in self.units.home(first)
                break
        walk.close()
        if taken:
            self._settled(first, *taken)
        return taken is not None

    def _settled(self, first: str, room: Room, host: Host) -> None:
        for vm in self.units.unit(first):
            self.fleet.ledgers[room.site].add(vm)
            self.fleet.traffic[room.site] += self.inventory.vms[vm].traffic_gb
            self.fleet.where[vm] = (room.name, host.name)
        self.new.add(first)
        self.freest_first.changed(host.name)

    def _take(self, first: str) -> None:
        room, host = self._at(first)
        for vm in self.units.unit(first):
            room.take(vm, host)
            self.fleet.ledgers[room.site].remove(vm)
            self.fleet.traffic[room.site] -= self.inventory.vms[vm].traffic_gb
            del self.fleet.where[vm]
        self.new.discard(first)
        self.freest_first.changed(host.name)

    def _put_back(self, first: str, room: Room, host: Host) -> None:
        """Where it was before, which is known to be allowed."""
        room.put(host, self.units.item(first))
        self.freest[first] = False
        self._settled(first, room, host)

    def _at(self, first: str) -> tuple[Room, Host]:
        cluster, server = self.fleet.where[self.units.unit(first)[0]]
        room = self.fleet.rooms[cluster]
        return room, room.hosts[server]

    def _candidates(
        self, first: str, only: Room | None
    ) -> Generator[tuple[Room, Host], None, None]:
        """Servers that could take it, best first: at home, where HA would bring it at once; in the
        clusters it prefers; away from its mates; the freest."""
        pin = self.units.pin(first)
        room = only or (self.fleet.rooms[pin] if pin else None)
        home = self.units.home(first)
        if not home:
            yield from self._elsewhere(first, room)
            return
        rooms = (room,) if room else tuple(self.fleet.rooms.values())
        at_home = ((r, r.hosts[server]) for server in home for r in rooms if server in r.hosts)
        yield from self._willing(first, at_home)
        for at, host in self._elsewhere(first, room):
            if host.name not in home:
                yield at, host

    def _elsewhere(self, first: str, room: Room | None) -> Generator[tuple[Room, Host], None, None]:
        if room:
            yield from self._spread(first, Freest((room, h) for h in room.hosts.values()))
            return
        prefers = [c for c in self.units.prefers(first) if c in self.fleet.rooms]
        for cluster in prefers:
            liked = self.fleet.rooms[cluster]
            yield from self._spread(first, Freest((liked, h) for h in liked.hosts.values()))
        for at, host in self._spread(first, self.freest_first):
            if at.name not in prefers:
                yield at, host

    def _spread(
        self, first: str, hosts: Iterable[tuple[Room, Host]]
    ) -> Generator[tuple[Room, Host], None, None]:
        """Of these the ones far from its mates first."""
        clusters = [cluster for cluster, _ in self.units.mates(first)]
        if not clusters:
            yield from self._willing(first, hosts)
            return
        sites = [self.fleet.rooms[c].site for c in clusters]
        near: dict[tuple[int, int], list[tuple[Room, Host]]] = {}
        for at, host in self._willing(first, hosts):
            key = (clusters.count(at.name), sites.count(at.site))
            if key == (0, 0):
                yield at, host
            near.setdefault(key, []).append((at, host))
        for key in sorted(near.keys() - {(0, 0)}):
            yield from near[key]

    def _willing(
        self, first: str, hosts: Iterable[tuple[Room, Host]]
    ) -> Generator[tuple[Room, Host], None, None]:
        item, pinned = self.units.item(first), self.units.pin(first) is not None
        anchor = self.units.anchor(first)
        barred: dict[str, bool] = {}
        for room, host in hosts:
            if anchor not in (None, host.name):
                continue
            if self.servers is not None and host.name not in self.servers:
                continue
            if room.name not in barred:
                barred[room.name] = bool(
                    (room.alone and not (pinned and self._may_stand_alone(first, room)))
                    or (room.only_pinned and not pinned)
                    or room.refuses(item)
                    or self._unlawful(first, room)
                )
            if not barred[room.name] and not host.refuses(item):
                yield room, host

    def _unlawful(self, first: str, room: Room) -> bool:
        """Whether addresses, traffic, or a group that is apart by more than servers forbid the
        cluster."""
        if too_much_traffic(self.inventory, self.fleet.traffic, room.site, self.units.unit(first)):
            return True
        ledger = self.fleet.ledgers[room.site]
        *before, last = self.units.unit(first)
        for vm in (*before, last):
            mates = (cluster for cluster, _ in self.units.mates_of(vm))
            if shared_scope(self.inventory, vm, room.name, mates):
                return True
        if not before:
            return bool(ledger.refuses(last))
        with ledger.trying():
            for vm in before:
                if ledger.refuses(vm):
                    return True
                ledger.add(vm)
            return bool(ledger.refuses(last))

    def _may_stand_alone(self, first: str, room: Room) -> bool:
        """Each of it may wait, or has a replica placed elsewhere, or going to be: another solo
        machine's."""
        return all(
            self.inventory.vms[vm].may_wait or self._one_outside(vm, room)
            for vm in self.units.unit(first)
        )

    def _one_outside(self, vm: str, room: Room) -> bool:
        for other in self.units.others(vm):
            first = self.units.first(other)
            at = self.fleet.where.get(other)
            pin = at[0] if at else self.units.pin(first)
            if first not in self.left and pin not in (None, room.name):
                return True
        return False

    def _exchange(self) -> None:
        """Who waits has the place of one that matters less, where that makes room."""
        waiting = [f for f in self.left if not (self._hidden(f) or self.units.clash(f))]
        for first in sorted(waiting, key=self._importance, reverse=True):
            for other in sorted(self.new, key=lambda f: (self._importance(f), f)):
                if self.exchanges <= 0 or self._importance(other) >= self._importance(first):
                    break
                self.exchanges -= 1
                if self._take_over(first, other):
                    break

    def _take_over(self, first: str, other: str) -> bool:
        old_room, old_host = self._at(other)
        self._take(other)
        if any(self._put(first, r) for r in self._rooms(first) if r.site == old_room.site):
            del self.left[first]
            self.settle(other)
            return True
        self._put_back(other, old_room, old_host)
        return False

    def _bring_home(self) -> None:
        """Who is elsewhere than it would rather be is asked again, once others have their place."""
        for first in sorted(self.new, key=lambda f: ([-p for p in self._importance(f)], f)):
            room, host = self._at(first)
            home, prefers = self.units.home(first), self.units.prefers(first)
            if host.name in home or not (home or prefers) or (not home and room.name in prefers):
                continue
            self._take(first)
            if not self._put(first):
                self._put_back(first, room, host)

    def _importance(self, first: str) -> list[int]:
        """How much its VMs matter, the most important first."""
        return sorted(
            (self.inventory.vms[vm].priority for vm in self.units.unit(first)), reverse=True
        )

    def _drop_lonely(self) -> None:
        """A VM on a solo machine whose replicas all went without a home goes without, too."""
        while True:
            lonely = [first for first in sorted(self.new) if self._lonely(first)]
            if not lonely:
                return
            self._take(lonely[0])
            self.left[lonely[0]] = self._explain(lonely[0])

    def _lonely(self, first: str) -> bool:
        room = self._at(first)[0]
        return bool(room.alone) and any(
            all(cluster == room.name for cluster, _ in self.units.mates_of(vm))
            for vm in self.units.unit(first)
            if not self.inventory.vms[vm].may_wait
        )

    def _make_room(self, first: str) -> bool:
        """Move something else of this plan elsewhere, if that lets both have a home."""
        for room in self._rooms(first):
            if room.closed:
                continue
            for other in self._movable(room):
                if self.ejections <= 0:
                    return False
                self.ejections -= 1
                old_room, old_host = self._at(other)
                self._take(other)
                if self._put(first, room):
                    if self._put(other):
                        return True
                    self._take(first)
                self._put_back(other, old_room, old_host)
        return False

    def _movable(self, room: Room) -> Iterator[str]:
        """What this plan put at the room's site, the smallest first."""
        here = [first for first in self.new if self._at(first)[0].site == room.site]
        yield from sorted(here, key=lambda first: (self.units.item(first).memory, first))

    def _home(self, vm: str) -> Home:
        cluster, server = self.fleet.where[vm]
        mates = tuple(
            f"{other} on {self.fleet.where[other][1]}"
            for other in self.units.others(vm)
            if other in self.fleet.where
        )
        return Home(cluster, server, self.freest[self.units.first(vm)], mates)

    def _explain(self, first: str) -> tuple[str, str]:
        mates = [cluster for cluster, _ in self.units.mates(first)]
        rooms = self._rooms(first)
        return explain(self.inventory, self.fleet, self.units.item(first), rooms, mates)
