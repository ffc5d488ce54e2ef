"""Broken clusters mended by as few moves as there are: against every sequence of moves."""

from itertools import combinations, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metal.model.balance import BalancePolicy
from metal.schedule.capacity import Host
from metal.schedule.even import Move, State, step
from metal.schedule.repair import repair
from metal.schedule.spread import Scale
from metal.schedule.survival import Guest, Node

pytest.importorskip("ortools")


@st.composite
def clusters(draw: st.DrawFn) -> list[Node]:
    """Two to four servers, up to five VMs wherever dice put them; many are broken."""
    rooms = draw(st.lists(st.integers(3, 9), min_size=2, max_size=4))
    nodes = [Node(f"n{i}", room, cpus=draw(st.integers(2, 8))) for i, room in enumerate(rooms)]
    for number in range(draw(st.integers(1, 5))):
        node = draw(st.sampled_from(nodes))
        group = draw(st.sampled_from([None, None, "db"]))
        if group in node.groups():
            group = None
        node.add(Guest(f"v{number}", draw(st.integers(1, 4)), group, vcpus=draw(st.integers(1, 2))))
    return nodes


def opened(nodes: list[Node]) -> tuple[State, Scale, dict[str, list[str]]]:
    scale = Scale([Host(n, 4) for n in nodes], BalancePolicy())
    sums = scale.sums(nodes)
    start = State({n.name: n for n in nodes}, sums, scale.score(sums))
    return start, scale, {vm: [n.name for n in nodes] for n in nodes for vm in n.guests}


def walked(start: State, moves: tuple[Move, ...], scale: Scale) -> State | None:
    """The end of the moves; None if one of them is not lawful or breaks another server."""
    state = start
    for vm, _, target in moves:
        after = step(state, vm, target, scale)
        if after is None or not after.fatal <= state.fatal:
            return None
        state = after
    return state


def fewest(start: State, scale: Scale) -> int | None:
    """By trying all: each set of VMs, each order, each target."""
    at = {vm: n.name for n in start.nodes.values() for vm in n.guests}
    for count in range(len(at) + 1):
        for vms in combinations(at, count):
            for order in permutations(vms):
                for targets in product(start.nodes, repeat=count):
                    moves = tuple((vm, at[vm], to) for vm, to in zip(order, targets, strict=True))
                    end = walked(start, moves, scale)
                    if end is not None and not end.fatal:
                        return count
    return None


@given(clusters())
@settings(max_examples=40)
def test_as_few_moves_as_there_are(nodes: list[Node]) -> None:
    start, scale, movable = opened(nodes)
    found = repair(start, movable, scale)
    best = fewest(start, scale)
    assert (None if found.state is None else len(found.state.moves)) == best
    if found.hopeless:
        assert best is None
    if found.state is not None:
        end = walked(start, found.state.moves, scale)
        assert end is not None
        assert not end.fatal


def test_who_may_not_move_stays() -> None:
    nodes = [Node("a", 10, [Guest("v", 4), Guest("w", 4)]), Node("b", 4), Node("c", 5)]
    nodes[1].add(Guest("x", 1))
    start, scale, movable = opened(nodes)
    free = repair(start, movable, scale)
    assert free.state is not None
    assert len(free.state.moves) == 1
    del movable["x"]
    held = repair(start, movable, scale)
    assert held.state is None
    assert held.hopeless
