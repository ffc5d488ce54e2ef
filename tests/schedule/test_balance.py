"""Balance: laws over random fleets, survival by trying every way, and the policy's words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from statistics import pstdev
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from metal.controller.balancing import proven
from metal.model.balance import BalancePolicy
from metal.model.fleet import Inventory
from metal.model.laws import judge
from metal.model.plan import Plan, fingerprint
from metal.model.world import SeenVm, World
from metal.schedule.balance import balance

MakeFleet = Callable[..., Inventory]
Formed = Callable[..., World]
quick = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
GIB = 1024


@dataclass(frozen=True)
class Case:
    rooms: dict[str, list[int]]
    vms: dict[str, dict[str, Any]]
    homes: dict[str, str]

    def seen(self, states: Mapping[str, str] | None = None) -> dict[str, SeenVm]:
        return {
            vm: SeenVm(
                vmid=100 + n,
                cluster=server[0],
                server=server,
                state=(states or {}).get(vm, "running"),  # type: ignore[arg-type]
            )
            for n, (vm, server) in enumerate(self.homes.items())
        }


@st.composite
def crooked(draw: st.DrawFn) -> Case:
    """One or two clusters of two to four servers, their VMs wherever dice put them."""
    names = draw(st.sampled_from([["a"], ["a", "b"]]))
    rooms = {c: draw(st.lists(st.sampled_from([8, 12, 16]), min_size=2, max_size=4)) for c in names}
    left = {f"{c}{i}": r for c in names for i, r in enumerate(rooms[c], start=1)}
    vms: dict[str, dict[str, Any]] = {}
    homes: dict[str, str] = {}
    for n in range(draw(st.integers(0, 8))):
        gib, server = draw(st.sampled_from([1, 1, 2, 4])), draw(st.sampled_from(sorted(left)))
        group = draw(st.sampled_from([None, None, None, "db"]))
        if any(homes[vm] == server and vms[vm]["apart"] for vm in vms):
            group = None
        if gib <= left[server]:
            left[server] -= gib
            mates = [vm for vm in homes if homes[vm] == server and not vms[vm]["apart"]]
            homes[f"vm{n}"] = server
            vms[f"vm{n}"] = {
                "memory_gib": gib,
                "vcpus": draw(st.sampled_from([1, 2])),
                "apart": group,
                "together": draw(st.sampled_from([(), (), tuple(mates[:1])])),
            }
    return Case(rooms, vms, homes)


def score(fleet: Inventory, world: World, cluster: str) -> float:
    """Counted without the planner: no replica groups, no rounding."""
    shares, busy, numbers = [], [], []
    for server in fleet.clusters[cluster].servers:
        learned, here = fleet.servers[server].learned, _on(world, server)
        assert learned and learned.memory_gib and learned.threads
        shares.append(sum(fleet.needs(v).memory_mib for v in here) / GIB / (learned.memory_gib - 4))
        busy.append(sum(fleet.needs(v).vcpus for v in here) / learned.threads)
        numbers.append(len(here))
    return pstdev(shares) + pstdev(busy) + 4 * pstdev(numbers)


def _on(world: World, server: str) -> list[str]:
    return [vm for vm, seen in world.vms.items() if seen.server == server]


def fatal(fleet: Inventory, world: World, cluster: str) -> set[str]:
    """Servers whose VMs cannot all restart, found by trying every way."""
    servers = fleet.clusters[cluster].servers
    return {dead for dead in servers if not _survives(fleet, world, dead, servers)}


def _survives(fleet: Inventory, world: World, dead: str, servers: tuple[str, ...]) -> bool:
    others = [s for s in servers if s != dead]
    victims = _on(world, dead)
    groups = {s: {fleet.vms[v].apart for v in _on(world, s)} - {None} for s in others}
    waits = {v for v in victims if all(fleet.vms[v].apart in groups[s] for s in others)}
    moving = [u for u in sets_of(fleet, victims) if not u & waits]
    for choice in product(others, repeat=len(moving)):
        came = {
            s: [v for u, at in zip(moving, choice, strict=True) if at == s for v in u]
            for s in others
        }
        if all(_holds(fleet, s, [*_on(world, s), *came[s]]) for s in others):
            return True
    return False


def sets_of(fleet: Inventory, vms: list[str]) -> list[set[str]]:
    """Of these VMs, those that stay together."""
    sets = [{vm} for vm in vms]
    for vm, wanted in fleet.vms.items():
        for other in wanted.together:
            touched = [s for s in sets if s & {vm, other}]
            sets = [s for s in sets if s not in touched]
            sets += [set().union(*touched)] if touched else []
    return sets


def _holds(fleet: Inventory, server: str, vms: list[str]) -> bool:
    learned = fleet.servers[server].learned
    assert learned and learned.memory_gib
    apart = [fleet.vms[v].apart for v in vms if fleet.vms[v].apart]
    memory = sum(fleet.needs(v).memory_mib for v in vms)
    return memory <= (learned.memory_gib - 4) * GIB and len(set(apart)) == len(apart)


def moved(world: World, vm: str, server: str) -> World:
    there = world.vms[vm].model_copy(update={"server": server})
    return world.model_copy(update={"vms": world.vms | {vm: there}})


@given(crooked(), st.integers(0, 12))
@quick
def test_each_step_keeps_survival_and_the_score_falls(
    make_fleet: MakeFleet, formed: Formed, case: Case, budget: int
) -> None:
    fleet = make_fleet(case.rooms, case.vms)
    world = formed(fleet, case.seen())
    found = balance(fleet, world, budget)
    plan = Plan(fingerprint=fingerprint(fleet, world), actions=found.moves)
    assert [str(b) for b in judge(plan, fleet, world)] == []
    assert len(found.moves) <= budget
    assert len({m.vm for m in found.moves}) == len(found.moves)
    for one in found.clusters:
        now = world
        dead = first = fatal(fleet, now, one.cluster)
        for move in (m for m in found.moves if m.cluster == one.cluster):
            now = moved(now, move.vm, move.target)
            assert _holds(fleet, move.target, _on(now, move.target))
            assert fatal(fleet, now, one.cluster) <= dead
            dead = fatal(fleet, now, one.cluster)
        for those in sets_of(fleet, list(now.vms)):
            assert len({now.vms[vm].server for vm in those}) == 1
        assert one.before == pytest.approx(score(fleet, world, one.cluster))
        assert one.after == pytest.approx(score(fleet, now, one.cluster))
        assert set(one.broken) == dead and set(one.mended) == first - dead
        pays = one.before - one.after >= max(0.1, 0.05 * one.moves) - 1e-6
        assert not one.moves or one.mended or pays


ONCE_MORE = Case(
    {"a": [8, 16, 8, 8]},
    {
        f"vm{n}": {"memory_gib": gib, "vcpus": cpus, "apart": None}
        for n, (gib, cpus) in enumerate([(4, 1), (1, 1), (1, 1), (1, 2), (1, 1)])
    },
    {"vm0": "a3", "vm1": "a1", "vm2": "a1", "vm3": "a1", "vm4": "a2"},
)
"""From where a first climb ends, another one pays."""


@given(crooked())
@example(ONCE_MORE)
@quick
def test_what_is_balanced_is_left_alone(make_fleet: MakeFleet, formed: Formed, case: Case) -> None:
    fleet = make_fleet(case.rooms, case.vms)
    world = formed(fleet, case.seen())
    found = balance(fleet, world, 40)
    for move in found.moves:
        world = moved(world, move.vm, move.target)
    again = balance(fleet, world, 40, {m.vm for m in found.moves})
    assert again.moves == ()
    assert balance(fleet, world, 40, resting=fleet.vms).moves == ()


FOUR = {f"vm{n}": {"memory_gib": 2} for n in range(4)}


def crowded(**more: Any) -> Case:
    vms = {vm: wanted | more for vm, wanted in FOUR.items()}
    return Case({"a": [16, 16, 16]}, vms, dict.fromkeys(vms, "a1"))


def test_a_crowded_server_is_relieved(make_fleet: MakeFleet, formed: Formed) -> None:
    case = crowded()
    fleet = make_fleet(case.rooms, case.vms)
    found = balance(fleet, formed(fleet, case.seen()), 30)
    assert sorted(m.target for m in found.moves) == ["a2", "a3"]
    assert [m.needs for m in found.moves] == [(), (found.moves[0].id,)]
    assert "(move 2 of 2)" in found.moves[1].why


@pytest.mark.parametrize(
    ("wish", "number"),
    [
        ({}, 2),
        ({"home": ("a1",)}, 0),
        ({"together": ("vm0",)}, 0),
        ({"cpu": "x86-64-v4"}, 0),
    ],
)
def test_who_must_stay_stays(
    make_fleet: MakeFleet, formed: Formed, wish: dict[str, Any], number: int
) -> None:
    case = crowded()
    vms = {
        vm: w | (wish if vm != "vm0" or "together" not in wish else {})
        for vm, w in case.vms.items()
    }
    fleet = make_fleet(case.rooms, vms, chips={"a2": "Haswell", "a3": "Haswell"})
    assert len(balance(fleet, formed(fleet, case.seen()), 30).moves) == number


def test_who_stays_together_goes_together(make_fleet: MakeFleet, formed: Formed) -> None:
    """Two pairs on one of three servers: one of them goes, both its VMs one after the other."""
    case = crowded()
    vms = {
        vm: w | {"together": ({"vm1": "vm0", "vm3": "vm2"}.get(vm, vm),)}
        for vm, w in case.vms.items()
    }
    fleet = make_fleet(case.rooms, vms)
    found = balance(fleet, formed(fleet, case.seen()), 30)
    pair = {m.vm for m in found.moves}
    assert pair in ({"vm0", "vm1"}, {"vm2", "vm3"}) and len({m.target for m in found.moves}) == 1
    assert balance(fleet, formed(fleet, case.seen()), 1).moves == ()
    assert balance(fleet, formed(fleet, case.seen()), 30, {"vm0", "vm2"}).moves == ()
    parted = case.seen() | {"vm1": case.seen()["vm1"].model_copy(update={"server": "a2"})}
    assert {m.vm for m in balance(fleet, formed(fleet, parted), 30).moves} <= {"vm2", "vm3"}


def test_the_least_important_of_equals_moves(make_fleet: MakeFleet, formed: Formed) -> None:
    case = crowded()
    vms = {vm: w | {"priority": 90 - n} for n, (vm, w) in enumerate(case.vms.items())}
    fleet = make_fleet(case.rooms, vms)
    found = balance(fleet, formed(fleet, case.seen()), 30)
    assert {m.vm for m in found.moves} == {"vm2", "vm3"}


def test_what_is_stopped_or_moved_lately_stays(make_fleet: MakeFleet, formed: Formed) -> None:
    case = crowded()
    fleet = make_fleet(case.rooms, case.vms)
    asleep = formed(fleet, case.seen(dict.fromkeys(case.vms, "stopped")))
    assert balance(fleet, asleep, 30).moves == ()
    rest = balance(fleet, formed(fleet, case.seen()), 30, {"vm0", "vm1", "vm2"})
    assert [m.vm for m in rest.moves] == ["vm3"]


@pytest.mark.parametrize(
    ("policy", "number"),
    [({}, 2), ({"start": 20}, 0), ({"gain": 9}, 0), ({"vms": 0, "start": 5}, 0)],
)
def test_the_policy_decides(
    make_fleet: MakeFleet, formed: Formed, policy: dict[str, float], number: int
) -> None:
    case = crowded()
    fleet = make_fleet(case.rooms, case.vms)
    fleet = fleet.model_copy(update={"balance": BalancePolicy(**policy)})
    assert len(balance(fleet, formed(fleet, case.seen()), 30).moves) == number


def test_a_server_that_may_not_die_is_mended_first(make_fleet: MakeFleet, formed: Formed) -> None:
    """b is far more uneven; but a2's 6 GiB fit nowhere until one of a1's has gone to a3."""
    rooms = {"a": [8, 8, 8], "b": [16, 16, 16]}
    homes = {"p": "a1", "q": "a1", "r": "a2", "s": "a3"} | {f"x{n}": "b1" for n in range(6)}
    sizes = {"p": 2, "q": 2, "r": 6, "s": 3}
    vms = {vm: {"memory_gib": sizes.get(vm, 1)} for vm in homes}
    case = Case(rooms, vms, homes)
    fleet = make_fleet(rooms, vms)
    world = formed(fleet, case.seen())
    assert fatal(fleet, world, "a") == {"a2"}
    found = balance(fleet, world, 1)
    assert [m.cluster for m in found.moves] == ["a"]
    assert found.clusters[0].mended == ("a2",)
    assert "a2 may die afterwards" in found.moves[0].why


def test_a_cluster_that_is_not_whole_is_left_alone(make_fleet: MakeFleet, formed: Formed) -> None:
    case = crowded()
    fleet = make_fleet(case.rooms, case.vms)
    world = formed(fleet, case.seen())
    off = world.servers["a3"].model_copy(update={"node": "offline"})
    ill = world.model_copy(update={"servers": world.servers | {"a3": off}})
    found = balance(fleet, ill, 30)
    assert (found.moves, found.clusters[0].why) == ((), "its server a3 is offline")


def test_what_the_judge_cannot_prove_is_dropped(make_fleet: MakeFleet, formed: Formed) -> None:
    case = crowded()
    fleet = make_fleet(case.rooms, case.vms)
    world = formed(fleet, case.seen())
    found = balance(fleet, world, 30)
    assert proven(fleet, world, found) == found
    wrong = [m.model_copy(update={"needs": ()}) for m in found.moves]
    kept = proven(fleet, world, type(found)(tuple(wrong), found.clusters))
    assert kept.moves == () and kept.clusters[0].moves == 0 and kept.clusters[0].why
