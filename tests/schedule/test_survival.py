"""Survival of a cluster, against a brute force that shares nothing with it."""

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metal.model.cpus import offers
from metal.schedule.survival import Guest, Node, Verdict, pack, restart_plan, units, verdict

WISHES = st.tuples(
    st.integers(1, 9),
    st.sampled_from([None, None, None, "db", "web"]),
    st.sampled_from([None, None, None, "pair"]),
    st.sampled_from([None, None, None, "x86-64-v3"]),
    st.integers(0, 3),
)
"""(memory, replica group, set, processor, vCPUs)"""
guests = st.builds(lambda wish: wish[:2], WISHES)
CHIPS = {"new": offers("Haswell"), "middling": offers("Westmere"), "old": offers("Opteron_G3")}


@st.composite
def clusters(draw: st.DrawFn, sizes: tuple[int, int] = (2, 4), most: int = 4) -> list[Node]:
    """Nodes with room for what runs on them, replicas apart."""
    nodes: list[Node] = []
    for n in range(draw(st.integers(*sizes))):
        here: list[Guest] = []
        for i, (memory, apart, pair, cpu, vcpus) in enumerate(
            draw(st.lists(WISHES, max_size=most))
        ):
            if apart is None or apart not in [g.apart for g in here]:
                together = f"{pair}{n}" if pair else None
                here.append(Guest(f"n{n}v{i}", memory, apart, vcpus, 0, together, cpu))
        used, busy = sum(g.memory for g in here), sum(g.vcpus for g in here)
        cpus = draw(st.one_of(st.none(), st.integers(0, 8).map(lambda more, had=busy: had + more)))
        chip = draw(st.sampled_from(["new", "new", "middling", "old", None]))
        offered = CHIPS[chip] if chip else None
        nodes.append(Node(f"n{n}", used + draw(st.integers(0, 20)), here, cpus, offered))
    return nodes


def survives_by_force(nodes: Sequence[Node], failed: Node) -> bool:
    """Every assignment of the victims to the others, one by one, without those that wait."""
    others = [n for n in nodes if n is not failed]
    victims = [v for v in failed.guests.values() if not _waits(v, failed, others)]
    for choice in product(range(len(others)), repeat=len(victims)):
        if _allowed(victims, [others[i] for i in choice]):
            return True
    return not victims


def _waits(victim: Guest, failed: Node, others: Sequence[Node]) -> bool:
    """It, or one it stays with, has a replica on every other node."""
    those = [g for g in failed.guests.values() if g.together and g.together == victim.together]
    for mate in [victim, *those]:
        if others and mate.apart and all(mate.apart in n.groups() for n in others):
            return True
    return False


def _allowed(victims: Sequence[Guest], homes: Sequence[Node]) -> bool:
    used = {n.name: sum(g.memory for g in n.guests.values()) for n in homes}
    busy = {n.name: sum(g.vcpus for g in n.guests.values()) for n in homes}
    groups = {n.name: [g.apart for g in n.guests.values() if g.apart] for n in homes}
    by_name = {n.name: n for n in homes}
    where = {v.name: h.name for v, h in zip(victims, homes, strict=True)}
    for victim, home in zip(victims, homes, strict=True):
        used[home.name] += victim.memory
        busy[home.name] += victim.vcpus
        if victim.apart:
            groups[home.name].append(victim.apart)
        known = home.offers
        needed = victim.cpu or "x86-64-v2-AES"
        if needed not in (known if known is not None else {"x86-64-v2-AES"}):
            return False
        mates = [o for o in victims if victim.together and victim.together == o.together]
        if any(where[other.name] != home.name for other in mates):
            return False
    return all(
        used[n] <= by_name[n].room
        and (by_name[n].cpus is None or busy[n] <= by_name[n].cpus)
        and len(set(groups[n])) == len(groups[n])
        for n in used
    )


@given(clusters(sizes=(3, 3)))
@settings(max_examples=300)
def test_three_nodes_are_exact(nodes: list[Node]) -> None:
    expected = all(survives_by_force(nodes, n) for n in nodes)
    assert verdict(nodes) is (Verdict.SURVIVABLE if expected else Verdict.NOT)


@given(clusters())
@settings(max_examples=200)
def test_other_sizes_agree_too(nodes: list[Node]) -> None:
    expected = all(survives_by_force(nodes, n) for n in nodes)
    assert verdict(nodes) is (Verdict.SURVIVABLE if expected else Verdict.NOT)


@given(clusters())
@settings(max_examples=200)
def test_a_restart_plan_is_a_packing(nodes: list[Node]) -> None:
    for failed in nodes:
        plan = restart_plan(nodes, failed.name)
        assert (plan is not None) == survives_by_force(nodes, failed)
        if plan is not None:
            by_name = {n.name: n for n in nodes}
            others = [n for n in nodes if n is not failed]
            victims = [v for v in failed.guests.values() if not _waits(v, failed, others)]
            assert set(plan) == {v.name for v in victims}
            assert _allowed(victims, [by_name[plan[v.name]] for v in victims])
            assert failed.name not in plan.values()


def test_the_sum_rule_alone_is_not_enough() -> None:
    # 9 units are free and 9 needed, but 3 + 3 + 3 does not split into 4 and 5.
    dead = Node("a", 9, [Guest(f"v{i}", 3) for i in range(3)])
    assert verdict([dead, Node("b", 4), Node("c", 5)]) is Verdict.NOT
    assert verdict([dead, Node("b", 3), Node("c", 6)]) is Verdict.SURVIVABLE


def test_best_fit_alone_is_not_enough() -> None:
    # Largest into the tightest leaves 3 and 3 for 2 + 2 + 2; the exact search finds 4 + 2 + 2.
    dead = Node("a", 20, [Guest("x", 4), Guest("y", 3), Guest("z", 3), Guest("w", 2)])
    others = [Node("b", 6), Node("c", 6), Node("d", 0)]
    plan = pack(list(dead.guests.values()), others)
    assert plan is not None
    assert survives_by_force([dead, *others], dead)


def test_a_replica_on_a_survivor_fixes_its_mate_to_the_other() -> None:
    dead = Node("a", 8, [Guest("db1", 4, "db")])
    tight = [dead, Node("b", 9, [Guest("db2", 1, "db")]), Node("c", 3)]
    assert verdict(tight) is Verdict.NOT
    roomy = [dead, Node("b", 9, [Guest("db2", 1, "db")]), Node("c", 4)]
    assert restart_plan(roomy, "a") == {"db1": "c"}


def test_a_replica_waits_where_every_other_node_runs_one() -> None:
    nodes = [Node(n, 2, [Guest(f"db-{n}", 1, "db"), Guest(f"tail-{n}", 1)]) for n in "abc"]
    assert verdict(nodes) is Verdict.NOT
    nodes = [Node(n, 2, [Guest(f"db-{n}", 1, "db")]) for n in "abc"]
    assert verdict(nodes) is Verdict.SURVIVABLE
    assert restart_plan(nodes, "a") == {}


def test_what_stays_together_restarts_as_one() -> None:
    pair = [Guest("app", 3, together="app"), Guest("cache", 3, together="app")]
    assert verdict([Node("a", 6, pair), Node("b", 5), Node("c", 5)]) is Verdict.NOT
    assert restart_plan([Node("a", 6, pair), Node("b", 5), Node("c", 6)], "a") == {
        "app": "c",
        "cache": "c",
    }


def test_a_processor_that_is_asked_for_must_be_known() -> None:
    dead = Node("a", 9, [Guest("new", 1, cpu="x86-64-v3")])
    assert verdict([dead, Node("b", 9), Node("c", 9)]) is Verdict.NOT
    old, new = Node("b", 9, offers=offers("Westmere")), Node("c", 9, offers=offers("Broadwell"))
    assert restart_plan([dead, old, new], "a") == {"new": "c"}


def test_what_cannot_be_decided_in_time_is_unknown() -> None:
    # Even sizes never fill odd bins to the brim, but only trying everything would show it.
    sizes = list(range(40, 80, 2))
    quarter = sum(sizes) // 4
    bins = [quarter - 2, quarter, quarter, quarter + 2]
    assert sum(bins) == sum(sizes)
    assert all(b % 2 for b in bins)
    dead = Node("a", sum(sizes), [Guest(f"v{s}", s) for s in sizes])
    assert verdict([dead, *(Node(f"b{b}{i}", b) for i, b in enumerate(bins))]) is Verdict.UNKNOWN


def test_memory_is_rounded_up_to_units() -> None:
    assert [units(mib) for mib in (0, 1, 128, 129, 1024)] == [0, 1, 1, 2, 8]


@given(st.lists(guests, min_size=1, max_size=6), st.data())
def test_adding_and_taking_back_leaves_no_trace(
    drawn: list[tuple[int, str | None]], data: st.DataObject
) -> None:
    node = Node("n", 100, [Guest(f"v{i}", m, a) for i, (m, a) in enumerate(drawn)])
    before = (node.used, node.sums, dict(node.guests))
    node.add(Guest("new", 7))
    node.undo(node.guests["new"], before[1])
    assert (node.used, node.sums, node.guests) == before
    gone = data.draw(st.sampled_from(sorted(node.guests)))
    guest = node.remove(gone)
    node.add(guest)
    assert (node.used, node.sums) == before[:2]


@pytest.mark.parametrize(("large", "small"), [("v3", "v4"), ("v4", "v3")])
def test_of_replicas_that_may_wait_the_largest_does_whatever_it_is_called(
    large: str, small: str
) -> None:
    lost = Node("n0", 9, [Guest(large, 8, apart="b"), Guest(small, 1, apart="b")])
    nodes = [lost, Node("n1", 9, [Guest("x", 1, apart="b")]), Node("n2", 6, [])]
    assert verdict(nodes) is Verdict.SURVIVABLE
