"""Leaving a site: the days counted by hand, and the smallest room that is missing."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metal.model.fleet import Inventory, Tang
from metal.model.world import SeenVm, World
from metal.schedule.evacuate import evacuate
from metal.schedule.missing import larger, missing
from metal.schedule.withdraw import relocate

MakeFleet = Callable[..., Inventory]
Formed = Callable[..., World]
NOON = datetime(2027, 1, 10, 12)


def lends(fleet: Inventory, site: str, **terms: Any) -> Inventory:
    told = fleet.sites[site]
    changed = told.model_copy(update={"donor": told.donor.model_copy(update=terms)})
    return fleet.model_copy(update={"sites": fleet.sites | {site: changed}})


def on(cluster: str, *vms: str, server: int = 1) -> dict[str, SeenVm]:
    return {
        vm: SeenVm(vmid=100 + n, cluster=cluster, server=f"{cluster}{server}", state="running")
        for n, vm in enumerate(vms)
    }


@pytest.fixture
def two(make_fleet: MakeFleet) -> Inventory:
    """Both sites tell their uplinks: a 200 Mbit/s, b 100."""
    vms = {"x": {"priority": 10, "disk_gib": 40}, "y": {"priority": 90, "disk_gib": 20}}
    fleet = make_fleet({"a": [16, 16, 16], "b": [16, 16, 16]}, vms)
    return lends(lends(fleet, "at-a", mbit=200), "at-b", mbit=100)


def test_copies_take_half_of_the_slower_uplink(two: Inventory, formed: Formed) -> None:
    found = evacuate(two, formed(two, on("a", "x", "y")), "at-a", NOON)
    assert [d.vm for d in found.departures] == ["y", "x"], "the most important first"
    y, x = found.departures
    assert (y.begins, x.begins) == (NOON, y.ends)
    # 20 GiB are 171.8 Gbit: at 50 Mbit/s 3,436 s.
    assert y.hours == pytest.approx(20 * 2**30 * 8 / 50e6 / 3600)
    assert x.hours == pytest.approx(40 * 2**30 * 8 / 50e6 / 3600)
    assert found.ends == x.ends
    assert {d.cluster for d in found.departures} == {"b"} and x.renumbered


def test_the_size_that_was_seen_counts_where_it_is_larger(two: Inventory, formed: Formed) -> None:
    seen = on("a", "y")
    seen["y"] = seen["y"].model_copy(update={"disk_gib": 70})
    found = evacuate(two, formed(two, seen), "at-a", NOON)
    assert [d.gib for d in found.departures] == [70]


def test_nobody_told_what_the_uplink_carries(two: Inventory, formed: Formed) -> None:
    silent = lends(two, "at-b", mbit=None)
    found = evacuate(silent, formed(silent, on("a", "x")), "at-a", NOON)
    assert (found.unknown, found.ends, found.departures[0].hours) == (("at-b",), None, None)
    told = evacuate(silent, formed(silent, on("a", "x")), "at-a", NOON, mbit=100)
    assert told.unknown == () and told.ends is not None


@pytest.mark.parametrize(
    ("until", "late"),
    [(date(2027, 1, 10), ()), (date(2027, 1, 9), ("x",)), (date(2027, 1, 8), ("y", "x"))],
)
def test_the_last_day_counts_whole(
    two: Inventory, formed: Formed, until: date, late: tuple[str, ...]
) -> None:
    """At 10 Mbit/s y arrives after 5 hours, x after 14: the evening of the 9th and that night."""
    fleet = lends(two, "at-a", until=until)
    begin = NOON - timedelta(days=1)
    found = evacuate(fleet, formed(fleet, on("a", "x", "y")), "at-a", begin, mbit=20)
    assert [d.ends and d.ends.day for d in found.departures] == [9, 10]
    assert found.late == late


def test_a_cluster_goes_to_its_neighbour_without_new_addresses(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    fleet = make_fleet({"a": [8, 8, 8], "b": [8, 8, 8]}, {"x": {}}, sites={"b": "a"})
    found = evacuate(fleet, formed(fleet, on("b", "x")), "b", NOON)
    (x,) = found.departures
    assert (x.cluster, x.renumbered) == ("a", False)
    assert x.hours == pytest.approx(10 * 2**30 * 8 / 1000e6 / 3600), "at what a site has inside"
    assert [h.server for h in found.hand_back] == ["b1", "b2", "b3"]


def test_a_site_that_ends_too_takes_nothing(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [8, 8, 8], "b": [16, 16, 16], "c": [8, 8, 8]}, {"x": {}})
    ending = lends(fleet, "at-b", until=date(2027, 2, 1), notice_days=60)
    for which, cluster in ((fleet, "b"), (ending, "c")):
        found = evacuate(which, formed(which, on("a", "x")), "at-a", NOON)
        assert [d.cluster for d in found.departures] == [cluster]


@pytest.mark.parametrize("duty", ["nothing", "servers", "wiped"])
def test_the_hand_back_names_disks_only_where_they_must_be_erased(
    two: Inventory, formed: Formed, duty: str
) -> None:
    fleet = lends(two, "at-a", returns=duty)
    server = fleet.servers["a1"]
    assert server.learned
    disks = (server.learned.disks[0].model_copy(update={"serial": "S1"}), server.learned.disks[1])
    known = server.learned.model_copy(update={"serial": "PAPERS", "disks": disks})
    servers = fleet.servers | {"a1": server.model_copy(update={"learned": known})}
    fleet = fleet.model_copy(update={"servers": servers})
    back = evacuate(fleet, formed(fleet), "at-a", NOON).hand_back[0]
    assert (back.server, back.serial, back.duty) == ("a1", "PAPERS", duty)
    assert back.wipe == (("S1", "sdb") if duty == "wiped" else ())


def test_what_opens_disks_elsewhere_is_named(two: Inventory, formed: Formed) -> None:
    tang = {
        "t1": Tang(url="http://t1", thumbprint="x" * 43, runs_on="x"),
        "t2": Tang(url="http://t2", thumbprint="x" * 43, runs_on="b1"),
    }
    fleet = two.model_copy(update={"tang": tang})
    assert evacuate(fleet, formed(fleet, on("a", "x")), "at-a", NOON).helpers == ("t1",)


def test_what_is_missing_is_said_in_memory_and_addresses(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    """b has room for 8 GiB with one server lost; 12 come, and two want the address that it has."""
    vms = {f"vm{n}": {"memory_gib": 4, "ipv4": "dedicated"} for n in range(3)}
    fleet = make_fleet({"a": [16, 16, 16], "b": [4, 4, 4]}, vms, pool=2)
    (found,) = missing(fleet, formed(fleet, on("a", *vms)), "at-a")
    assert str(found) == "4 GiB of memory more in each server of b and 1 more IPv4 address at at-b"


def test_where_no_room_would_do_nothing_is_said(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet(
        {"a": [8, 8], "b": [8, 8]}, {"x": {"cpu": "EPYC"}}, chips={"b1": "Haswell", "b2": "Haswell"}
    )
    world = formed(fleet, on("a", "x"))
    assert relocate(fleet, world, "at-a").stranded and missing(fleet, world, "at-a") == ()


@st.composite
def crowds(draw: st.DrawFn) -> tuple[dict[str, list[int]], dict[str, dict[str, Any]], int]:
    rooms = {
        "a": [64, 64, 64],
        "b": draw(st.lists(st.sampled_from([2, 4, 8]), min_size=2, max_size=3)),
    }
    vms = {
        f"vm{n}": {
            "memory_gib": draw(st.sampled_from([1, 2, 4])),
            "disk_gib": draw(st.sampled_from([10, 200])),
            "ipv4": draw(st.sampled_from(["ipv6", "dedicated"])),
            "priority": draw(st.integers(0, 3)),
        }
        for n in range(draw(st.integers(0, 7)))
    }
    return rooms, vms, draw(st.integers(0, 4))


@given(crowds())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_everybody_is_accounted_for_and_less_room_would_not_do(
    make_fleet: MakeFleet, formed: Formed, case: Any
) -> None:
    rooms, vms, pool = case
    fleet = make_fleet(rooms, vms, pool=pool, disk_gib=300)
    world = formed(fleet, on("a", *vms, "stranger"))
    found = evacuate(fleet, world, "at-a", NOON, mbit=100)
    gone, stranded = [d.vm for d in found.departures], [u.vm for u in found.relocation.stranded]
    assert sorted([*gone, *stranded, *found.relocation.unmanaged]) == sorted([*vms, "stranger"])
    priorities = [d.priority for d in found.departures]
    assert priorities == sorted(priorities, reverse=True)
    for short in missing(fleet, world, "at-a"):
        sizes = (short.memory_gib, short.disk_gib, short.addresses)
        assert not relocate(larger(fleet, "b", *sizes), world, "at-a").stranded
        for n, size in enumerate(sizes):
            less = [s - 1 if m == n else s for m, s in enumerate(sizes)]
            assert not size or relocate(larger(fleet, "b", *less), world, "at-a").stranded
