"""Placement within donors' terms: traffic, and sites that are given back soon."""

from collections.abc import Callable
from datetime import date
from typing import Any

from metal.controller.planning import plan_fleet
from metal.model.fleet import Inventory
from metal.model.laws import judge
from metal.model.plan import PlaceVm
from metal.model.world import SeenVm, World
from metal.schedule.terms import uses

MakeFleet = Callable[..., Inventory]
Formed = Callable[..., World]


def lends(fleet: Inventory, cluster: str, **terms: Any) -> Inventory:
    name = f"at-{cluster}"
    site = fleet.sites[name]
    changed = site.model_copy(update={"donor": site.donor.model_copy(update=terms)})
    return fleet.model_copy(update={"sites": fleet.sites | {name: changed}})


def places(fleet: Inventory, world: World, today: date | None = None) -> dict[str, str]:
    plan = plan_fleet(fleet, world, today)
    assert judge(plan, fleet, world, today) == []
    return {a.vm: a.cluster for a in plan.actions if isinstance(a, PlaceVm)}


def test_traffic_goes_where_it_is_allowed(make_fleet: MakeFleet, formed: Formed) -> None:
    vms = {f"vm{n}": {"traffic_gb": 400} for n in range(4)}
    fleet = lends(make_fleet({"a": [16, 16, 16], "b": [8, 8, 8]}, vms), "a", traffic_gb=1000)
    found = places(fleet, formed(fleet))
    assert sorted(found.values()) == ["a", "a", "b", "b"]


def test_who_finds_no_traffic_is_told_so(make_fleet: MakeFleet, formed: Formed) -> None:
    vms = {"here": {"traffic_gb": 600}, "more": {"traffic_gb": 600}}
    fleet = lends(make_fleet({"a": [16, 16, 16]}, vms), "a", traffic_gb=1000)
    world = formed(fleet, {"here": SeenVm(vmid=100, cluster="a", server="a1", state="running")})
    plan = plan_fleet(fleet, world)
    assert not plan.actions
    assert "allows 1000 GB a month, 400 GB are left" in "".join(plan.warnings)


def test_nothing_new_goes_where_the_end_is_near(make_fleet: MakeFleet, formed: Formed) -> None:
    vms = {"anywhere": {}, "named": {"cluster": "a"}}
    fleet = make_fleet({"a": [16, 16, 16], "b": [8, 8, 8]}, vms)
    fleet = lends(fleet, "a", until=date(2027, 6, 30), notice_days=90)
    far, near = date(2027, 3, 31), date(2027, 4, 1)
    assert places(fleet, formed(fleet), far) == {"anywhere": "a", "named": "a"}
    assert places(fleet, formed(fleet), near) == {"anywhere": "b", "named": "a"}
    assert any("metal evacuate at-a" in w for w in plan_fleet(fleet, formed(fleet), near).warnings)


def test_what_is_used_is_counted(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [16, 16]}, {"x": {"traffic_gb": 30}, "y": {"traffic_gb": 4}})
    fleet = lends(fleet, "a", units=1, watts=500, addresses=2, traffic_gb=30)
    seen = {
        vm: SeenVm(vmid=n, cluster="a", server="a1", addresses=("198.51.1.2/24", "10.1.128.3/20"))
        for n, vm in enumerate(("x", "y"), start=100)
    }
    (use,) = uses(fleet, formed(fleet, seen))
    assert (use.units, use.addresses, use.traffic_gb, use.vms) == (2, 1, 34, 2)
    said = use.over(date(2027, 1, 1))
    assert said == (
        "2 U used, 1 lent",
        "34 GB a month used, 30 lent",
        "nobody told the `watts` of a1, a2",
    )
