"""The fewest moves inside one cluster after which every server may die, found exactly.

OR-tools CP-SAT says which VMs move and where to, for all failures at once; a short search then
orders the moves so that each is lawful by itself. It stands behind the beam search of
metal/schedule/even.py, which is quicker and does not always find one. Needs the extra `solver`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from metal.schedule.even import State, step
from metal.schedule.solver import installed
from metal.schedule.spread import Scale
from metal.schedule.survival import Guest, Item, Node

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

SECONDS = 10.0
LARGEST = 60_000
"""Variables beyond which nobody waits for an answer."""
TRIES = 5
"""Sets of moves that are looked at when those before them have no lawful order."""
ORDERS = 2_000

Targets = Mapping[str, Collection[str]]
"""VM that may move → the servers that it may go to."""


@dataclass(frozen=True)
class Repair:
    state: State | None = None
    """The cluster after the moves; None where none were found."""
    hopeless: bool = False
    """Proven: no moves inside the cluster do it."""


def repair(start: State, movable: Targets, scale: Scale, seconds: float = SECONDS) -> Repair:
    """Lawful one by one, and as few as can be; of as few the least memory. VMs that stay together
    are not moved, and prove nothing."""
    guests = {vm: g for n in start.nodes.values() for vm, g in n.guests.items()}
    if not installed() or len(guests) * len(start.nodes) ** 2 > LARGEST:
        return Repair()
    single = {vm: to for vm, to in movable.items() if guests[vm].together is None}
    model = _Model(start.nodes, single)
    for attempt in range(TRIES):
        moves, hopeless = model.solve(seconds)
        if moves is None:
            return Repair(hopeless=hopeless and attempt == 0 and len(single) == len(movable))
        found = _ordered(start, moves, scale)
        if found is not None:
            return Repair(found)
        model.forbid(moves)
    return Repair()


def _ordered(start: State, moves: Mapping[str, str], scale: Scale) -> State | None:
    """The moves one after the other, none of which makes another server's death fatal."""
    tried: set[frozenset[str]] = set()

    def go_on(state: State, left: Mapping[str, str]) -> State | None:
        if not left:
            return state if not state.fatal else None
        if frozenset(left) in tried or len(tried) > ORDERS:
            return None
        tried.add(frozenset(left))
        for vm, target in left.items():
            after = step(state, vm, target, scale)
            if after is not None and after.wrongs <= state.wrongs:
                end = go_on(after, {v: t for v, t in left.items() if v != vm})
                if end is not None:
                    return end
        return None

    return go_on(start, moves)


class _Model:
    """x[vm][server]: where it runs; r[dead][vm][server]: where it restarts when `dead` dies."""

    def __init__(self, nodes: Mapping[str, Node], movable: Targets) -> None:
        from ortools.sat.python import cp_model

        self.cp: Any = cp_model
        self.model = cp_model.CpModel()
        self.nodes = nodes
        self.guests = [g for n in nodes.values() for g in n.guests.values()]
        self.at = {g.name: n.name for n in nodes.values() for g in n.guests.values()}
        self.movable = movable
        self.x = {g.name: {s: self._runs(g, s) for s in nodes} for g in self.guests}
        for on in self.x.values():
            self.model.add_exactly_one(on.values())
        for node in nodes.values():
            self._fits(node)
        for dead in nodes:
            self._dies(dead)
        cost = max(1, 1 + sum(g.memory for g in self.guests))
        self.model.minimize(
            sum((cost + g.memory) * (1 - self.x[g.name][self.at[g.name]]) for g in self.guests)
        )

    def _runs(self, guest: Guest, server: str) -> "cp_model.IntVar":
        here = server == self.at[guest.name]
        free = guest.name in self.movable
        may = free and server in self.movable[guest.name] and self._suits(guest, server)
        return self.model.new_int_var(int(here and not free), int(here or may), "")

    def _suits(self, guest: Guest, server: str) -> bool:
        return Item.of([guest]).runs(self.nodes[server])

    def _fits(self, node: Node) -> None:
        """What runs on it in the end; what is too much of vCPUs already is not asked."""
        on = {g.name: self.x[g.name][node.name] for g in self.guests}
        self.model.add(sum(g.memory * on[g.name] for g in self.guests) <= node.room)
        came = [on[g.name] for g in self.guests if self.at[g.name] != node.name]
        if node.cpus is not None and came:
            vcpus = sum(g.vcpus * on[g.name] for g in self.guests)
            for one in came:
                self.model.add(vcpus <= node.cpus).only_enforce_if(one)
        for mates in self._groups().values():
            here = sum(g.name in node.guests for g in mates)
            self.model.add(sum(on[g.name] for g in mates) <= max(1, here))

    def _groups(self) -> dict[str, list[Guest]]:
        found: dict[str, list[Guest]] = {}
        for guest in self.guests:
            if guest.apart is not None:
                found.setdefault(guest.apart, []).append(guest)
        return found

    def _dies(self, dead: str) -> None:
        """Each VM on it restarts, where it suits; a replica waits where all others have one."""
        rest = [n for name, n in self.nodes.items() if name != dead]
        r = {
            g.name: {
                n.name: self.model.new_int_var(0, int(self._suits(g, n.name)), "") for n in rest
            }
            for g in self.guests
        }
        everywhere = {name for name, m in self._groups().items() if len(m) >= len(self.nodes)}
        for guest in self.guests:
            restarts = sum(r[guest.name].values())
            if guest.apart in everywhere:
                self.model.add(restarts <= self.x[guest.name][dead])
            else:
                self.model.add(restarts == self.x[guest.name][dead])
        self._together(dead, r)
        for node in rest:
            self._takes(node, {vm: to[node.name] for vm, to in r.items()})

    def _together(self, dead: str, r: Mapping[str, Mapping[str, Any]]) -> None:
        """VMs of one set never move, so those of it on the dead server are known."""
        first: dict[str, str] = {}
        for guest in self.nodes[dead].guests.values():
            leader = first.setdefault(guest.set, guest.name)
            for server, var in r[guest.name].items():
                if leader != guest.name:
                    self.model.add(var == r[leader][server])

    def _takes(self, node: Node, comes: Mapping[str, Any]) -> None:
        on = {g.name: self.x[g.name][node.name] for g in self.guests}
        both = [(g, on[g.name], comes[g.name]) for g in self.guests]
        self.model.add(sum(g.memory * (here + later) for g, here, later in both) <= node.room)
        if node.cpus is not None:
            vcpus = sum(g.vcpus * (here + later) for g, here, later in both)
            for _, _, later in both:
                self.model.add(vcpus <= node.cpus).only_enforce_if(later)
        for mates in self._groups().values():
            every = sum(on[m.name] + comes[m.name] for m in mates)
            for mate in mates:
                self.model.add(every <= 1).only_enforce_if(comes[mate.name])

    def forbid(self, moves: Mapping[str, str]) -> None:
        """Not just these again."""
        kept = [self.x[vm][server] for vm, server in moves.items()]
        self.model.add(sum(kept) < len(kept))

    def solve(self, seconds: float) -> tuple[dict[str, str] | None, bool]:
        """(VM → where it moves to, whether it is proven that there is nothing)."""
        solver = self.cp.CpSolver()
        solver.parameters.max_time_in_seconds = seconds
        solver.parameters.num_workers = 2
        solver.parameters.random_seed = 1
        status = solver.solve(self.model)
        if status not in (self.cp.OPTIMAL, self.cp.FEASIBLE):
            return None, status == self.cp.INFEASIBLE
        return {
            vm: server
            for vm, on in self.x.items()
            for server, var in on.items()
            if solver.value(var) and server != self.at[vm]
        }, False
