"""What donors allow: each term broken by a plan, and its twin that keeps it."""

from datetime import date
from typing import Any

import pytest
from small_fleet import bare, drain, fleet, install, move, place, running, seen, vm

from metal.model.fleet import Inventory
from metal.model.laws import judge
from metal.model.life import Life
from metal.model.plan import Action, Plan
from metal.model.world import World

TODAY = date(2027, 3, 1)


def lent(inventory: Inventory, **terms: Any) -> Inventory:
    site = inventory.sites["site1"]
    changed = site.model_copy(update={"donor": site.donor.model_copy(update=terms)})
    return inventory.model_copy(update={"sites": inventory.sites | {"site1": changed}})


def drawing(inventory: Inventory, *watts: int | None) -> Inventory:
    told = {f"rio{n}": w for n, w in enumerate(watts, start=1)}
    servers = {
        name: server.model_copy(update={"watts": told.get(name), "height": 2})
        for name, server in inventory.servers.items()
    }
    return inventory.model_copy(update={"servers": servers})


def terms(
    inventory: Inventory, world: World, *actions: Action, today: date | None = TODAY
) -> list[str]:
    breaches = judge(Plan(fingerprint="", actions=actions), inventory, world, today)
    return [b.what for b in breaches if b.law == "terms"]


@pytest.mark.parametrize(
    ("lends", "watts", "said"),
    [
        ({}, (None, None, None), ""),
        ({"units": 6}, (None, None, None), ""),
        ({"units": 5}, (None, None, None), "servers of 6 U, 5 U are lent"),
        ({"watts": 900}, (300, 300, 300), ""),
        ({"watts": 899}, (300, 300, 300), "servers of 900 W, 899 W are lent"),
        ({"watts": 900}, (300, None, None), "`watts` of rio2, rio3"),
        ({"until": date(2027, 3, 1)}, (None, None, None), ""),
        ({"until": date(2027, 2, 28)}, (None, None, None), "was lent until 2027-02-28"),
    ],
)
def test_an_install_keeps_the_terms(
    lends: dict[str, Any], watts: tuple[int | None, ...], said: str
) -> None:
    inventory = lent(drawing(fleet({}), *watts), **lends)
    found = terms(inventory, bare(), install("rio1"))
    assert len(found) == bool(said)
    assert all(said in what and "(terms of d)" in what for what in found)
    elsewhere = terms(inventory, bare(), install("zee1"))
    assert elsewhere == [], "another donor's terms"


def test_what_was_given_back_takes_nothing() -> None:
    inventory = lent(drawing(fleet({})), units=4)
    world = bare()
    gone = world.servers["rio3"].model_copy(update={"life": Life.RETIRED})
    world = world.model_copy(update={"servers": world.servers | {"rio3": gone}})
    assert terms(inventory, world, install("rio1")) == []


@pytest.mark.parametrize(
    ("lends", "breaches"), [({"traffic_gb": 500}, 0), ({"traffic_gb": 499}, 1)]
)
def test_a_place_keeps_the_traffic(lends: dict[str, Any], breaches: int) -> None:
    vms = {"a": vm(traffic_gb=200), "b": vm(traffic_gb=300), "elsewhere": vm(traffic_gb=900)}
    world = running(a=seen("rio1", 101), elsewhere=seen("zee1", 103))
    assert len(terms(lent(fleet(vms), **lends), world, place("b", "rio2", 102))) == breaches


@pytest.mark.parametrize(("number", "breaches"), [(2, 0), (1, 1)])
def test_a_place_keeps_the_addresses(number: int, breaches: int) -> None:
    inventory = lent(fleet({"a": vm(), "b": vm()}), addresses=number)
    world = running(a=seen("rio1", 101, addresses=("10.1.128.9/20", "192.0.1.2/28")))
    placed = place("b", "rio2", 102)
    has = placed.addressing.model_copy(update={"public_ipv4": "192.0.1.3/28"})
    placed = placed.model_copy(update={"addressing": has})
    assert len(terms(inventory, world, placed)) == breaches


def test_after_the_last_day_what_is_there_may_still_be_moved_off() -> None:
    inventory = lent(fleet({"a": vm(), "b": vm()}), until=date(2027, 2, 28), units=1)
    world = running(a=seen("rio1", 101))
    assert terms(inventory, world, drain("rio1", move("a", 101, "rio1", "rio2"))) == []
    assert terms(inventory, world, place("b", "rio2", 102)) != []
    assert terms(inventory, world, place("b", "rio2", 102), today=None) == []
