"""One VM comes to another cluster: where every server may still die, and nowhere else."""

from collections.abc import Callable
from typing import Any

from metal.model.fleet import Inventory
from metal.model.world import SeenVm, World
from metal.schedule.arrive import arrive
from metal.schedule.explain import Unplaced
from metal.schedule.place import Home
from metal.schedule.withdraw import relocate

MakeFleet = Callable[..., Inventory]
Formed = Callable[..., World]
GIB = 1024


def seen(server: str, gib: float | None = 1, **more: Any) -> SeenVm:
    memory = None if gib is None else int(gib * GIB)
    told: dict[str, Any] = {"vmid": 100, "state": "running", "vcpus": 1, "disk_gib": 10}
    return SeenVm(**told | {"cluster": server[0], "server": server, "memory_mib": memory} | more)


def server_of(found: Home | Unplaced) -> str:
    assert isinstance(found, Home), found
    return found.server


def why(found: Home | Unplaced) -> str:
    assert isinstance(found, Unplaced), found
    return found.why


def test_most_memory_free_is_not_enough(make_fleet: MakeFleet, formed: Formed) -> None:
    """b1 has 20 GiB free; but if it dies, 8, 4 and 6 GiB do not restart on 8 and 8."""
    vms = {"x": {"memory_gib": 6}, "y": {"memory_gib": 8}, "z": {"memory_gib": 4}}
    fleet = make_fleet({"a": [16, 16, 16], "b": [32, 8, 8]}, vms)
    at = {"y": seen("b1", 8), "z": seen("b1", 4)}
    found = arrive(fleet, formed(fleet, at | {"x": seen("a1", 6)}), "x", "b")
    assert "the death of one server could not be survived" in why(found)
    smaller = fleet.vms["x"].model_copy(update={"memory_gib": 4})
    fleet = fleet.model_copy(update={"vms": fleet.vms | {"x": smaller}})
    assert server_of(arrive(fleet, formed(fleet, at | {"x": seen("a1", 4)}), "x", "b"))


def test_the_size_that_it_has_counts(make_fleet: MakeFleet, formed: Formed) -> None:
    """The inventory says 1 GiB; somebody gave it 12, and 10 fit."""
    fleet = make_fleet({"a": [16, 16, 16], "b": [10, 10, 10]}, {"x": {}})
    assert server_of(arrive(fleet, formed(fleet, {"x": seen("a1", 1)}), "x", "b"))
    world = formed(fleet, {"x": seen("a1", 12)})
    assert "not enough memory free" in why(arrive(fleet, world, "x", "b"))
    assert [u.vm for u in relocate(fleet, world, "at-a").stranded] == ["x"]


def test_one_that_the_inventory_lacks(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [16, 16, 16], "b": [10, 10, 10]}, {})
    assert server_of(arrive(fleet, formed(fleet, {"x": seen("a1", 4)}), "x", "b"))
    assert "not enough memory" in why(arrive(fleet, formed(fleet, {"x": seen("a1", 12)}), "x", "b"))
    untold = formed(fleet, {"x": seen("a1", None, vcpus=None)})
    assert why(arrive(fleet, untold, "x", "b")) == "nobody told how much memory and vCPUs it has"


def test_who_stays_together_comes_to_one_server(make_fleet: MakeFleet, formed: Formed) -> None:
    """The first is put where both have room; the second where the first is."""
    vms = {"x": {"memory_gib": 6, "together": ["y"]}, "y": {"memory_gib": 6}, "z": {}}
    fleet = make_fleet({"a": [32, 32, 32], "b": [10, 16, 16]}, vms)
    at = {"x": seen("a1", 6), "y": seen("a1", 6)}
    first = server_of(arrive(fleet, formed(fleet, at), "x", "b"))
    assert first in ("b2", "b3")
    at["x"] = seen(first, 6)
    assert server_of(arrive(fleet, formed(fleet, at), "y", "b")) == first
    other = "b2" if first == "b3" else "b3"
    assert isinstance(arrive(fleet, formed(fleet, at), "y", "b", [other]), Unplaced)


def test_replicas_stay_apart_and_full_servers_say_so(make_fleet: MakeFleet, formed: Formed) -> None:
    vms = {"x": {"apart": "g"}, "y": {"apart": "g"}}
    fleet = make_fleet({"a": [8, 8, 8], "b": [8, 8, 8]}, vms)
    world = formed(fleet, {"x": seen("a1"), "y": seen("b1")})
    assert server_of(arrive(fleet, world, "x", "b")) in ("b2", "b3")
    assert why(arrive(fleet, world, "x", "b", ["b1"])) == (
        "b1: another VM of the group 'g' runs there"
    )


def test_a_neighbour_at_the_same_site_asks_for_no_address(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    """No address is free there; it brings its own, and elsewhere would need one."""
    vms = {
        "x": {
            "ipv4": "dedicated",
            "needs": ["rdns"],
            "serves": [{"port": 25, "protocol": "tcp"}],
        }
    }
    clusters = {"a": [8, 8, 8], "b": [8, 8, 8], "c": [8, 8, 8]}
    fleet = make_fleet(clusters, vms, pool=0, sites={"b": "a"})
    world = formed(fleet, {"x": seen("a1")})
    assert server_of(arrive(fleet, world, "x", "b"))
    assert isinstance(arrive(fleet, world, "x", "c"), Unplaced)
