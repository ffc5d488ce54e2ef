"""Which clusters are formed, when, of which servers and disks."""

from typing import Any

import pytest

from metal.cluster.plan import plan_clusters
from metal.model.disks import data_disks, system_disk
from metal.model.errors import BadInput
from metal.model.fleet import Inventory, Learned, ServerProfile
from metal.model.plan import FormCluster, Osd, Risk
from metal.model.world import SeenCluster, SeenServer, World

DISKS = [
    {"name": "sda", "size_gib": 1000, "serial": "A"},
    {"name": "sdc", "size_gib": 200, "serial": "C"},
    {"name": "sdb", "size_gib": 200, "serial": "B"},
]


def inventory() -> Inventory:
    """The cluster alba of three (the third's BMC lists no drives) and the solo machine duna1."""
    return Inventory.model_validate(
        {
            "fleet": {"name": "test", "domain": "example.org"},
            "administrators": {},
            "sites": {"lisbon": SITE},
            "servers": {
                "alba1": server(1) | {"learned": {"disks": DISKS}},
                "alba2": server(2) | {"learned": {"disks": DISKS[:2]}},
                "alba3": server(3) | {"learned": {}},
                "duna1": server(4),
            },
            "clusters": {
                "alba": {"servers": ["alba1", "alba2", "alba3"]},
                "duna": {"servers": ["duna1"], "ceph": False},
            },
            "profiles": {"node": {"description": "any"}},
        }
    )


SITE = {
    "donor": {"name": "A donor", "contact": "noc@example.org"},
    "place": "row 2",
    "subnets": {
        "bmc": "10.11.0.0/24",
        "management": "10.11.1.0/24",
        "gateway": "10.11.1.1",
        "private_ipv4": "10.11.128.0/20",
    },
}


def server(number: int) -> dict[str, Any]:
    return {
        "site": "lisbon",
        "rack": "A",
        "profile": "node",
        "address": f"10.11.1.1{number}",
        "bmc": {"address": f"10.11.0.1{number}"},
    }


def world(lives: str, *, nodes: str = "", quorate: bool | None = True, held: str = "") -> World:
    """`lives`: of alba1 alba2 alba3 duna1; `nodes`: who is in the cluster alba."""
    names = ("alba1", "alba2", "alba3", "duna1")
    return World(
        servers={
            name: SeenServer.model_validate(
                {"life": life, "status": "held" if name == held else "done"}
            )
            for name, life in zip(names, lives.split(), strict=True)
        },
        clusters={
            "alba": SeenCluster(formed=bool(nodes), quorate=quorate, nodes=tuple(nodes.split()))
        },
    )


def forms(seen: World, *installing: str) -> dict[str, FormCluster]:
    return {a.cluster: a for a in plan_clusters(inventory(), seen, frozenset(installing))}


def test_a_new_cluster_gets_every_disk_but_the_systems() -> None:
    action = forms(world("installed installed installed installed"))["alba"]
    assert action.servers == ("alba1", "alba2", "alba3")
    assert action.osds == (
        Osd(server="alba1", device="sda", serial="A"),
        Osd(server="alba1", device="sdc", serial="C"),
        Osd(server="alba2", device="sda", serial="A"),
        Osd(server="alba3", device="*"),
    )
    assert action.risk is Risk.DISRUPTS
    assert "no cluster alba yet" in action.why


def test_it_needs_the_installs_of_the_same_plan() -> None:
    action = forms(world("installed found enrolled found"), "alba2", "alba3")["alba"]
    assert action.needs == ("install:alba2", "install:alba3")


def test_it_waits_until_all_servers_are_there() -> None:
    assert "alba" not in forms(world("installed found enrolled found"), "alba2")
    assert "alba" not in forms(world("installed installed installed found", held="alba2"))


def test_a_half_formed_cluster_is_taken_on_from_its_member() -> None:
    action = forms(world("installed installed installed found", nodes="alba2"))["alba"]
    assert action.servers == ("alba2", "alba1", "alba3")
    assert "alba1, alba3 must still join" in action.why


def test_a_whole_one_that_was_not_finished_is_finished() -> None:
    action = forms(world("installed member member found", nodes="alba1 alba2 alba3"))["alba"]
    assert {o.server for o in action.osds} == {"alba1"}
    assert "not finished" in action.why


def test_a_formed_cluster_is_left_alone() -> None:
    whole = "alba1 alba2 alba3"
    assert forms(world("member member member member", nodes=whole)) == {}
    # Silent: nobody says who is in it.
    assert forms(world("member member member member", quorate=None)) == {}


def test_a_member_that_its_cluster_does_not_know_joins_again() -> None:
    action = forms(world("member member member member", nodes="alba1 alba2"))["alba"]
    assert action.servers == ("alba1", "alba2", "alba3")
    assert action.osds == ()


def test_who_leaves_is_left_out() -> None:
    action = forms(world("member draining installed found", nodes="alba1 alba2"))["alba"]
    assert action.servers == ("alba1", "alba3")
    assert forms(world("member draining retired found", nodes="alba1 alba2")) == {}


def test_a_solo_machine_only_has_to_answer() -> None:
    action = forms(world("found found found installed"))["duna"]
    assert (action.servers, action.ceph, action.osds) == (("duna1",), False, ())
    assert action.risk is Risk.SAFE
    assert forms(world("found found found found"), "duna1")["duna"].needs == ("install:duna1",)


def test_the_system_disk_is_the_smallest_or_the_first() -> None:
    learned = Learned.model_validate({"disks": DISKS})
    smallest = ServerProfile(description="any")
    first = ServerProfile(description="any", system_disk="first")
    assert system_disk(smallest, learned).name == "sdb"
    assert system_disk(first, learned).name == "sda"
    assert [d.name for d in data_disks(smallest, learned)] == ["sda", "sdc"]
    with pytest.raises(BadInput, match="no drive is known"):
        system_disk(smallest, Learned())
    assert data_disks(smallest, Learned()) == ()
