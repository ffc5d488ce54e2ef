"""All laws at once, over whole worlds: no step of anything that is planned breaks one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lawbook import amiss, company, fatal, holds, on, torn, up
from whole_worlds import Whole, whole_worlds

from metal.check_certificate import problems
from metal.controller.planning import plan_fleet
from metal.model.fleet import Inventory
from metal.model.laws import judge
from metal.model.life import Life
from metal.model.plan import MigrateVm, Plan, fingerprint
from metal.model.world import SeenVm, World
from metal.schedule.across import across
from metal.schedule.balance import balance
from metal.schedule.evacuate import evacuate
from metal.schedule.moves import drain_moves
from metal.schedule.prove import prove

laws = settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)


def put(world: World, vm: str, seen: SeenVm) -> World:
    return world.model_copy(update={"vms": world.vms | {vm: seen}})


def moved(world: World, vm: str, cluster: str, server: str) -> World:
    there = {"cluster": cluster, "server": server}
    return put(world, vm, world.vms[vm].model_copy(update=there))


def fatalities(inventory: Inventory, world: World) -> set[str]:
    return {s for c in inventory.clusters for s in fatal(inventory, world, c)}


@given(whole_worlds())
@laws
def test_what_is_placed_keeps_every_law_and_lets_every_server_die(case: Whole) -> None:
    before = case.world
    plan = plan_fleet(case.inventory, before, case.today)
    assert [str(b) for b in judge(plan, case.inventory, before, case.today)] == []
    world, placed = before, []
    for action in plan.actions:
        if action.kind == "place":
            placed.append(action.vm)
            seen = SeenVm(
                vmid=action.vmid, cluster=action.cluster, server=action.server, state="running"
            )
            world = put(world, action.vm, seen)
    for vm in placed:
        assert list(amiss(case.inventory, world, vm, comes=True)) == []
    for cluster in {world.vms[vm].cluster for vm in placed}:
        assert fatal(case.inventory, world, cluster) == set()
    assert torn(case.inventory, world) <= torn(case.inventory, before)


@given(whole_worlds(calm=True), st.integers(0, 6))
@laws
def test_every_step_of_balance_keeps_every_law(case: Whole, budget: int) -> None:
    fleet, world = case.inventory, case.world
    found = balance(fleet, world, budget)
    assert len(found.moves) <= budget
    plan = Plan(fingerprint=fingerprint(fleet, world), actions=found.moves)
    assert [str(b) for b in judge(plan, fleet, world)] == []
    walk(fleet, world, found.moves)


def walk(fleet: Inventory, world: World, moves: tuple[MigrateVm, ...]) -> None:
    """One after the other; a set may be under way between moves of its own only."""
    start, lost = torn(fleet, world), fatalities(fleet, world)
    for n, move in enumerate(moves):
        assert move.source == world.vms[move.vm].server
        world = moved(world, move.vm, move.cluster, move.target)
        assert list(amiss(fleet, world, move.vm, comes=False)) == []
        after = fatalities(fleet, world)
        assert after <= lost, f"{move.what} makes the death of {after - lost} fatal"
        lost = after
        rest = company(fleet, move.vm)
        follows = n + 1 < len(moves) and moves[n + 1].vm in rest
        assert torn(fleet, world) <= start or follows


@given(whole_worlds(calm=True), st.integers(0, 6))
@laws
def test_every_step_to_another_cluster_keeps_every_law(case: Whole, budget: int) -> None:
    fleet, world = case.inventory, case.world
    found = across(fleet, world, budget, case.today)
    lost = fatalities(fleet, world)
    start = torn(fleet, world)
    for step in found.transfers:
        world = moved(world, step.vm, *step.target)
        assert list(amiss(fleet, world, step.vm, comes=True)) == []
        after = fatalities(fleet, world)
        assert after <= lost
        lost = after
        assert torn(fleet, world) <= start


@given(whole_worlds(calm=True), st.data())
@laws
def test_every_step_of_a_drain_keeps_every_law(case: Whole, data: st.DataObject) -> None:
    fleet, world = case.inventory, case.world
    server = data.draw(st.sampled_from(sorted(fleet.servers)))
    found = drain_moves(fleet, world, server)
    lost, start = fatalities(fleet, world), torn(fleet, world)
    warned = any("cannot be survived" in warning for warning in found.warnings)
    cluster = fleet.clusters[fleet.cluster_of(server) or ""]
    several = cluster.restarts and len(cluster.servers) > 2
    then = world
    for n, move in enumerate(found.moves):
        then = moved(then, move.vm, move.cluster, move.target)
        assert list(amiss(fleet, then, move.vm, comes=False)) == []
        if several and not warned:
            assert fatalities(fleet, then) <= lost, f"after move {n + 1}"
    assert torn(fleet, then) <= start or found.stranded or found.warnings
    if several and warned and found.moves and not found.stranded and not overfull(fleet, world):
        assert not any(
            not fatal(fleet, emptied(end, server), world.vms[found.moves[0].vm].cluster)
            for end in drained(fleet, world, server, [m.vm for m in found.moves])
        )


def overfull(fleet: Inventory, world: World) -> bool:
    """Of a cluster with such a server the planner says sooner that a death is not survived."""
    said = (holds(fleet, world, server, on(world, server)) for server in fleet.servers)
    return any(what.startswith("memory of") for whats in said for what in whats)


def emptied(world: World, server: str) -> World:
    away = world.servers[server].model_copy(update={"life": Life.DRAINING})
    return world.model_copy(update={"servers": world.servers | {server: away}})


def drained(fleet: Inventory, world: World, server: str, vms: list[str]) -> Iterator[World]:
    """Every lawful way to have those VMs on other servers of the cluster."""
    if not vms:
        yield world
        return
    unit = [vm for vm in vms if vm in company(fleet, vms[0])]
    cluster = world.vms[vms[0]].cluster
    for target in fleet.clusters[cluster].servers:
        then = world
        for vm in unit:
            then = moved(then, vm, cluster, target)
        wrong = any(True for vm in unit for _ in amiss(fleet, then, vm, comes=False))
        if target != server and not wrong and not any(map(_host(fleet, server, target), unit)):
            yield from drained(fleet, then, server, [vm for vm in vms if vm not in unit])


def _host(fleet: Inventory, source: str, target: str) -> Callable[[str], bool]:
    """Whether a VM cannot take its server's own processor along."""
    here, there = (fleet.servers[s].learned for s in (source, target))
    same = here and there and here.cpu is not None and here.cpu == there.cpu
    return lambda vm: fleet.vms[vm].cpu == "host" and not same


@given(whole_worlds(calm=True), st.data())
@laws
def test_every_step_of_an_evacuation_keeps_every_law(case: Whole, data: st.DataObject) -> None:
    fleet, world = case.inventory, case.world
    name = data.draw(st.sampled_from(sorted({*fleet.sites, *fleet.clusters})))
    found = evacuate(fleet, world, name, datetime.combine(case.today, time(), UTC))
    lost, start = fatalities(fleet, world), torn(fleet, world)
    assume(found.departures)
    for n, leg in enumerate(found.departures):
        gone = fleet.clusters[world.vms[leg.vm].cluster].servers
        # Inside its site a VM changes neither the traffic there nor who shares it.
        already = {
            w
            for w in amiss(fleet, world, leg.vm, comes=True)
            if " shares the " in w or w.startswith("traffic of ")
        }
        world = moved(world, leg.vm, leg.cluster, leg.server)
        wrong = {*amiss(fleet, world, leg.vm, comes=True)} - already
        if leg.vm in found.relocation.unpinned:
            wrong = {w for w in wrong if "is pinned to" not in w and "only who" not in w}
        assert wrong == set()
        after = fatalities(fleet, world)
        assert after - {*gone} <= lost
        rest = company(fleet, leg.vm)
        follows = n + 1 < len(found.departures) and found.departures[n + 1].vm in rest
        assert torn(fleet, world) <= start or follows


@given(whole_worlds())
@laws
def test_the_proof_says_what_brute_force_says(case: Whole) -> None:
    fleet, world = case.inventory, case.world
    proof = prove(fleet, world)
    for name, cluster in proof.clusters.items():
        deadly = fatal(fleet, world, name)
        for server, failure in cluster.failures.items():
            if failure.verdict == "survivable":
                assert server not in deadly
            elif failure.verdict == "not" and "quorum" not in failure.why and up(world, server):
                assert server in deadly
    said = list(problems(proof.model_dump(mode="json"), None))
    assert (said == []) == proof.safe
