"""Laws of planning over random fleets, with counts of the tests' own and the judge's word."""

from collections.abc import Callable
from itertools import product
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metal.model.fleet import Inventory
from metal.model.laws import judge
from metal.model.plan import Plan, fingerprint
from metal.model.world import SeenVm, World
from metal.schedule.place import place
from metal.schedule.plan import plan_vms

MakeFleet = Callable[..., Inventory]
Formed = Callable[..., World]
Applied = Callable[..., World]

quick = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], int]:
    """(clusters, VMs, addresses a site)."""
    clusters = {
        name: draw(st.lists(st.sampled_from([4, 6, 8, 12, None]), min_size=1, max_size=4))
        for name in draw(st.sets(st.sampled_from(["a", "b", "c"]), min_size=1))
    }
    vms: dict[str, Any] = {}
    for number in range(draw(st.integers(0, 10))):
        vm = f"vm{number}"
        vms[vm] = {
            "memory_gib": draw(st.sampled_from([0.5, 1, 1.3, 2, 3])),
            "priority": draw(st.integers(0, 3)),
            "apart": draw(st.sampled_from([None, None, "db", "web"])),
            "cluster": draw(st.sampled_from([None, None, *sorted(clusters)])),
            "ipv4": draw(st.sampled_from(["ipv6", "dedicated", "nat", "proxy"])),
            "serves": [{"port": draw(st.sampled_from([25, 443])), "name": f"{vm}.example.org"}],
        }
    return clusters, vms, draw(st.integers(0, 3))


@st.composite
def half_full(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], int, dict[str, SeenVm]]:
    """With some VMs seen already, wherever they came to be, and strangers."""
    clusters, vms, pool = draw(fleets())
    servers = [(c, f"{c}{i}") for c in sorted(clusters) for i in range(1, len(clusters[c]) + 1)]
    seen: dict[str, SeenVm] = {}
    for number, vm in enumerate([*vms, "stranger"]):
        if draw(st.integers(0, 2)) == 0:
            cluster, server = draw(st.sampled_from(servers))
            seen[vm] = SeenVm(
                vmid=100 + draw(st.integers(0, 1)) * 50 + number,
                cluster=cluster,
                server=server,
                state=draw(st.sampled_from(["running", "stopped", "unknown"])),
                memory_mib=draw(st.sampled_from([None, 512, 2048])),
            )
    return clusters, vms, pool, seen


def promised(fleet: Inventory, world: World) -> dict[str, list[tuple[int, str | None]]]:
    """Server → (MiB, replica group) of each VM there, counted without the planner."""
    found: dict[str, list[tuple[int, str | None]]] = {server: [] for server in fleet.servers}
    for vm, seen in world.vms.items():
        wanted = fleet.vms.get(vm)
        needs = fleet.needs(vm).memory_mib if wanted else 0
        memory = max(needs, seen.memory_mib or 0)
        found[seen.server].append((memory, wanted.apart if wanted else None))
    return found


def room(fleet: Inventory, server: str) -> float:
    learned = fleet.servers[server].learned
    if learned is None or learned.memory_gib is None:
        return 0
    return (learned.memory_gib - fleet.profile(server).reserved_memory_gib) * 1024


def survives(fleet: Inventory, world: World, cluster: str, failed: str) -> bool:
    """Brute force over every assignment of the victims."""
    there = promised(fleet, world)
    others = [s for s in fleet.clusters[cluster].servers if s != failed]
    for choice in product(others, repeat=len(there[failed])):
        after = {s: list(there[s]) for s in others}
        for victim, server in zip(there[failed], choice, strict=True):
            after[server].append(victim)
        if all(_holds(after[s], room(fleet, s)) for s in others):
            return True
    return False


def _holds(vms: list[tuple[int, str | None]], mib: float) -> bool:
    groups = [apart for _, apart in vms if apart]
    return sum(memory for memory, _ in vms) <= mib and len(set(groups)) == len(groups)


@given(fleets())
@quick
def test_nothing_is_overcommitted_and_every_server_may_die(
    make_fleet: MakeFleet, formed: Formed, applied: Applied, case: Any
) -> None:
    clusters, vms, pool = case
    fleet = make_fleet(clusters, vms, pool=pool)
    actions, _ = plan_vms(fleet, formed(fleet), frozenset(clusters), {})
    world = applied(formed(fleet), actions)
    for server, there in promised(fleet, world).items():
        assert _holds(there, room(fleet, server)) or not there
    for cluster, wanted in fleet.clusters.items():
        if len(wanted.servers) > 1:
            assert all(survives(fleet, world, cluster, s) for s in wanted.servers)


@given(fleets())
@quick
def test_every_vm_is_planned_or_named(make_fleet: MakeFleet, formed: Formed, case: Any) -> None:
    clusters, vms, pool = case
    fleet = make_fleet(clusters, vms, pool=pool)
    actions, warnings = plan_vms(fleet, formed(fleet), frozenset(clusters), {})
    planned = {a.vm for a in actions}
    for vm in vms:
        named = any(
            vm in line.partition(" not placed")[0].replace(",", "").split() for line in warnings
        )
        assert (vm in planned) != named, warnings
    assert len({a.vmid for a in actions}) == len(actions)


@given(half_full())
@quick
def test_no_law_is_broken_whatever_ran_before(
    make_fleet: MakeFleet, formed: Formed, case: Any
) -> None:
    clusters, vms, pool, seen = case
    fleet = make_fleet(clusters, vms, pool=pool)
    world = formed(fleet, seen)
    actions, _ = plan_vms(fleet, world, frozenset(clusters), {})
    plan = Plan(fingerprint=fingerprint(fleet, world), actions=actions)
    assert [str(b) for b in judge(plan, fleet, world)] == []
    assert not {a.vm for a in actions if a.kind == "place"} & set(seen)


@given(half_full())
@quick
def test_a_plan_applied_leaves_nothing_to_do(
    make_fleet: MakeFleet, formed: Formed, applied: Applied, case: Any
) -> None:
    clusters, vms, pool, seen = case
    fleet = make_fleet(clusters, vms, pool=pool)
    world = formed(fleet, seen)
    actions, warnings = plan_vms(fleet, world, frozenset(clusters), {})
    assert plan_vms(fleet, world, frozenset(clusters), {}) == (actions, warnings)
    again, _ = plan_vms(fleet, applied(world, actions), frozenset(clusters), {})
    assert again == ()


@given(fleets())
@quick
def test_the_order_of_the_inventory_does_not_matter(
    make_fleet: MakeFleet, formed: Formed, case: Any
) -> None:
    clusters, vms, pool = case
    forward = make_fleet(clusters, vms, pool=pool)
    backward = make_fleet(clusters, dict(reversed(vms.items())), pool=pool)
    homes = [place(f, formed(f)).homes for f in (forward, backward)]
    assert homes[0] == homes[1]
