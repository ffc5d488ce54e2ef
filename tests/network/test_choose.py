"""Who is served with too few addresses: against a brute force, and against CP-SAT."""

from itertools import product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metal.network import choose as choosing
from metal.network.choose import FLOWS, Choice, Want, choose

PORTS = [("tcp", 22, 22), ("tcp", 80, 80), ("tcp", 443, 443), ("udp", 10, 20), ("udp", 15, 30)]


@st.composite
def wishes(draw: st.DrawFn) -> list[Want]:
    return [
        Want(
            name=name,
            weight=draw(st.integers(1, 9)),
            own=own,
            ports=frozenset() if own else draw(st.frozensets(st.sampled_from(PORTS), max_size=3)),
            flows=0 if own else draw(st.sampled_from([0, 0, FLOWS // 2])),
        )
        for name in "abcdef"[: draw(st.integers(0, 6))]
        for own in [draw(st.integers(0, 2)) == 0]
    ]


def clash(a: Want, b: Want) -> bool:
    return any(p[0] == q[0] and p[1] <= q[2] and q[1] <= p[2] for p in a.ports for q in b.ports)


def most(wants: list[Want], addresses: int, flows: int) -> int:
    """By trying everything: each wish goes without (-1), alone (-2) or to an address."""
    best = 0
    for shared in range(addresses + 1):
        choices = [(-1, -2) if w.own else (-1, *range(shared)) for w in wants]
        for where in product(*choices):
            if where.count(-2) + shared > addresses:
                continue
            placed = [(w, n) for w, n in zip(wants, where, strict=True) if n != -1]
            if sum(w.flows for w, _ in placed) > max(0, FLOWS * shared - flows):
                continue
            pairs = [(a, b) for i, a in enumerate(placed) for b in placed[:i]]
            if any(a[1] == b[1] >= 0 and clash(a[0], b[0]) for a, b in pairs):
                continue
            best = max(best, sum(w.weight for w, _ in placed))
    return best


def is_lawful(choice: Choice, wants: list[Want], addresses: int, flows: int) -> None:
    by_name = {w.name: w for w in wants}
    assert {n for n in choice.served if not by_name[n].own} == set(choice.bins)
    shared = max(choice.bins.values(), default=-1) + 1
    assert sum(by_name[n].own for n in choice.served) + shared <= addresses
    for a, where in choice.bins.items():
        assert not any(
            n == where and b != a and clash(by_name[a], by_name[b]) for b, n in choice.bins.items()
        )
    assert choice.weight == sum(by_name[n].weight for n in choice.served)


@given(wishes(), st.integers(0, 4), st.sampled_from([0, 0, 1, FLOWS]))
@settings(max_examples=150)
def test_no_choice_serves_more(wants: list[Want], addresses: int, flows: int) -> None:
    choice = choose(wants, addresses, flows)
    is_lawful(choice, wants, addresses, flows)
    assert choice.proven
    assert choice.weight == most(wants, addresses, flows)


@given(wishes(), st.integers(0, 4), st.sampled_from([0, 0, 1, FLOWS]))
@settings(max_examples=40)
def test_cp_sat_serves_as_much(wants: list[Want], addresses: int, flows: int) -> None:
    pytest.importorskip("ortools", reason="OR-tools is not installed (the extra `solver`)")
    from metal.network.exact import choose_exactly

    exact = choose_exactly(wants, addresses, flows)
    assert exact is not None
    is_lawful(exact, wants, addresses, flows)
    assert exact.weight == choose(wants, addresses, flows).weight


def test_an_unfinished_search_tells_its_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(3)
    wants = [
        Want(f"w{n}", random.randint(1, 50), ports=frozenset(random.sample(PORTS, 2)))
        for n in range(20)
    ]
    monkeypatch.setattr(choosing, "STEPS", 3)
    rough, most = choosing._searched(wants, 3, 0)
    assert not rough.proven and 0 < most <= 3
    monkeypatch.undo()
    best = choose(wants, 3)
    assert best.proven
    assert rough.weight <= best.weight <= rough.bound
