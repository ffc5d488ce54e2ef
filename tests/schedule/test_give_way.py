"""What must give way where VMs have no place: the fewest wishes, and none that need not."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metal.model.fleet import Inventory
from metal.model.world import World
from metal.schedule.give_way import in_the_way, without
from metal.schedule.place import place
from metal.schedule.plan import plan_vms

MakeFleet = Callable[..., Inventory]
Formed = Callable[..., World]


def told(fleet: Inventory, world: World) -> list[str]:
    found = in_the_way(fleet, world, fleet.clusters, (), place(fleet, world))
    return list(map(str, found))


def test_a_pin_to_the_full_cluster_is_named(make_fleet: MakeFleet, formed: Formed) -> None:
    vms = {f"v{n}": {"cluster": "a", "memory_gib": 2} for n in range(5)}
    fleet = make_fleet({"a": [4, 4, 4], "b": [8, 8, 8]}, vms)
    assert told(fleet, formed(fleet)) == ['`cluster = "a"` of v4']
    _, warnings = plan_vms(fleet, formed(fleet), fleet.clusters, {})
    said = 'every VM has a place without this wish, and no fewer do: `cluster = "a"` of v4'
    assert said in warnings


def test_of_a_group_too_many_for_its_servers_one_replica_is_let_go(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    fleet = make_fleet({"a": [8, 8]}, {f"db{n}": {"apart": "db"} for n in range(3)})
    assert told(fleet, formed(fleet)) == ['`apart = "db"` of db2']


def test_two_wishes_where_one_does_not_do(make_fleet: MakeFleet, formed: Formed) -> None:
    vms: dict[str, dict[str, Any]] = {f"v{n}": {"cluster": "a", "memory_gib": 3} for n in range(4)}
    fleet = make_fleet({"a": [4, 4, 4], "b": [16, 16, 16]}, vms)
    assert len(told(fleet, formed(fleet))) == 2


def test_more_than_two_that_do_it_only_together(make_fleet: MakeFleet, formed: Formed) -> None:
    """None that could have stayed, and each told with the line that it stands in."""
    vms = {f"v{n}": {"cluster": "a", "memory_gib": 3} for n in range(6)}
    fleet = make_fleet({"a": [4, 4, 4], "b": [16, 16, 16]}, vms)
    written = {vm: f"inventory.toml:{n}" for n, vm in enumerate(vms, 10)}
    fleet = fleet.model_copy(update={"written": written})
    world = formed(fleet)
    placed = place(fleet, world)
    found = in_the_way(fleet, world, fleet.clusters, (), placed)
    assert len(found) == 4 == len(placed.unplaced)
    for wish in found:
        others = [other for other in found if other != wish]
        assert place(without(fleet, others), world).unplaced
    _, warnings = plan_vms(fleet, world, fleet.clusters, {})
    (said,) = (text for text in warnings if "these 4 wishes" in text)
    assert "not with any one of them back" in said
    assert '`cluster = "a"` of v5 (inventory.toml:15)' in said
    assert any("v5 (inventory.toml:15)" in t and "not placed" in t for t in warnings)


def test_the_last_address_goes_to_one(make_fleet: MakeFleet, formed: Formed) -> None:
    vms = {f"m{n}": {"ipv4": "dedicated", "why": "mail"} for n in range(3)}
    fleet = make_fleet({"a": [16, 16, 16]}, vms, pool=2)
    assert told(fleet, formed(fleet)) == ['`ipv4 = "dedicated"` of m2']


def test_where_there_is_no_room_no_wish_is_blamed(make_fleet: MakeFleet, formed: Formed) -> None:
    vms = {f"v{n}": {"memory_gib": 4, "cluster": "a"} for n in range(3)}
    fleet = make_fleet({"a": [4, 4, 4]}, vms)
    assert told(fleet, formed(fleet)) == []


wished = st.fixed_dictionaries(
    {
        "memory_gib": st.sampled_from([1, 2, 3]),
        "cluster": st.sampled_from([None, "a", "b"]),
        "apart": st.sampled_from([None, None, "db"]),
    }
)


@given(st.lists(wished, max_size=7))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_named_does_it_and_no_part_of_it_does(
    make_fleet: MakeFleet, formed: Formed, drawn: list[dict[str, Any]]
) -> None:
    fleet = make_fleet({"a": [4, 5], "b": [4, 4, 4]}, {f"v{n}": v for n, v in enumerate(drawn)})
    world = formed(fleet)
    before = place(fleet, world)
    wishes = in_the_way(fleet, world, fleet.clusters, (), before)
    assert not wishes or before.unplaced
    for size in range(1, len(wishes) + 1):
        part = wishes[:size]
        done = not place(without(fleet, part), world).unplaced
        assert done == (size == len(wishes))
