"""Who comes first, and where to, when there is a choice to get wrong.

Worlds of their own: clusters that are nearly full, all on IPv6, nobody apart or together, so that
memory alone decides, and VMs that are alike can be exchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from metal.model.fleet import Inventory
from metal.model.plan import PlaceVm
from metal.model.world import SeenVm, World
from metal.schedule.place import place
from metal.schedule.plan import plan_vms

MakeFleet = Callable[..., Inventory]
Formed = Callable[..., World]
laws = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
GIB = st.sampled_from([1, 2, 3])


@st.composite
def waiting(draw: st.DrawFn, clusters: str) -> dict[str, dict[str, Any]]:
    """New VMs: some prefer a cluster, some are pinned and have a home there."""
    found: dict[str, dict[str, Any]] = {}
    for n in range(draw(st.integers(2, 7))):
        wish = draw(st.sampled_from(["none", "none", "prefers", "home"]))
        at = draw(st.sampled_from(clusters))
        more: dict[str, Any] = {"prefers": (at,)} if wish == "prefers" else {}
        if wish == "home":
            more = {"cluster": at, "home": (f"{at}{draw(st.integers(1, 3))}",)}
        priority = draw(st.integers(0, 100))
        found[f"new{n}"] = {"memory_gib": draw(GIB), "priority": priority, **more}
    return found


def running(draw: st.DrawFn, cluster: str) -> dict[str, dict[str, Any]]:
    """What leaves the three servers of a cluster nearly full."""
    count = draw(st.integers(2, 6))
    return {
        f"{cluster}-old{n}": {"memory_gib": draw(GIB), "cluster": cluster} for n in range(count)
    }


@st.composite
def cases(draw: st.DrawFn, clusters: str) -> tuple[dict[str, list[float]], dict[str, Any]]:
    sizes = {c: [float(draw(st.integers(4, 8)))] * 3 for c in clusters}
    vms: dict[str, Any] = {}
    for cluster in clusters:
        vms |= running(draw, cluster)
    return sizes, vms | draw(waiting(clusters))


def begun(make_fleet: MakeFleet, formed: Formed, case: Any) -> tuple[Inventory, World]:
    """The old ones run, wherever there is room for them; who has none is no part of it."""
    sizes, vms = case
    whole = make_fleet(sizes, vms, pool=0)
    fresh = {vm for vm in vms if vm.startswith("new")}
    old = whole.model_copy(update={"vms": {v: w for v, w in whole.vms.items() if v not in fresh}})
    homes = place(old, formed(old)).homes
    kept = {v: w for v, w in whole.vms.items() if v in fresh or v in homes}
    seen = {
        vm: SeenVm(vmid=100 + n, cluster=at.cluster, server=at.server, state="running")
        for n, (vm, at) in enumerate(homes.items())
    }
    inventory = whole.model_copy(update={"vms": kept})
    return inventory, formed(inventory, seen)


@given(case=st.sampled_from(["a", "ab"]).flatmap(cases))
@laws
def test_nobody_waits_for_one_that_matters_less(
    make_fleet: MakeFleet, formed: Formed, case: Any
) -> None:
    """Exchanged, one that is no larger would have the place of one that matters less."""
    inventory, world = begun(make_fleet, formed, case)
    found = place(inventory, world)
    event(f"{len(found.unplaced)} wait")
    for left in found.unplaced:
        waits = inventory.vms[left.vm]
        for vm in found.homes:
            has = inventory.vms[vm]
            larger = (has.memory_gib or 0) >= (waits.memory_gib or 0)
            there = waits.cluster in (None, found.homes[vm].cluster)
            assert not (larger and there) or has.priority >= waits.priority, (left.vm, vm)


@given(case=cases("ab"))
@laws
def test_nobody_is_elsewhere_than_it_would_rather_be(
    make_fleet: MakeFleet, formed: Formed, applied: Callable[..., World], case: Any
) -> None:
    """Taken out of what was planned and placed anew, with all others there, it does no better."""
    inventory, world = begun(make_fleet, formed, case)
    actions, _ = plan_vms(inventory, world, inventory.clusters, {})
    places = {a.vm: a for a in actions if isinstance(a, PlaceVm)}
    full = applied(world, places.values())
    there = {vm: wish for vm, wish in inventory.vms.items() if vm in full.vms}
    inventory = inventory.model_copy(update={"vms": there})  # Who waits would take what is free.
    for vm, action in places.items():
        alone = full.model_copy(update={"vms": {v: s for v, s in full.vms.items() if v != vm}})
        again = place(inventory, alone).homes[vm]
        wish = inventory.vms[vm]
        event("prefers" if wish.prefers else "home" if wish.home else "no wish")
        if again.cluster in wish.prefers:
            assert action.cluster in wish.prefers, vm
        if again.server in wish.home:
            assert action.server in wish.home, vm
