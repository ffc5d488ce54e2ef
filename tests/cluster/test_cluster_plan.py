"""Which clusters are formed, when, of which servers and disks."""

from typing import Any

import pytest

from metal.cluster.plan import contradictions, form_again, plan_clusters
from metal.model.disks import data_disks, is_mirrored, system_disks, system_gib
from metal.model.fleet import Inventory, Server, ServerProfile
from metal.model.plan import FormCluster, HaWishes, Osd, Risk
from metal.model.world import SeenCluster, SeenServer, SeenVm, World

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


def with_drives(disks: object, *named: str) -> Server:
    told = {"site": "lisbon", "rack": "R", "profile": "p", "address": "10.0.0.1"}
    return Server.model_validate(
        {**told, "system_disks": named, "learned": {"disks": disks} if disks else None}
    )


@pytest.mark.parametrize(
    ("profile", "named", "system", "data"),
    [
        ({}, (), ["sdb"], ["sda", "sdc"]),
        ({"system_disk": "first"}, (), ["sda"], ["sdc", "sdb"]),
        ({"mirrored": True}, (), ["sdb", "sdc"], ["sda"]),
        ({"mirrored": True, "system_disk": "first"}, (), ["sda", "sdc"], ["sdb"]),
        ({}, ("sdc",), ["sdc"], ["sda", "sdb"]),
        ({}, ("sdc", "sda"), ["sdc", "sda"], ["sdb"]),
    ],
)
def test_the_system_disks_are_those_that_are_named_else_as_the_profile_says(
    profile: dict[str, Any], named: tuple[str, ...], system: list[str], data: list[str]
) -> None:
    kind, one = ServerProfile(description="any", **profile), with_drives(DISKS, *named)
    assert [d.name for d in system_disks(kind, one)] == system
    assert [d.name for d in data_disks(kind, one)] == data
    assert is_mirrored(kind, one) is (len(system) == 2)
    assert system_gib(kind, one) == min(d["size_gib"] for d in DISKS if d["name"] in system)


def test_of_drives_that_nobody_knows_there_are_none() -> None:
    kind = ServerProfile(description="any")
    assert (system_disks(kind, with_drives(None)), data_disks(kind, with_drives(None))) == ((), ())
    assert system_gib(kind, with_drives(None)) is None


STRANGE = "x1 x2 x3"
WHOLE = "member member member member"


@pytest.mark.parametrize("lives", [WHOLE, "installed installed installed member"])
def test_a_cluster_of_strange_nodes_is_not_formed_anew(lives: str) -> None:
    strange = world(lives, nodes=STRANGE)
    assert "alba" not in forms(strange)
    (said,) = contradictions(inventory(), strange)
    assert said.startswith("alba is not formed: it is formed already, of x1, x2, x3")


@pytest.mark.parametrize(
    ("lives", "nodes"),
    [(WHOLE, "alba1 alba2"), (WHOLE, ""), ("installed installed installed member", "")],
)
def test_nothing_is_joined_on_which_its_vms_run(lives: str, nodes: str) -> None:
    """Whatever is told of the nodes: those servers carry what runs."""
    at = SeenVm(vmid=100, cluster="alba", server="alba3", state="running")
    bare = world(lives, nodes=nodes)
    assert "alba" in forms(bare)
    carrying = bare.model_copy(update={"vms": {"web": at}})
    assert "alba" not in forms(carrying)
    (said,) = contradictions(inventory(), carrying)
    assert "web on alba3" in said
    # Of a node that is gone its cluster repeats what it last heard: its heir may join.
    remembered = at.model_copy(update={"state": "unknown"})
    assert "alba" in forms(bare.model_copy(update={"vms": {"web": remembered}}))


FOUND_TOO = "member member member found"


@pytest.mark.parametrize("lives", [FOUND_TOO, "member member installed found"])
def test_nothing_joins_beside_a_stranger_who_may_be_it(lives: str) -> None:
    """Two of three are known: the third may be in the cluster already, by another name."""
    strange = world(lives, nodes="alba1 alba2 x3")
    assert "alba" not in forms(strange)
    (said,) = contradictions(inventory(), strange)
    assert said.startswith("alba is not formed: it has the node x3, which is none of its servers")
    assert "alba3" in said and "pvecm delnode x3" in said


def test_who_is_in_is_gone_through_again_beside_a_stranger() -> None:
    """Nobody has to join: the stranger, whatever its name, is not among those asked."""
    strange = world(FOUND_TOO, nodes="alba1 alba2 alba3 x3")
    assert not list(contradictions(inventory(), strange))
    again = form_again(inventory(), strange, "alba", HaWishes())
    assert again.servers == ("alba1", "alba2", "alba3")
