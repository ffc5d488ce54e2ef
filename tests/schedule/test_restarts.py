"""Where the VMs of a dead server run again, where no HA decides that."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from metal.model.fleet import Inventory, LibvirtAccess
from metal.model.laws import judge
from metal.model.plan import Plan, RecoverServer, Restarts, Risk, fingerprint
from metal.model.world import SeenVm, World
from metal.schedule.prove import prove
from metal.schedule.restarts import plan_restarts

MakeFleet = Callable[..., Inventory]
Formed = Callable[..., World]


def libvirt(fleet: Inventory, storage: str | None = "vms", *, ceph: bool = False) -> Inventory:
    """The same with libvirt on the cluster a, its disks shared or not, in Ceph or not."""
    access = LibvirtAccess(ceph=ceph)
    made = fleet.clusters["a"].model_copy(
        update={"libvirt": access, "ceph": False, "storage": storage}
    )
    return fleet.model_copy(update={"clusters": fleet.clusters | {"a": made}})


def on(server: str, vmid: int, **more: Any) -> SeenVm:
    told = {"vmid": vmid, "cluster": server[:-1], "server": server, "state": "running"}
    return SeenVm.model_validate(told | more)


def without(world: World, server: str) -> World:
    """The server died; its VMs are what nobody tells of."""
    dead = world.servers[server].model_copy(update={"node": "offline", "power": "off"})
    vms = {
        name: vm.model_copy(update={"state": "unknown"}) if vm.server == server else vm
        for name, vm in world.vms.items()
    }
    return world.model_copy(update={"servers": world.servers | {server: dead}, "vms": vms})


def breaches(fleet: Inventory, world: World, server: str, restarts: Restarts) -> list[str]:
    vms = {n: vm.vmid for n, vm in world.vms.items() if vm.server == server}
    action = RecoverServer(
        what="recover",
        why="a test",
        risk=Risk.SAFE,
        server=server,
        cluster="a",
        vms=vms,
        restarts=restarts,
    )
    plan = Plan(fingerprint=fingerprint(fleet, world), actions=(action,))
    return [f"{b.law} {b.subject}: {b.what}" for b in judge(plan, fleet, world)]


def test_where_the_disks_are_in_ceph_the_dead_server_is_shut_out(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    on_ceph = libvirt(make_fleet({"a": [6, 6, 6]}, {"git": {"memory_gib": 2}}), ceph=True)
    dead = without(formed(on_ceph, {"git": on("a1", 101)}), "a1")
    found = plan_restarts(on_ceph, dead, "a1", ["git"])
    assert found.shut_out == (str(on_ceph.servers["a1"].address),)
    assert breaches(on_ceph, dead, "a1", found) == []
    open_ = found.model_copy(update={"shut_out": ()})
    assert any("could still write" in said for said in breaches(on_ceph, dead, "a1", open_))
    elsewhere = libvirt(on_ceph)
    assert plan_restarts(elsewhere, dead, "a1", ["git"]).shut_out == ()


def test_it_is_what_the_proof_said_before(make_fleet: MakeFleet, formed: Formed) -> None:
    wishes = {f"vm{n}": {"memory_gib": n, "priority": 10 * n} for n in (1, 2, 3)}
    fleet = libvirt(make_fleet({"a": [6, 6, 6]}, wishes))
    world = formed(fleet, {f"vm{n}": on("a1", 100 + n) for n in (1, 2, 3)})
    proven = prove(fleet, world).clusters["a"].failures["a1"]
    assert proven.verdict == "survivable"
    dead = without(world, "a1")
    found = plan_restarts(fleet, dead, "a1", list(wishes))
    assert {r.vm: r.target for r in found.planned} == proven.restarts
    assert [r.vm for r in found.planned] == ["vm3", "vm2", "vm1"]
    assert found.stranded == {}
    assert breaches(fleet, dead, "a1", found) == []


def test_without_room_for_all_the_most_important_run(make_fleet: MakeFleet, formed: Formed) -> None:
    wishes = {f"vm{n}": {"memory_gib": 4, "priority": 10 * n} for n in (1, 2, 3)}
    fleet = libvirt(make_fleet({"a": [12, 5, 5]}, wishes))
    dead = without(formed(fleet, {f"vm{n}": on("a1", 100 + n) for n in (1, 2, 3)}), "a1")
    found = plan_restarts(fleet, dead, "a1", list(wishes))
    assert [r.vm for r in found.planned] == ["vm3", "vm2"]
    assert list(found.stranded) == ["vm1"]
    assert "a2: " in found.stranded["vm1"] and "a3: " in found.stranded["vm1"]
    assert breaches(fleet, dead, "a1", found) == []


def test_disks_of_the_dead_server_itself_are_not_elsewhere(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    fleet = libvirt(make_fleet({"a": [6, 6, 6]}, {"git": {}}), storage=None)
    dead = without(formed(fleet, {"git": on("a1", 101)}), "a1")
    found = plan_restarts(fleet, dead, "a1", ["git"])
    assert found == Restarts(stranded={"git": "its disk is on a1 alone"})


def test_what_the_inventory_lacks_is_told_and_left(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = libvirt(make_fleet({"a": [6, 6, 6]}, {"git": {}}))
    world = formed(fleet, {"git": on("a1", 101), "theirs": on("a1", 102)})
    found = plan_restarts(fleet, without(world, "a1"), "a1", ["git", "theirs"])
    assert [r.vm for r in found.planned] == ["git"]
    assert "not in the inventory" in found.stranded["theirs"]


def test_beside_a_vm_of_unknown_size_nothing_is_promised(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    fleet = libvirt(make_fleet({"a": [6, 6, 6]}, {"git": {}}))
    world = formed(fleet, {"git": on("a1", 101), "theirs": on("a2", 102)})
    found = plan_restarts(fleet, without(world, "a1"), "a1", ["git"])
    assert [r.target for r in found.planned] == ["a3"]


def test_its_addresses_and_size_are_those_it_had(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = libvirt(make_fleet({"a": [6, 6, 6]}, {"git": {}}))
    had = ("10.1.128.77/20", "2001:db8:1::77/64")
    world = formed(fleet, {"git": on("a1", 101, addresses=had, memory_mib=2048, vcpus=3)})
    (one,) = plan_restarts(fleet, without(world, "a1"), "a1", ["git"]).planned
    assert (one.addressing.private_ipv4, one.addressing.ipv6) == had
    assert one.addressing.public_ipv4 is None
    assert (one.memory_mib, one.vcpus, one.vmid) == (2048, 3, 101)


def test_a_replica_waits_where_each_other_server_has_one(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    fleet = libvirt(make_fleet({"a": [6, 6, 6]}, {n: {"apart": "g"} for n in ("x", "y", "z")}))
    world = formed(fleet, {n: on(f"a{k}", 100 + k) for k, n in enumerate("xyz", 1)})
    dead = without(world, "a1")
    found = plan_restarts(fleet, dead, "a1", ["x"])
    assert found == Restarts(waits=("x",))
    assert breaches(fleet, dead, "a1", found) == []


@given(data=st.data())
def test_whatever_runs_where_it_is_lawful(
    data: st.DataObject, make_fleet: MakeFleet, formed: Formed
) -> None:
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=8))
    wishes = {
        f"vm{n}": {
            "memory_gib": size,
            "priority": data.draw(st.integers(0, 100)),
            "apart": data.draw(st.sampled_from([None, "g"])),
        }
        for n, size in enumerate(sizes)
    }
    fleet = libvirt(make_fleet({"a": [12, 8, 8]}, wishes))
    homes = {vm: data.draw(st.sampled_from(["a1", "a2", "a3"])) for vm in wishes}
    world = formed(fleet, {vm: on(homes[vm], 100 + n) for n, vm in enumerate(wishes)})
    dead = without(world, "a1")
    lost = [vm for vm in wishes if homes[vm] == "a1"]
    found = plan_restarts(fleet, dead, "a1", lost)
    told = [*(r.vm for r in found.planned), *found.waits, *found.stranded]
    assert sorted(told) == sorted(lost), "each once"
    if all(sum(sizes[int(v[2:])] for v in homes if homes[v] == s) <= 8 for s in ("a2", "a3")):
        assert breaches(fleet, dead, "a1", found) == []
