"""How one cluster is evened out and mended until nothing more pays.

The beam search of metal/schedule/even.py is quick and sees a few sequences of moves alone; the
exact repair of metal/schedule/repair.py stands behind it where a server may not die. From where
they ended another sequence may pay, so they are asked again: a run of tomorrow finds nothing that
today's left over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from metal.schedule.even import State, ladder, standing, worth
from metal.schedule.repair import repair
from metal.schedule.spread import Scale
from metal.schedule.survival import Node


@dataclass(frozen=True)
class Climb:
    """What moves inside one cluster can be made of."""

    scale: Scale
    movable: Mapping[str, Sequence[str]]
    """VM → servers it may go to, in the order in which VMs that are alike are to be taken. Of
    those that stay together one is named, and stands for all."""
    rungs: Sequence[State]
    """The best state for each number of steps, from the cluster as it is."""

    @property
    def start(self) -> State:
        return self.rungs[0]

    @property
    def promise(self) -> tuple[int, float]:
        """What the cluster comes to, against what it is: the lower the sooner its turn."""
        policy = self.scale.policy
        best, now = min(worth(s, policy) for s in self.rungs), worth(self.start, policy)
        return best[0] - now[0], best[1] - now[1]

    def mended(self) -> State | None:
        """With no server whose death is fatal, however many moves that takes."""
        if not all(state.fatal for state in self.rungs):
            return min((s for s in self.rungs if not s.fatal), key=lambda s: len(s.moves))
        return repair(self.start, self.movable, self.scale).state


@dataclass(frozen=True)
class Settled:
    state: State
    hopeless: bool
    """Proven: no moves inside the cluster let every server die."""


def climb(
    nodes: Mapping[str, Node], movable: Mapping[str, Sequence[str]], scale: Scale, budget: int
) -> Climb:
    return Climb(scale, movable, ladder(standing(nodes, scale), movable, scale, budget))


def settle(first: Climb, budget: int) -> Settled:
    """The cluster once nothing more pays, or the budget of moves is spent."""
    here, hopeless = first, False
    while True:
        best = _choice(here, budget)
        if best.fatal and not hopeless:
            found = repair(here.start, here.movable, here.scale)
            hopeless = found.hopeless
            if found.state is not None and _between(here.start, found.state) <= budget:
                best = found.state
        if best is here.start:
            return Settled(best, hopeless)
        budget -= _between(here.start, best)
        here = _from(here, best, budget)


def _choice(of: Climb, budget: int) -> State:
    """Of what the budget allows the best; none at all where that gains too little."""
    policy = of.scale.policy
    paid = (s for s in of.rungs if _between(of.start, s) <= budget)
    best = min(paid, key=lambda s: worth(s, policy))
    mends = len(best.wrongs) < len(of.start.wrongs)
    return best if mends or of.start.score - best.score >= policy.start else of.start


def _from(of: Climb, state: State, budget: int) -> Climb:
    """Who moved stays now: nobody moves twice."""
    gone = {vm for vm, _, _ in state.moves}
    movable = {vm: to for vm, to in of.movable.items() if vm not in gone}
    start = standing(state.nodes, of.scale, state)
    return replace(of, movable=movable, rungs=ladder(start, movable, of.scale, budget))


def _between(start: State, end: State) -> int:
    return len(end.moves) - len(start.moves)
