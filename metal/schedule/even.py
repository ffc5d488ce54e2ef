"""The search behind `metal balance`: few moves inside one cluster that even it out.

A beam search over sequences of moves, each of which keeps every law by itself: what fits, who is
apart, which processor; and no server may come to be one whose death is not survived. Servers
that may not die as it is are mended first, whatever their spread.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from metal.model.balance import BalancePolicy
from metal.schedule.spread import Figures, Scale, Sums
from metal.schedule.survival import Item, Node, Verdict, failure_verdict

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
    def wrongs(self) -> "frozenset[Wrong]":
        return wrongs(list(self.nodes.values()))

    @cached_property
    def fatal(self) -> frozenset[str]:
        return frozenset(server for _, server in self.wrongs)

    @property
    def shape(self) -> tuple[tuple[int, int, int], ...]:
        """States of one shape are as good as each other, mostly: one of them is enough."""
        return tuple((n.used, n.vcpus, len(n.guests)) for n in self.nodes.values())


Wrong = tuple[Literal["overfull", "deadly"], str]
"""What is wrong with a server: one may be mended at the price of the other by no step."""


def wrongs(nodes: Sequence[Node]) -> frozenset[Wrong]:
    """Servers that are overfull, and those whose death is not proven to be survived."""
    found: set[Wrong] = {("overfull", n.name) for n in nodes if n.free < 0}
    deadly = (n for n in nodes if failure_verdict(nodes, n) is not Verdict.SURVIVABLE)
    return frozenset(found | {("deadly", n.name) for n in deadly})


def fatal(nodes: Sequence[Node]) -> frozenset[str]:
    """Servers with which anything is wrong."""
    return frozenset(server for _, server in wrongs(nodes))


def standing(nodes: Mapping[str, Node], scale: Scale, before: State | None = None) -> State:
    """The cluster as it is; after the moves that led to `before`, and counted afresh."""
    sums = scale.sums(list(nodes.values()))
    made = (before.moves, before.moved) if before else ((), 0)
    return State(nodes, sums, scale.score(sums), *made)


def ladder(
    start: State, movable: Mapping[str, Collection[str]], scale: Scale, budget: int
) -> list[State]:
    """The best state found for each number of steps, of at most `budget` moves more.

    `movable`: VM → the servers that it may go to, in the order in which VMs are to be taken where
    they are alike; of those that stay together one, and all go. A VM moves once at most.
    """
    beam = rungs = [start]
    most, idle = len(start.moves) + budget, 0
    while beam and idle < PATIENCE:
        beam = _longer(beam, movable, scale, most)
        if beam:
            found = min(beam, key=lambda s: worth(s, scale.policy))
            pays = worth(found, scale.policy) < min(worth(s, scale.policy) for s in rungs)
            idle = 0 if pays else idle + 1
            rungs.append(found)
    return rungs


def worth(state: State, policy: BalancePolicy) -> tuple[int, float, int]:
    """The lower the better: servers that may not die, then the score, each move at its price."""
    return len(state.wrongs), state.score + policy.gain * len(state.moves), state.moved


@dataclass(frozen=True)
class _Step:
    """VMs that go together, mostly one, are allowed on the target; and what the score would be."""

    score: float
    state: State
    item: Item
    source: str
    target: str
    sums: tuple[Sums, ...]

    @property
    def rank(self) -> tuple[float, int]:
        return self.score, self.state.moved + self.item.memory

    def taken(self) -> State | None:
        """None where somewhere on the way a server may not die that may now."""
        nodes = dict(self.state.nodes)
        less, more = nodes[self.source].copy(), nodes[self.target].copy()
        nodes |= {self.source: less, self.target: more}
        *before, last = self.item.guests
        for guest in before:
            more.add(less.remove(guest.name))
            if not wrongs(list(nodes.values())) <= self.state.wrongs:
                return None
        more.add(less.remove(last.name))
        made = ((g.name, self.source, self.target) for g in self.item.guests)
        return State(
            nodes,
            self.sums,
            self.score,
            (*self.state.moves, *made),
            self.state.moved + self.item.memory,
        )


def step(state: State, vm: str, target: str, scale: Scale) -> State | None:
    """One move further on; None where the target cannot take it. Survival is not asked."""
    source = next(n for n in state.nodes.values() if vm in n.guests)
    item, node = Item.of([source.guests[vm]]), state.nodes[target]
    if node is source or not _takes(node, item):
        return None
    here, there = ((n.name, scale.figures(n)) for n in (source, node))
    return _step(state, item, here, there, scale).taken()


Seen = tuple[str, Figures]
"""A server, and what the score counts of it."""


def _step(state: State, item: Item, source: Seen, target: Seen, scale: Scale) -> _Step:
    sums = scale.moved(state.sums, item, source, target)
    return _Step(scale.score(sums), state, item, source[0], target[0], sums)


def _longer(
    beam: Sequence[State], movable: Mapping[str, Collection[str]], scale: Scale, most: int
) -> list[State]:
    """The best states one step further on of up to `most` moves, no two of one shape."""
    steps = sorted(
        (s for state in beam for s in _steps(state, movable, scale, most)), key=lambda s: s.rank
    )
    found: list[State] = []
    shapes = set[object]()
    # A broken cluster is mended first, and its score does not tell which move does that.
    mending = any(state.wrongs for state in beam)
    for step in steps:
        if len(found) >= WIDTH and not mending:
            break
        state = step.taken()
        if state is None or not state.wrongs <= step.state.wrongs:
            continue
        if (state.shape, state.wrongs) not in shapes:
            shapes.add((state.shape, state.wrongs))
            found.append(state)
    return sorted(found, key=lambda s: (len(s.wrongs), s.score, s.moved))[:WIDTH]


def _steps(
    state: State, movable: Mapping[str, Collection[str]], scale: Scale, most: int
) -> Iterator[_Step]:
    """Each that keeps the laws but for survival; of VMs that are alike only the first."""
    gone = {vm for vm, _, _ in state.moves}
    at = {vm: n for n in state.nodes.values() for vm in n.guests}
    figures = {name: scale.figures(node) for name, node in state.nodes.items()}
    alike = set[object]()
    for vm, targets in movable.items():
        if vm in gone:
            continue
        source = at[vm]
        guest = source.guests[vm]
        item = Item.of([guest]) if guest.together is None else source.items[guest.set]
        if len(state.moves) + len(item.guests) > most:
            continue
        kind = (guest.memory, guest.vcpus, guest.apart, guest.cpu, guest.together, source.name)
        for name in targets:
            target = state.nodes[name]
            if target is source or (kind, name) in alike or not _takes(target, item):
                continue
            alike.add((kind, name))
            here, there = (source.name, figures[source.name]), (name, figures[name])
            yield _step(state, item, here, there, scale)


def _takes(node: Node, item: Item) -> bool:
    return item.memory <= node.free and item.vcpus <= node.cpus_free and item.suits(node)
