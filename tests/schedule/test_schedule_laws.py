"""Laws of planning over random fleets, with counts of the tests' own and the judge's word."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import combinations, product
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

quick = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


CHIPS = ("Haswell", "Haswell", "Westmere", "Opteron_G3", None)


@dataclass(frozen=True)
class Case:
    """A random fleet and what is seen of it."""

    clusters: dict[str, list[Any]]
    vms: dict[str, dict[str, Any]]
    options: dict[str, Any]
    seen: dict[str, SeenVm]

    def fleet(self, make: MakeFleet) -> Inventory:
        return make(self.clusters, self.vms, **self.options)


@st.composite
def fleets(draw: st.DrawFn) -> Case:
    clusters = {
        name: draw(st.lists(st.sampled_from([4, 6, 8, 12, None]), min_size=1, max_size=4))
        for name in draw(st.sets(st.sampled_from(["a", "b", "c"]), min_size=1))
    }
    by = {group: draw(st.sampled_from(["server", "cluster", "site"])) for group in ("db", "web")}
    vms: dict[str, Any] = {}
    for number in range(draw(st.integers(0, 10))):
        vm, group = f"vm{number}", draw(st.sampled_from([None, None, "db", "web"]))
        vms[vm] = {
            "memory_gib": draw(st.sampled_from([0.5, 1, 1.3, 2, 3])),
            "vcpus": draw(st.sampled_from([1, 1, 2, 4])),
            "disk_gib": draw(st.sampled_from([10, 10, 60])),
            "priority": draw(st.integers(0, 3)),
            "apart": group,
            "apart_by": by.get(group or "", "server"),
            "together": draw(st.sampled_from([(), (), (), (f"vm{max(0, number - 1)}",)])),
            "prefers": draw(st.sampled_from([(), (), (sorted(clusters)[-1],)])),
            "cpu": draw(st.sampled_from([None, None, None, "x86-64-v3"])),
            "cluster": draw(st.sampled_from([None, None, *sorted(clusters)])),
            "ipv4": draw(st.sampled_from(["ipv6", "dedicated", "nat", "proxy"])),
            "serves": [{"port": draw(st.sampled_from([25, 443])), "name": f"{vm}.example.org"}],
        }
    servers = [f"{c}{i}" for c in clusters for i in range(1, len(clusters[c]) + 1)]
    options = {
        "pool": draw(st.integers(0, 3)),
        "threads": draw(st.sampled_from([2, 4, 32])),
        "cpu_factor": 2,
        "disk_gib": draw(st.sampled_from([None, 150, 1000, 1000])),
        "chips": {server: draw(st.sampled_from(CHIPS)) for server in servers},
        "sites": draw(st.sampled_from([{}, {"b": "a"}])) if {"a", "b"} <= set(clusters) else {},
    }
    return Case(clusters, vms, options, {})


@st.composite
def half_full(draw: st.DrawFn) -> Case:
    """With some VMs seen already, wherever they came to be, and strangers."""
    case = draw(fleets())
    servers = [
        (c, f"{c}{i}") for c, m in sorted(case.clusters.items()) for i in range(1, len(m) + 1)
    ]
    seen: dict[str, SeenVm] = {}
    for number, vm in enumerate([*case.vms, "stranger"]):
        if draw(st.integers(0, 2)) == 0:
            cluster, server = draw(st.sampled_from(servers))
            seen[vm] = SeenVm(
                vmid=100 + draw(st.integers(0, 1)) * 50 + number,
                cluster=cluster,
                server=server,
                state=draw(st.sampled_from(["running", "stopped", "unknown"])),
                memory_mib=draw(st.sampled_from([None, 512, 2048])),
                vcpus=draw(st.sampled_from([None, 1, 3])),
                disk_gib=draw(st.sampled_from([None, 20])),
            )
    return replace(case, seen=seen)


def there(fleet: Inventory, world: World) -> dict[str, list[str]]:
    """Server → the VMs of the inventory on it."""
    found: dict[str, list[str]] = {server: [] for server in fleet.servers}
    for vm, seen in world.vms.items():
        found[seen.server].append(vm)
    return found


def holds(fleet: Inventory, server: str, vms: list[str]) -> bool:
    """Memory, vCPUs, replicas and processors of one server, counted without the planner."""
    learned = fleet.servers[server].learned
    profile = fleet.profile(server)
    assert learned is not None and learned.threads is not None
    if learned.memory_gib is None:
        return not vms
    room = (learned.memory_gib - profile.reserved_memory_gib) * 1024
    groups = [fleet.vms[vm].apart for vm in vms if fleet.vms[vm].apart]
    level = {"Haswell": 3, "Westmere": 2, "Opteron_G3": 1}.get(learned.cpu_type or "")
    return (
        sum(fleet.needs(vm).memory_mib for vm in vms) <= room
        and sum(fleet.needs(vm).vcpus for vm in vms) <= profile.cpu_factor * learned.threads
        and len(set(groups)) == len(groups)
        and all((level or 2) >= (3 if fleet.vms[vm].cpu else 2) for vm in vms)
        and not (level is None and any(fleet.vms[vm].cpu for vm in vms))
    )


def sets_of(fleet: Inventory, vms: Iterable[str]) -> list[set[str]]:
    """Of these VMs, those that stay together."""
    sets = [{vm} for vm in vms]
    for vm, wanted in fleet.vms.items():
        for other in wanted.together:
            touched = [s for s in sets if s & {vm, other}]
            sets = [s for s in sets if s not in touched] + (
                [set().union(*touched)] if touched else []
            )
    return sets


def survives(fleet: Inventory, world: World, cluster: str, failed: str) -> bool:
    """Brute force over every assignment of the victims that do not wait."""
    now = there(fleet, world)
    others = [s for s in fleet.clusters[cluster].servers if s != failed]
    sets = [s for s in sets_of(fleet, now[failed]) if not waits(fleet, s, [now[o] for o in others])]
    for choice in product(others, repeat=len(sets)):
        after = {s: list(now[s]) for s in others}
        for those, server in zip(sets, choice, strict=True):
            after[server] += those
        if all(holds(fleet, s, after[s]) for s in others):
            return True
    return False


def waits(fleet: Inventory, those: set[str], elsewhere: list[list[str]]) -> bool:
    """Each other server runs a replica of one of them."""
    groups = {fleet.vms[vm].apart for vm in those} - {None}
    return any(
        all(any(fleet.vms[vm].apart == group for vm in vms) for vms in elsewhere)
        for group in groups
        if elsewhere
    )


@given(fleets())
@quick
def test_nothing_is_overcommitted_and_every_server_may_die(
    make_fleet: MakeFleet, formed: Formed, applied: Applied, case: Case
) -> None:
    fleet = case.fleet(make_fleet)
    actions, _ = plan_vms(fleet, formed(fleet), frozenset(case.clusters), {})
    world = applied(formed(fleet), actions)
    now = there(fleet, world)
    assert all(holds(fleet, server, vms) for server, vms in now.items())
    for those in sets_of(fleet, world.vms):
        assert len({world.vms[vm].server for vm in those}) == 1
    for (vm, wanted), (other, mate) in combinations(fleet.vms.items(), 2):
        if wanted.apart and wanted.apart == mate.apart and {vm, other} <= world.vms.keys():
            a, b = world.vms[vm].cluster, world.vms[other].cluster
            assert wanted.apart_by == "server" or a != b
            assert wanted.apart_by != "site" or fleet.site_of(a) != fleet.site_of(b)
    for cluster, servers in fleet.clusters.items():
        disk = sum(
            fleet.needs(vm).disk_gib for vm, at in world.vms.items() if at.cluster == cluster
        )
        limit = case.options["disk_gib"] or 0
        assert disk <= (0.85 * limit if len(servers.servers) > 1 else limit - 40) or not disk
    for cluster, wanted in fleet.clusters.items():
        if len(wanted.servers) > 1:
            assert all(survives(fleet, world, cluster, s) for s in wanted.servers)


@given(fleets())
@quick
def test_every_vm_is_planned_or_named(make_fleet: MakeFleet, formed: Formed, case: Case) -> None:
    fleet = case.fleet(make_fleet)
    actions, warnings = plan_vms(fleet, formed(fleet), frozenset(case.clusters), {})
    planned = {a.vm for a in actions}
    for vm in case.vms:
        named = any(
            vm in line.partition(" not placed")[0].replace(",", "").split() for line in warnings
        )
        assert (vm in planned) != named, warnings
    assert len({a.vmid for a in actions}) == len(actions)


@given(half_full())
@quick
def test_no_law_is_broken_whatever_ran_before(
    make_fleet: MakeFleet, formed: Formed, case: Case
) -> None:
    fleet = case.fleet(make_fleet)
    world = formed(fleet, case.seen)
    actions, _ = plan_vms(fleet, world, frozenset(case.clusters), {})
    plan = Plan(fingerprint=fingerprint(fleet, world), actions=actions)
    assert [str(b) for b in judge(plan, fleet, world)] == []
    assert not {a.vm for a in actions if a.kind == "place"} & set(case.seen)


@given(half_full())
@quick
def test_a_plan_applied_leaves_nothing_to_do(
    make_fleet: MakeFleet, formed: Formed, applied: Applied, case: Case
) -> None:
    fleet = case.fleet(make_fleet)
    world = formed(fleet, case.seen)
    actions, warnings = plan_vms(fleet, world, frozenset(case.clusters), {})
    assert plan_vms(fleet, world, frozenset(case.clusters), {}) == (actions, warnings)
    again, _ = plan_vms(fleet, applied(world, actions), frozenset(case.clusters), {})
    assert again == ()


@given(fleets())
@quick
def test_the_order_of_the_inventory_does_not_matter(
    make_fleet: MakeFleet, formed: Formed, case: Case
) -> None:
    forward = case.fleet(make_fleet)
    backward = replace(case, vms=dict(reversed(case.vms.items()))).fleet(make_fleet)
    homes = [place(f, formed(f)).homes for f in (forward, backward)]
    assert homes[0] == homes[1]
