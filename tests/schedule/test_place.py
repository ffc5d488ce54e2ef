"""Which VM where: examples a volunteer would ask about."""

from collections.abc import Callable
from typing import Any

import pytest

from metal.controller.planning import plan_fleet
from metal.model.fleet import Inventory
from metal.model.laws import judge
from metal.model.life import Life
from metal.model.world import SeenCluster, SeenServer, SeenVm, World
from metal.schedule.place import place
from metal.schedule.prove import prove
from metal.schedule.roomleft import room_left

MakeFleet = Callable[..., Inventory]
Formed = Callable[..., World]


def servers(fleet: Inventory, world: World, **options: Any) -> dict[str, str]:
    """VM → server of what is placed."""
    return {vm: home.server for vm, home in place(fleet, world, **options).homes.items()}


def why_left(fleet: Inventory, world: World, **options: Any) -> dict[str, str]:
    return {left.vm: str(left) for left in place(fleet, world, **options).unplaced}


def test_the_whole_charity_has_a_home(charity: Inventory, formed: Formed) -> None:
    placement = place(charity, formed(charity))
    assert placement.unplaced == ()
    assert len(placement.homes) == len(charity.vms) == 43
    # Replicas stand in different clusters while there are enough of them.
    for group in ("db", "runner", "login", "cache", "mail", "dns"):
        clusters = [
            h.cluster for vm, h in placement.homes.items() if charity.vms[vm].apart == group
        ]
        assert len(set(clusters)) == len(clusters), group


def test_memory_is_spread(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [16, 16, 16]}, {f"vm{n}": {} for n in range(6)})
    homes = list(servers(fleet, formed(fleet)).values())
    assert sorted(homes.count(s) for s in ("a1", "a2", "a3")) == [2, 2, 2]


def test_what_runs_stays(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [16, 16, 16]}, {"old": {}, "new": {}})
    seen = {"old": SeenVm(vmid=100, cluster="a", server="a2", state="running")}
    assert set(servers(fleet, formed(fleet, seen))) == {"new"}


def test_it_is_made_at_its_home_where_that_is_lawful(make_fleet: MakeFleet, formed: Formed) -> None:
    """HA would bring it there at once; the second of its homes where the first is full."""
    homely = {"home": ["a3", "a2"], "memory_gib": 6}
    fleet = make_fleet({"a": [64, 32, 8]}, {"one": homely, "two": homely, "free": {}})
    assert servers(fleet, formed(fleet)) == {"one": "a3", "two": "a2", "free": "a1"}


def test_survival_limits_what_is_placed(make_fleet: MakeFleet, formed: Formed) -> None:
    # 3 × 4 GiB hold twelve VMs of 1 GiB, but only eight so that any server may die.
    vms = {f"vm{n:02}": {"priority": n} for n in range(12)}
    fleet = make_fleet({"a": [4, 4, 4]}, vms)
    world = formed(fleet)
    assert set(servers(fleet, world)) == {f"vm{n:02}" for n in range(4, 12)}
    assert "could not be survived" in why_left(fleet, world)["vm00"]


def test_memory_of_unmanaged_vms_counts_and_they_are_left_alone(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    fleet = make_fleet({"a": [4, 4]}, {"vm": {"memory_gib": 2}})
    stranger = SeenVm(vmid=100, cluster="a", server="a1", state="running", memory_mib=3 * 1024)
    placement = place(fleet, formed(fleet, {"stranger": stranger}))
    assert not placement.homes
    assert "stranger" in placement.fleet.notes[0]
    unknown = stranger.model_copy(update={"memory_mib": None})
    assert (
        "how much memory and disk stranger has"
        in why_left(fleet, formed(fleet, {"stranger": unknown}))["vm"]
    )


def test_a_server_of_unknown_memory_gets_nothing(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [8, 8, None]}, {f"vm{n}": {} for n in range(4)})
    assert set(servers(fleet, formed(fleet)).values()) == {"a1", "a2"}


def test_replicas_keep_apart_and_the_third_of_a_trio_waits(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    vms = {f"db{n}": {"apart": "db"} for n in range(3)}
    fleet = make_fleet({"a": [16, 16, 16]}, vms)
    # When a server dies its replica waits for it: the two others run on.
    homes = servers(fleet, formed(fleet))
    assert len(set(homes.values())) == len(homes) == 3
    two = make_fleet({"a": [16, 16, 16], "b": [16, 16, 16]}, vms)
    assert len(set(servers(two, formed(two)).values())) == 3


def test_a_solo_machine_takes_pinned_replicas_only(make_fleet: MakeFleet, formed: Formed) -> None:
    vms = {
        "dns1": {"apart": "dns"},
        "dns2": {"apart": "dns", "cluster": "solo"},
        "loner": {"cluster": "solo"},
        "free": {},
    }
    fleet = make_fleet({"a": [8, 8], "solo": [64]}, vms)
    homes = servers(fleet, formed(fleet))
    assert homes["dns2"] == "solo1"
    assert homes["free"] != "solo1"
    assert homes["dns1"] != "solo1"
    assert "replica elsewhere" in why_left(fleet, formed(fleet))["loner"]


def test_a_replica_on_a_solo_machine_needs_its_mate_placed(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    vms = {
        "dns1": {"apart": "dns", "memory_gib": 100},
        "dns2": {"apart": "dns", "cluster": "solo"},
    }
    fleet = make_fleet({"a": [8, 8], "solo": [64]}, vms)
    assert not servers(fleet, formed(fleet))


def test_one_vm_is_moved_aside_to_make_room(make_fleet: MakeFleet, formed: Formed) -> None:
    # `a` is the freer one, so `first` goes there, where `pinned` then has no room any more.
    vms = {
        "first": {"priority": 90, "memory_gib": 4},
        "pinned": {"priority": 10, "memory_gib": 8, "cluster": "a"},
    }
    fleet = make_fleet({"a": [10, 10], "b": [5, 5]}, vms)
    homes = servers(fleet, formed(fleet))
    assert homes["pinned"].startswith("a")
    assert homes["first"].startswith("b")


def test_the_site_must_be_able_to_give_the_treatment(make_fleet: MakeFleet, formed: Formed) -> None:
    vms = {f"mail{n}": {"ipv4": "dedicated", "serves": [{"port": 25}]} for n in range(4)}
    fleet = make_fleet({"a": [32, 32], "b": [32, 32]}, vms, pool=1)
    placement = place(fleet, formed(fleet))
    assert sorted(h.cluster for h in placement.homes.values()) == ["a", "b"]
    assert "ipv4_pool" in placement.unplaced[0].mend


def test_cpu_is_promised_by_the_factor_only(make_fleet: MakeFleet, formed: Formed) -> None:
    vms = {f"vm{n}": {"vcpus": 2} for n in range(6)}
    fleet = make_fleet({"a": [64, 64]}, vms, threads=2, cpu_factor=2)
    # Two servers of four vCPUs each: what runs must also fit on one of them.
    assert len(servers(fleet, formed(fleet))) == 2
    wide = make_fleet({"a": [64, 64]}, {"wide": {"vcpus": 8}}, threads=4)
    assert "smallest server has 4 threads" in why_left(wide, formed(wide))["wide"]


def test_a_silent_cluster_is_not_an_empty_one(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [8, 8], "b": [8, 8]}, {"free": {}, "pinned": {"cluster": "a"}})
    world = formed(fleet)
    silent = world.model_copy(update={"clusters": {**world.clusters, "b": SeenCluster()}})
    assert set(servers(fleet, silent)) == {"pinned"}
    assert "may run in b, which does not answer" in why_left(fleet, silent)["free"]


def test_a_degraded_cluster_takes_nothing_new(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [8, 8, 8]}, {"vm": {}})
    world = formed(fleet)
    for state in (
        SeenServer(life=Life.MEMBER, node="offline"),
        SeenServer(life=Life.MEMBER, node="unknown"),
        SeenServer(life=Life.DRAINING, node="online"),
    ):
        worse = world.model_copy(update={"servers": {**world.servers, "a2": state}})
        assert "a2" in why_left(fleet, worse)["vm"]
    retired = SeenServer(life=Life.RETIRED, node="unknown")
    less = world.model_copy(update={"servers": {**world.servers, "a2": retired}})
    assert servers(fleet, less)["vm"] in ("a1", "a3")


def test_the_last_of_several_servers_is_no_machine_on_its_own(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    """Restarts were promised there, so neither who may wait nor a replica comes: planner, judge
    and proof say the same. Of a cluster that the inventory makes of one server both may."""
    vms = {
        "waits": {"cluster": "a", "may_wait": True},
        "copy": {"cluster": "a", "apart": "g"},
        "other": {"cluster": "b", "apart": "g"},
    }
    fleet = make_fleet({"a": [8, 8], "b": [8, 8, 8]}, vms)
    world = formed(fleet)
    retired = SeenServer(life=Life.RETIRED, node="online")
    less = world.model_copy(update={"servers": {**world.servers, "a2": retired}})
    plan = plan_fleet(fleet, less)
    assert [a.vm for a in plan.actions if a.kind == "place"] == ["other"]
    assert judge(plan, fleet, less) == []
    told = why_left(fleet, less)["waits"]
    assert "nothing restarts what ran on a1" in told and "take the retired ones out" in told

    there = SeenVm(vmid=100, cluster="a", server="a1", state="running")
    runs = less.model_copy(update={"vms": {"waits": there}})
    lost = prove(fleet, runs).clusters["a"].failures["a1"]
    assert (lost.verdict, lost.why) == ("not", "no other server is there to take waits")
    assert room_left(fleet, less, fleet.sizes["small"])[0].why == "its other servers are retired"

    document = fleet.model_dump()
    document["clusters"]["a"] |= {"servers": ["a1"], "ceph": False}
    solo = Inventory.model_validate(document)
    assert servers(solo, less) | {"other": "b"} == {"waits": "a1", "copy": "a1", "other": "b"}


def test_a_failing_server_gets_nothing_new(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [8, 8, 8]}, {f"vm{n}": {} for n in range(4)})
    world = formed(fleet)
    failing = world.servers["a1"].model_copy(update={"health": "critical"})
    worse = world.model_copy(update={"servers": {**world.servers, "a1": failing}})
    assert "a1" not in servers(fleet, worse).values()


def test_clusters_that_are_not_ready_are_named(make_fleet: MakeFleet) -> None:
    fleet = make_fleet({"a": [8, 8]}, {"vm": {}})
    assert "not formed yet" in why_left(fleet, World(), ready=())["vm"]
    assert set(servers(fleet, World(), ready=("a",), forming=("a",))) == {"vm"}


def test_a_full_ceph_takes_nothing_new(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [64, 64, 64]}, {"big": {"disk_gib": 700}, "small": {"disk_gib": 70}})
    disks = ({"name": "sda", "size_gib": 100}, {"name": "sdb", "size_gib": 500})
    document = fleet.model_dump()
    for server in document["servers"].values():
        server["learned"]["disks"] = disks
    known = Inventory.model_validate(document)
    assert set(servers(known, formed(known))) == {"small"}
    assert "its disks have" in why_left(known, formed(known))["big"]


@pytest.mark.parametrize(("gib", "fits"), [(100, False), (9, True)])
def test_a_template_takes_disk(make_fleet: MakeFleet, formed: Formed, gib: int, fits: bool) -> None:
    """It never runs, and its disk is in Ceph all the same: 425 GiB of three times 500 are there."""
    fleet = make_fleet({"a": [64, 64, 64]}, {"big": {"disk_gib": 400}})
    document = fleet.model_dump()
    for server in document["servers"].values():
        server["learned"]["disks"] = [
            {"name": "sda", "size_gib": 100},
            {"name": "sdb", "size_gib": 500},
        ]
    known = Inventory.model_validate(document)
    at = {"cluster": "a", "server": "a1", "state": "stopped"}
    debian = SeenVm.model_validate({"vmid": 900, "kind": "template", "disk_gib": gib, **at})
    assert bool(servers(known, formed(known, {"debian": debian}))) is fits


def test_a_ceph_that_says_it_is_nearly_full_takes_nothing_new(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    """Whatever the inventory's sum says: somebody else fills it, or one OSD is fuller."""
    fleet = make_fleet({"a": [64, 64, 64]}, {"vm": {}})
    world = formed(fleet)
    full = world.clusters["a"].model_copy(update={"ceph_full": True})
    worse = world.model_copy(update={"clusters": {"a": full}})
    assert "its Ceph is nearly full (85%)" in why_left(fleet, worse)["vm"]
    assert "vm" in servers(fleet, world)


def test_apart_by_more_than_servers(make_fleet: MakeFleet, formed: Formed) -> None:
    def homes(by: str, **more: Any) -> dict[str, str]:
        vms = {f"db{n}": {"apart": "db", "apart_by": by} for n in range(3)}
        memories = {"a": [16, 16, 16], "b": [16, 16, 16], "c": [16, 16, 16]}
        fleet = make_fleet(memories, vms, **more)
        return servers(fleet, formed(fleet))

    assert sorted(s[0] for s in homes("cluster").values()) == ["a", "b", "c"]
    assert sorted(s[0] for s in homes("cluster", sites={"b": "a"}).values()) == ["a", "b", "c"]
    assert len(homes("site", sites={"b": "a"})) == 2
    assert len(homes("donor", sites={"b": "a", "c": "a"})) == 1


def test_why_a_group_has_no_further_site(make_fleet: MakeFleet, formed: Formed) -> None:
    vms = {f"db{n}": {"apart": "db", "apart_by": "site"} for n in range(2)}
    fleet = make_fleet({"a": [16, 16, 16]}, vms)
    assert "apart by site, and has a VM at at-a" in why_left(fleet, formed(fleet))["db1"]


def test_what_is_together_goes_together(make_fleet: MakeFleet, formed: Formed) -> None:
    vms = {
        "app": {"memory_gib": 5, "together": ("cache",), "priority": 10},
        "cache": {"memory_gib": 5, "together": ("index",), "priority": 90},
        "index": {"memory_gib": 1},
        "other": {"memory_gib": 8},
    }
    fleet = make_fleet({"a": [16, 16, 20], "b": [8, 8]}, vms)
    homes = servers(fleet, formed(fleet))
    assert homes["app"] == homes["cache"] == homes["index"]
    there = {"index": SeenVm(vmid=100, cluster="a", server="a2", state="running")}
    assert servers(fleet, formed(fleet, there))["app"] == "a2"
    tight = make_fleet({"a": [10, 10, 10]}, vms)
    assert set(why_left(tight, formed(tight))) == {"app", "cache", "index"}


def test_preferred_homes_while_there_is_room(make_fleet: MakeFleet, formed: Formed) -> None:
    vms = {f"vm{n}": {"prefers": ("b", "a"), "memory_gib": 4} for n in range(3)}
    fleet = make_fleet({"a": [12, 12], "b": [8, 8], "c": [64, 64]}, vms)
    assert sorted(s[0] for s in servers(fleet, formed(fleet)).values()) == ["a", "b", "b"]


def test_a_processor_is_only_promised_where_it_is_known(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    vms = {"new": {"cpu": "x86-64-v3"}, "any": {"cluster": "b"}}
    chips = {"a1": "Haswell", "a2": "Broadwell", "b1": "Opteron_G3", "b2": "Opteron_G3"}
    fleet = make_fleet({"a": [8, 8], "b": [16, 16]}, vms, chips=chips)
    assert servers(fleet, formed(fleet))["new"].startswith("a")
    assert "not known to be a x86-64-v2-AES" in why_left(fleet, formed(fleet))["any"]
    dark = make_fleet({"a": [8, 8], "b": [16, 16]}, vms)
    assert "not known to be a x86-64-v3" in why_left(dark, formed(dark))["new"]


def test_disks_that_nobody_knows_hold_nothing(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [8, 8, 8]}, {"vm": {}}, disk_gib=None)
    assert "its disks are not known" in why_left(fleet, formed(fleet))["vm"]
    small = make_fleet(
        {"a": [8, 8, 8]}, {f"vm{n}": {"disk_gib": 40} for n in range(3)}, disk_gib=100
    )
    assert len(servers(small, formed(small))) == 2  # 85 % of 100 GiB


def test_who_takes_no_address_comes_to_a_site_that_promised_too_many(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    vms = {"old": {"ipv4": "dedicated"}, "new": {"ipv4": "ipv6"}, "late": {"ipv4": "dedicated"}}
    fleet = make_fleet({"a": [8, 8, 8]}, vms, pool=0)
    ran = SeenVm(vmid=100, cluster="a", server="a1", state="running")
    found = place(fleet, formed(fleet, {"old": ran}))
    assert set(found.homes) == {"new"} and [left.vm for left in found.unplaced] == ["late"]
