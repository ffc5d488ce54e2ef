"""The search behind `metal balance`: few moves inside one cluster that even it out.

A beam search over sequences of moves, each of which keeps every law by itself: what fits, who is
apart, which processor; and no server may come to be one whose death is not survived. Servers
that may not die as it is are mended first, whatever their spread.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from metal.model.balance import BalancePolicy
from metal.schedule.spread import Scale, Sums
from metal.schedule.survival import Guest, Item, Node, Verdict, failure_verdict

WIDTH = 12
"""Sequences of one length that are followed further."""
PATIENCE = 4
"""So many moves more are tried after the last that paid."""

Move = tuple[str, str, str]
"""(VM, from, to)"""


@dataclass(frozen=True, eq=False)
class State:
    """The cluster after some moves."""

    nodes: Mapping[str, Node]
    sums: tuple[Sums, ...]
    score: float
    moves: tuple[Move, ...] = ()
    moved: int = 0
    """Memory that went over the network, in units."""

    @cached_property
    def fatal(self) -> frozenset[str]:
        return fatal(list(self.nodes.values()))

    @property
    def shape(self) -> tuple[tuple[int, int, int], ...]:
        """States of one shape are as good as each other, mostly: one of them is enough."""
        return tuple((n.used, n.vcpus, len(n.guests)) for n in self.nodes.values())


def fatal(nodes: Sequence[Node]) -> frozenset[str]:
    """Servers whose death is not proven to be survived, and those that are overfull."""
    return frozenset(
        n.name for n in nodes if n.free < 0 or failure_verdict(nodes, n) is not Verdict.SURVIVABLE
    )


def standing(nodes: Mapping[str, Node], scale: Scale, before: State | None = None) -> State:
    """The cluster as it is; after the moves that led to `before`, and counted afresh."""
    sums = scale.sums(list(nodes.values()))
    made = (before.moves, before.moved) if before else ((), 0)
    return State(nodes, sums, scale.score(sums), *made)


def ladder(
    start: State, movable: Mapping[str, Collection[str]], scale: Scale, budget: int
) -> list[State]:
    """The best state found for each number of moves, from none to at most `budget` more.

    `movable`: VM → the servers that it may go to, in the order in which VMs are to be taken where
    they are alike. A VM moves once at most.
    """
    beam = rungs = [start]
    idle = 0
    while beam and len(rungs) <= budget and idle < PATIENCE:
        beam = _longer(beam, movable, scale)
        if beam:
            found = min(beam, key=lambda s: worth(s, scale.policy))
            pays = worth(found, scale.policy) < min(worth(s, scale.policy) for s in rungs)
            idle = 0 if pays else idle + 1
            rungs.append(found)
    return rungs


def worth(state: State, policy: BalancePolicy) -> tuple[int, float, int]:
    """The lower the better: servers that may not die, then the score, each move at its price."""
    return len(state.fatal), state.score + policy.gain * len(state.moves), state.moved


@dataclass(frozen=True)
class _Step:
    """A move that is allowed, and what the score would be."""

    score: float
    state: State
    guest: Guest
    source: str
    target: str
    sums: tuple[Sums, ...]

    @property
    def rank(self) -> tuple[float, int]:
        return self.score, self.state.moved + self.guest.memory

    def taken(self) -> State:
        nodes = dict(self.state.nodes)
        less, more = nodes[self.source].copy(), nodes[self.target].copy()
        more.add(less.remove(self.guest.name))
        nodes |= {self.source: less, self.target: more}
        return State(
            nodes,
            self.sums,
            self.score,
            (*self.state.moves, (self.guest.name, self.source, self.target)),
            self.state.moved + self.guest.memory,
        )


def step(state: State, vm: str, target: str, scale: Scale) -> State | None:
    """One move further on; None where the target cannot take it. Survival is not asked."""
    source = next(n for n in state.nodes.values() if vm in n.guests)
    guest, node = source.guests[vm], state.nodes[target]
    if node is source or not _takes(node, Item.of([guest])):
        return None
    here, there = (source.name, scale.figures(source)), (target, scale.figures(node))
    sums = scale.moved(state.sums, guest, here, there)
    return _Step(scale.score(sums), state, guest, source.name, target, sums).taken()


def _longer(
    beam: Sequence[State], movable: Mapping[str, Collection[str]], scale: Scale
) -> list[State]:
    """The best states one move further on, no two of one shape."""
    steps = sorted(
        (s for state in beam for s in _steps(state, movable, scale)), key=lambda s: s.rank
    )
    found: list[State] = []
    shapes = set[object]()
    # A broken cluster is mended first, and its score does not tell which move does that.
    mending = any(state.fatal for state in beam)
    for step in steps:
        if len(found) >= WIDTH and not mending:
            break
        state = step.taken()
        if state.fatal <= step.state.fatal and (state.shape, state.fatal) not in shapes:
            shapes.add((state.shape, state.fatal))
            found.append(state)
    return sorted(found, key=lambda s: (len(s.fatal), s.score, s.moved))[:WIDTH]


def _steps(state: State, movable: Mapping[str, Collection[str]], scale: Scale) -> Iterator[_Step]:
    """Each move that keeps the laws but for survival; of VMs that are alike only the first."""
    gone = {vm for vm, _, _ in state.moves}
    at = {vm: n for n in state.nodes.values() for vm in n.guests}
    figures = {name: scale.figures(node) for name, node in state.nodes.items()}
    alike = set[object]()
    for vm, targets in movable.items():
        source = at[vm]
        guest = source.guests[vm]
        item = Item.of([guest])
        for name in targets:
            target = state.nodes[name]
            key = (guest.memory, guest.vcpus, guest.apart, guest.cpu, source.name, name)
            if vm in gone or target is source or key in alike or not _takes(target, item):
                continue
            alike.add(key)
            here, there = (source.name, figures[source.name]), (name, figures[name])
            sums = scale.moved(state.sums, guest, here, there)
            yield _Step(scale.score(sums), state, guest, source.name, name, sums)


def _takes(node: Node, item: Item) -> bool:
    return item.memory <= node.free and item.vcpus <= node.cpus_free and item.suits(node)
