"""Which VMs leave one cluster, and for where, so that it loses a server again without harm.

Three aims, one after the other: that their leaving mends all of it; that so few leave that moves
inside mend the rest; or else, server by server, that those with the most important VMs may die.
For each as few go as are found; of as few those that do not prefer to be where they are, then
the least important, then the least to send.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil, comb

from metal.model.fleet import Inventory
from metal.model.world import World
from metal.schedule.balance import moves_inside
from metal.schedule.capacity import Room, survey
from metal.schedule.elsewhere import elsewhere
from metal.schedule.even import fatal
from metal.schedule.explain import Unplaced
from metal.schedule.place import Home
from metal.schedule.survival import Guest
from metal.schedule.wishes import together_sets

TRIES = 5_000
"""Sets of one size that are looked through; beyond that one VM after the other is chosen."""
JOURNEYS = 40
"""Sets that would do and of which it is tried whether they find a place."""
CLIMBS = 4
"""Sets of which it is tried whether moves inside mend the rest."""


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
class Need:
    """What is wrong with a cluster."""

    fatal: frozenset[str]
    over_gib: int

    def __bool__(self) -> bool:
        return bool(self.fatal or self.over_gib)

    def exceeds(self, other: "Need") -> bool:
        return not self.fatal <= other.fatal or self.over_gib > other.over_gib


@dataclass(frozen=True)
class Way:
    """Who leaves the cluster, one after the other."""

    steps: tuple[Transfer, ...]
    left: Need = Need(frozenset(), 0)
    """What is wrong afterwards all the same."""
    inside: int = 0
    """Moves inside it that mend what is left; 0: none do, or nothing is left."""


def need_of(room: Room, without: Collection[str] = ()) -> Need:
    """With those VMs gone."""
    disk = room.disk - sum(g.disk_gib for g in guests_of(room).values() if g.name in without)
    over = 0 if room.disk_limit is None else ceil(max(0.0, disk - room.disk_limit))
    nodes = [h.node.without(without) for h in room.hosts.values()]
    return Need(frozenset() if room.alone else fatal(nodes), over)


def guests_of(room: Room) -> dict[str, Guest]:
    return {vm: g for h in room.hosts.values() for vm, g in h.node.guests.items()}


def moved(world: World, step: Transfer) -> World:
    """The world once it was made."""
    cluster, server = step.target
    there = world.vms[step.vm].model_copy(update={"cluster": cluster, "server": server})
    return world.model_copy(update={"vms": world.vms | {step.vm: there}})


def stake(inventory: Inventory, room: Room, server: str) -> int:
    """The priority of the most important VM that would be down."""
    at_stake = [vm for vm in room.hosts[server].node.guests if vm in inventory.vms]
    return max((inventory.vms[vm].priority for vm in at_stake), default=0)


def lack(room: Room, dead: str | None = None) -> int:
    """Memory, in units, that must leave at least for `dead` (any server when None) to be lost,
    wherever in the cluster its VMs are; replicas are not counted, for they may wait. Beyond none,
    no moves inside it help."""
    nodes = [h.node for h in room.hosts.values()]
    used = sum(g.memory for n in nodes for g in n.guests.values() if g.apart is None)
    lost = max(n.room for n in nodes) if dead is None else room.hosts[dead].node.room
    return used - sum(n.room for n in nodes) + lost


def relieve(
    inventory: Inventory, world: World, cluster: str, resting: Collection[str]
) -> Way | None:
    """What is best for the cluster; None where nobody may go, or nobody's going helps."""
    search = _Search(inventory, world, cluster, resting)
    room = search.room
    whole = search.reach(lambda those: not need_of(room, those), lack(room))
    few = search.joined(len(whole) - 1 if whole else len(search.movable))
    if few is not None:
        return few
    if whole is not None:
        return Way(tuple(whole))
    return _in_part(inventory, world, cluster, resting)


def _in_part(
    inventory: Inventory, world: World, cluster: str, resting: Collection[str]
) -> Way | None:
    """The servers whose loss costs most first, each for itself, until none can be helped."""
    steps: list[Transfer] = []
    while True:
        search = _Search(inventory, world, cluster, resting)
        more = search.one_of_it()
        if more is None:
            break
        steps += more
        for step in more:
            world = moved(world, step)
    return Way(tuple(steps), need_of(search.room)) if steps else None


class _Search:
    """Sets of VMs that may leave one cluster, as the world is."""

    def __init__(
        self, inventory: Inventory, world: World, cluster: str, resting: Collection[str]
    ) -> None:
        self.inventory, self.world = inventory, world
        self.room = survey(inventory, world, inventory.clusters, (), {cluster}).rooms[cluster]
        self.guests = guests_of(self.room)
        sets = together_sets(inventory.vms)
        self.movable = sorted(
            (vm for vm in self.guests if vm not in resting and self._may_leave(vm, sets)),
            key=lambda vm: self._price((vm,)),
        )
        self._homes: dict[str, Home | Unplaced] = {}
        self.homeless: set[str] = set()
        """Those that no other cluster takes, as was found."""

    def _may_leave(self, vm: str, sets: Collection[str]) -> bool:
        """Who is tied to the cluster by a wish stays; who would be down meanwhile is not asked
        to."""
        if vm not in self.inventory.vms or vm in sets:
            return False
        wanted, seen = self.inventory.vms[vm], self.world.vms[vm]
        tied = wanted.cluster is not None or wanted.home
        here = seen.cluster == self.room.name
        return not tied and here and (seen.state, seen.kind) == ("running", "vm")

    def reach(
        self, does: Callable[[Sequence[str]], bool], least: int, most: int | None = None
    ) -> list[Transfer] | None:
        """The cheapest way after which it does: of up to `most` VMs with `least` units of memory
        in all."""
        tried = 0
        for those in self._sets(does, least, len(self.movable) if most is None else most):
            if self.homeless.intersection(those) or not does(those):
                continue
            if tried == JOURNEYS:
                break
            tried += 1
            way = self._journey(those)
            if way is not None:
                return way
            self.homeless |= {vm for vm in those if self._has_no_other(vm)}
        return None

    def joined(self, most: int) -> Way | None:
        """Up to `most` VMs leave, and moves inside mend the rest."""
        inside: dict[tuple[str, ...], int] = {}

        def does(those: Sequence[str]) -> bool:
            if len(inside) == CLIMBS or need_of(self.room, those).over_gib:
                return False
            key = tuple(those)
            inside[key] = moves_inside(self.inventory, self.world, self.room, those) or 0
            return bool(inside[key])

        steps = self.reach(does, max(1, lack(self.room)), most)
        if not steps:
            return None
        those = {step.vm for step in steps}
        count = next(n for key, n in inside.items() if n and {*key} == those)
        return Way(tuple(steps), need_of(self.room, those), count)

    def one_of_it(self) -> list[Transfer] | None:
        """A way after which one server more may die, or the disks hold what they were promised."""
        need = need_of(self.room)
        for server in sorted(need.fatal, key=lambda s: (-stake(self.inventory, self.room, s), s)):
            if way := self.reach(self._lets(server), lack(self.room, server)):
                return way
        if not need.over_gib:
            return None
        return self.reach(lambda those: not need_of(self.room, those).over_gib, 0)

    def _lets(self, server: str) -> Callable[[Sequence[str]], bool]:
        return lambda those: server not in need_of(self.room, those).fatal

    def _price(self, those: Sequence[str]) -> tuple[int, int, int, int, tuple[str, ...]]:
        """How many, who would rather stay, how important, how much to send."""
        wanted = [self.inventory.vms[vm] for vm in those]
        return (
            len(those),
            sum(self.room.name in w.prefers for w in wanted),
            sum(w.priority for w in wanted),
            sum(self._gib(vm) + self.inventory.needs(vm).memory_mib // 1024 for vm in those),
            tuple(those),
        )

    def _gib(self, vm: str) -> int:
        return max(self.inventory.needs(vm).disk_gib, self.world.vms[vm].disk_gib or 0)

    def _sets(
        self, does: Callable[[Sequence[str]], bool], least: int, most: int
    ) -> Iterator[tuple[str, ...]]:
        """Who may go together, the cheapest first. Where there are too many sets of a size, one
        is chosen VM by VM; another if some of it turned out to be homeless meanwhile."""
        movable: Sequence[str] = self.movable
        for size in range(1, most + 1):
            if comb(len(movable), size) > TRIES:
                break
            enough = (
                those
                for those in combinations(movable, size)
                if sum(self.guests[vm].memory for vm in those) >= least
            )
            yield from sorted(enough, key=self._price)
        else:
            return
        while True:
            those = self._chosen(movable, does)
            if len(those) <= most:
                yield those
            if self.homeless.isdisjoint(those):
                return
            movable = [vm for vm in movable if vm not in self.homeless]

    def _chosen(
        self, movable: Sequence[str], does: Callable[[Sequence[str]], bool]
    ) -> tuple[str, ...]:
        """The largest until that does; then whoever need not go, the dearest first, stays."""
        those: list[str] = []
        for vm in sorted(movable, key=lambda vm: -self.guests[vm].memory):
            if does(those):
                break
            those.append(vm)
        for vm in reversed(movable):
            if vm in those and does([other for other in those if other != vm]):
                those.remove(vm)
        return tuple(those)

    def _has_no_other(self, vm: str) -> bool:
        """No cluster takes it as all is now."""
        if vm not in self._homes:
            self._homes[vm] = elsewhere(self.inventory, self.world, vm)
        return isinstance(self._homes[vm], Unplaced)

    def _journey(self, those: Sequence[str]) -> list[Transfer] | None:
        """The largest first. At no step may a server not die that might before."""
        room, world, need = self.room, self.world, need_of(self.room)
        way: list[Transfer] = []
        for vm in sorted(those, key=lambda vm: (-self.guests[vm].memory, vm)):
            after = need_of(room, [*(step.vm for step in way), vm])
            home = elsewhere(self.inventory, world, vm)
            if isinstance(home, Unplaced) or after.exceeds(need):
                return None
            seen, need = world.vms[vm], after
            way.append(
                Transfer(
                    vm=vm,
                    priority=self.inventory.vms[vm].priority,
                    source=(room.name, seen.server),
                    target=(home.cluster, home.server),
                    gib=self._gib(vm),
                    renumbered=self.inventory.site_of(home.cluster) != room.site,
                )
            )
            world = moved(world, way[-1])
        return way
