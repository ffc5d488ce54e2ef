"""Each law: a plan that breaks it is named, and its unbroken twin is lawful."""

from typing import Any

import pytest
from small_fleet import (
    bare,
    breaches,
    drain,
    fleet,
    form,
    install,
    move,
    place,
    recover,
    running,
    seen,
    server,
    start,
    vm,
)

from metal.model.addresses import Addressing
from metal.model.fleet import Inventory, Learned, LibvirtAccess
from metal.model.laws.after import look_ahead
from metal.model.laws.survival import fatal
from metal.model.life import Life, Status
from metal.model.plan import Action, Osd, Plan, Restart, Restarts, Risk
from metal.model.world import SeenCluster, SeenServer, SeenVm, World


def named(inventory: Inventory, world: World, *actions: Action) -> set[tuple[str, str]]:
    return {(b.law, b.subject) for b in breaches(inventory, world, *actions)}


def with_server(world: World, name: str, **changes: Any) -> World:
    changed = world.servers[name].model_copy(update=changes)
    return world.model_copy(update={"servers": world.servers | {name: changed}})


def with_cluster(world: World, name: str, seen_as: SeenCluster | None) -> World:
    clusters = {n: c for n, c in world.clusters.items() if n != name}
    return world.model_copy(update={"clusters": clusters | ({name: seen_as} if seen_as else {})})


# ── The whole way, lawful ────────────────────────────────────────────────────────────────────

INSTALLS = [install(f"rio{i}") for i in (1, 2, 3)]
FORM = form("rio", needs=tuple(i.id for i in INSTALLS))
PLACE = place("a", "rio1", 101, needs=(FORM.id,))


def test_from_bare_servers_to_a_vm() -> None:
    assert breaches(fleet({"a": vm()}), bare(), *INSTALLS, FORM, PLACE) == []


def test_an_empty_plan_is_lawful_in_any_world() -> None:
    """What is wrong already is not the plan's doing: it must not forbid what mends it."""
    mess = running(
        a=seen("rio1", 101, addresses=("10.1.128.5/20",)),
        b=seen("rio1", 101, addresses=("10.1.128.5/20",)),
        c=seen("rio1", 50),
    )
    inventory = fleet({n: vm(apart="g", memory_gib=90) for n in "abc"})
    assert breaches(inventory, mess) == []
    dead = with_server(mess, "rio1", node="offline")
    assert breaches(inventory, dead, recover("rio1", a=101)) == []


# ── The plan as a document ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("needs", "law"), [(("form:rio",), None), (("form:roi",), "needs"), (("place:a",), "needs")]
)
def test_needs_lead_to_actions_and_never_in_a_circle(needs: tuple[str, ...], law: str) -> None:
    placed = place("a", "rio1", 101, needs=needs)
    found = named(fleet({"a": vm()}), running(), form("rio"), placed)
    assert (("needs", "place:a") in found) == (law is not None)


def test_a_long_circle_is_found() -> None:
    a, b = place("a", "rio1", 101, needs=("place:b",)), place("b", "rio2", 102, needs=("place:a",))
    found = named(fleet({"a": vm(), "b": vm()}), running(), a, b)
    assert {("needs", "place:a"), ("needs", "place:b")} <= found


def test_an_action_is_there_once() -> None:
    inventory = fleet({"a": vm()})
    assert ("once", "install:rio1") in named(inventory, bare(), INSTALLS[0], INSTALLS[0])
    assert named(inventory, bare(), *INSTALLS) == set()


@pytest.mark.parametrize(
    "action",
    [
        install("rio1", server="rio9"),
        form("rio", cluster="roi"),
        form("rio", servers=("rio1", "zee1")),
        place("nobody", "rio1", 101),
        place("a", "rio1", 101, cluster="zee"),
        start("a", "rio1", 101),
        recover("rio1", stranger=101),
    ],
)
def test_names_are_known(action: Action) -> None:
    found = breaches(fleet({"a": vm()}), running(), action)
    assert [b.law for b in found] == ["known"] and found[0].subject == action.id


# ── Servers ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("life", list(Life))
def test_only_an_enrolled_or_tested_server_is_installed(life: Life) -> None:
    found = named(fleet({}), with_server(bare(), "rio1", life=life), install("rio1"))
    assert (found == set()) == (life in (Life.ENROLLED, Life.TESTED))


@pytest.mark.parametrize(
    "change",
    [
        {"disk": "d9"},
        {"disk_serial": "another"},
        {"disk_serial": None},
        {"mirror": "d9", "mirror_serial": "rio1-1"},
        {"mirror": "d1", "mirror_serial": "another"},
        {"mirror": "d0", "mirror_serial": "rio1-0"},
        {"mac": "02:00:5e:00:00:ff"},
        {"uuid": "another"},
        {"risk": Risk.SAFE},
        {"site": "site2"},
        {"profile": "fancy"},
        {"debian": "bookworm"},
    ],
)
def test_what_is_wiped_is_what_was_learned(change: dict[str, Any]) -> None:
    assert named(fleet({}), bare(), install("rio1")) == set()
    assert named(fleet({}), bare(), install("rio1", **change)) == {("install", "rio1")}


def test_a_server_of_which_nothing_is_known_or_that_is_in_use_is_not_wiped() -> None:
    nothing = fleet({})
    servers = nothing.servers | {"rio1": server("rio1", 1, 1).model_copy(update={"learned": None})}
    unknown = nothing.model_copy(update={"servers": servers})
    assert named(unknown, bare(), install("rio1")) == {("install", "rio1")}
    for world in (
        with_server(bare(), "rio1", node="online"),
        with_server(bare(), "rio1", status=Status.HELD),
        bare().model_copy(update={"vms": {"x": seen("rio1", 101)}}),
    ):
        assert named(fleet({}), world, install("rio1")) == {("install", "rio1")}


def test_clusters_are_made_of_installed_servers() -> None:
    assert named(fleet({}), bare(), *INSTALLS, form("rio")) == {("form", "rio")}, "does not wait"
    assert named(fleet({}), bare(), form("rio")) == {("form", "rio")}, "not installed"
    world = bare()
    for name in ("rio1", "rio2", "rio3"):
        world = with_server(world, name, life=Life.INSTALLED)
    assert named(fleet({}), world, form("rio")) == set()
    assert named(fleet({}), world, form("rio", ceph=False)) == {("form", "rio")}
    assert named(fleet({}), world, form("rio", servers=("rio1", "rio1"))) == {("form", "rio")}


def test_an_osd_takes_a_disk_of_its_own() -> None:
    def formed(*osds: Osd) -> set[tuple[str, str]]:
        needs = tuple(i.id for i in INSTALLS)
        return named(fleet({}), bare(), *INSTALLS, form("rio", osds=osds, needs=needs))

    good = Osd(server="rio1", device="/dev/sdb", serial="rio1-1")
    assert formed(good, Osd(server="rio2", device="/dev/sdb")) == set()
    for bad in (
        Osd(server="rio1", device="/dev/sdc", serial="rio1-1"),
        Osd(server="rio1", device="/dev/sda", serial="rio1-0"),
        Osd(server="zee1", device="/dev/sdb"),
    ):
        assert formed(good, bad) == {("form", "rio")}


def test_recovery_is_for_what_is_not_online() -> None:
    world = running(a=seen("rio1", 101))
    dead = with_server(world, "rio1", node="offline")
    unknown = with_server(world, "rio1", node="unknown")
    inventory = fleet({"a": vm()})
    assert named(inventory, dead, recover("rio1", a=101)) == set()
    assert named(inventory, unknown, recover("rio1", a=101)) == set()
    gone = dead.model_copy(update={"vms": {}})
    assert named(inventory, gone, recover("rio1", a=101)) == set(), "known from an earlier look"
    assert named(inventory, world, recover("rio1", a=101)) == {("recover", "rio1")}
    assert named(inventory, dead, recover("rio1", a=102)) == {("recover", "rio1")}
    assert named(inventory, dead, recover("rio2", a=101)) == {("recover", "rio2")}


def test_metal_restarts_only_what_no_ha_does_and_only_where_there_is_room() -> None:
    with_ha = fleet({"a": vm(), "b": vm()})
    rio = with_ha.clusters["rio"].model_copy(
        update={"libvirt": LibvirtAccess(), "ceph": False, "storage": "vms"}
    )
    inventory = with_ha.model_copy(update={"clusters": with_ha.clusters | {"rio": rio}})
    world = with_server(
        running(a=seen("rio1", 101), b=seen("rio2", 102)), "rio1", node="offline", power="off"
    )

    def found(target: str, fleet: Inventory = inventory, **more: object) -> set[tuple[str, str]]:
        one = Restart(
            vm="a",
            vmid=101,
            target=target,
            vcpus=2,
            memory_mib=4096,
            disk_gib=10,
            addressing=Addressing(treatment="ipv6", private_ipv4="10.1.128.5/20"),
        ).model_copy(update=more)
        return named(fleet, world, recover("rio1", a=101, restarts=Restarts(planned=(one,))))

    assert found("rio2") == found("rio3") == set()
    assert found("rio2", with_ha) == {("restart", "a")}, "its HA does that"
    assert found("rio1") == {("restart", "a")}
    assert found("rio2", vmid=102) == {("restart", "a")}
    assert found("zee1") == {("known", "recover:rio1")}
    large = inventory.model_copy(update={"vms": {"a": vm(memory_gib=14), "b": vm(memory_gib=14)}})
    assert found("rio2", large) == {("memory", "rio2")}
    assert found("rio3", large) == set()


# ── Moves ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "lawful"),
    [
        ({}, True),
        ({"node": "offline"}, False),
        ({"node": "unknown"}, False),
        ({"life": Life.DRAINING}, False),
    ],
)
def test_nothing_goes_to_what_may_be_dead(change: dict[str, Any], lawful: bool) -> None:
    world = with_server(running(a=seen("rio1", 101)), "rio2", **change)
    inventory = fleet({"a": vm(), "b": vm()})
    moved = move("a", 101, "rio1", "rio2")
    assert (("quorum", "a") not in named(inventory, world, moved)) == lawful
    assert (("quorum", "a") not in named(inventory, world, drain("rio1", moved))) == lawful
    assert (("place", "b") not in named(inventory, world, place("b", "rio2", 102))) == lawful


def test_no_quorum_no_moves() -> None:
    world = running(a=seen("rio1", 101))
    split = SeenCluster(formed=True, quorate=False)
    moved = move("a", 101, "rio1", "rio2")
    assert named(fleet({"a": vm()}), world, moved) == set()
    assert named(fleet({"a": vm()}), with_cluster(world, "rio", split), moved) == {("quorum", "a")}


def test_a_move_begins_where_the_vm_is() -> None:
    world = running(a=seen("rio1", 101))
    for wrong in (
        move("a", 101, "rio2", "rio3"),
        move("a", 102, "rio1", "rio2"),
        move("a", 101, "rio1", "rio1"),
    ):
        assert ("quorum", "a") in named(fleet({"a": vm()}), world, wrong)


def test_a_drain_empties_the_server_and_nothing_comes_in() -> None:
    world = running(a=seen("rio1", 101), b=seen("rio1", 102), mine=seen("rio1", 9, state="stopped"))
    inventory = fleet({"a": vm(), "b": vm(), "c": vm()})
    both = drain("rio1", move("a", 101, "rio1", "rio2"), move("b", 102, "rio1", "rio3"))
    assert named(inventory, world, both) == set()
    half = drain("rio1", move("a", 101, "rio1", "rio2"))
    assert named(inventory, world, half) == {("drain", "rio1")}
    assert ("place", "c") in named(inventory, world, both, place("c", "rio1", 103))
    other = drain("rio2", move("a", 101, "rio1", "rio3"))
    assert ("drain", "a") in named(inventory, world, other)
    assert ("drain", "rio1") in named(
        inventory, with_server(world, "rio1", life=Life.INSTALLED), both
    )


def test_a_vm_is_touched_once() -> None:
    world = running(a=seen("rio1", 101))
    actions = [move("a", 101, "rio1", "rio2"), drain("rio1", move("a", 101, "rio1", "rio3"))]
    assert ("once", "a") in named(fleet({"a": vm()}), world, *actions)


def test_only_what_is_known_to_be_stopped_is_started() -> None:
    inventory = fleet({"a": vm()})
    stopped = running(a=seen("rio1", 101, state="stopped"))
    assert named(inventory, stopped, start("a", "rio1", 101)) == set()
    assert named(inventory, stopped, start("a", "rio2", 101)) == {("start", "a")}
    for state in ("running", "unknown"):
        world = running(a=seen("rio1", 101, state=state))
        assert named(inventory, world, start("a", "rio1", 101)) == {("start", "a")}
    dead = with_server(stopped, "rio1", node="offline")
    assert named(inventory, dead, start("a", "rio1", 101)) == {("start", "a")}


def test_a_vm_that_may_exist_is_not_placed_again() -> None:
    inventory = fleet({"a": vm(), "b": vm(cluster="rio")})
    there = running(a=seen("rio2", 101))
    assert ("twice", "a") in named(inventory, there, place("a", "rio1", 101))
    assert named(inventory, running(), place("a", "rio1", 101)) == set()
    for silent in (SeenCluster(formed=None), None):
        world = with_cluster(running(), "zee", silent)
        assert named(inventory, world, place("a", "rio1", 101)) == {("twice", "a")}
        assert named(inventory, world, place("b", "rio1", 101)) == set(), "pinned elsewhere"
    fresh = with_cluster(running(), "zee", SeenCluster(formed=None))
    fresh = with_server(fresh, "zee1", life=Life.INSTALLED)
    assert named(inventory, fresh, place("a", "rio1", 101)) == set(), "it never held a VM"


def test_placed_where_and_as_large_as_asked() -> None:
    inventory = fleet({"a": vm(cluster="rio"), "peer": vm(apart="g"), "b": vm(apart="g")})
    world = running(peer=seen("rio3", 200))
    assert named(inventory, world, place("a", "rio1", 101)) == set()
    assert named(inventory, world, place("a", "rio1", 101, memory_mib=2048)) == {("place", "a")}
    assert named(inventory, world, place("a", "rio1", 101, vcpus=1)) == {("place", "a")}
    assert named(inventory, world, place("a", "rio1", 101, cpu="x86-64-v3")) == {("place", "a")}
    assert named(inventory, world, place("b", "zee1", 101)) == set()
    assert ("place", "a") in named(inventory, world, place("a", "zee1", 101))
    gone = with_cluster(running(), "rio", SeenCluster(formed=False))
    assert named(inventory, gone, place("a", "rio1", 101)) == {("place", "a")}
    unwaiting = named(inventory, bare(), *INSTALLS, FORM, place("a", "rio1", 101))
    assert unwaiting == {("place", "a")}


def test_ha_where_there_is_an_elsewhere() -> None:
    inventory = fleet({"a": vm(), "b": vm(apart="g"), "peer": vm(apart="g")})
    world = running(peer=seen("rio3", 200))
    assert named(inventory, world, place("a", "rio1", 101, ha=False)) == {("ha", "a")}
    assert named(inventory, world, place("b", "zee1", 101, ha=True)) == {("ha", "b")}


@pytest.mark.parametrize(("vmid", "lawful"), [(100, True), (99, False), (200, False)])
def test_vmids_are_one_vms(vmid: int, lawful: bool) -> None:
    world = running(old=seen("rio2", 200))
    found = named(fleet({"a": vm(), "old": vm()}), world, place("a", "rio1", vmid, addressing={
        "private_ipv4": "10.1.128.77/20", "ipv6": "2001:db8:1::77/64"}))  # fmt: skip
    assert (found == set()) == lawful
    assert lawful or found == {("vmid", "a")}


# ── Addresses ────────────────────────────────────────────────────────────────────────────────

WEB = [{"port": 443, "name": "a.example.org"}]


def own(address: str) -> dict[str, Any]:
    return {"addressing": {"public_ipv4": f"{address}/28"}}


def forwards(*ends: tuple[str, int]) -> dict[str, Any]:
    ports = [{"public": a, "protocol": "tcp", "port": p} for a, p in ends]
    return {"addressing": {"forwards": ports}}


def routes(*ends: tuple[str, str]) -> dict[str, Any]:
    return {"addressing": {"routes": [{"public": a, "name": n, "port": 443} for a, n in ends]}}


ADDRESSED = fleet(
    {
        "own1": vm(ipv4="dedicated", serves=[{"port": 25}]),
        "own2": vm(ipv4="dedicated"),
        "nat1": vm(ipv4="nat", serves=[{"port": 22}]),
        "nat2": vm(ipv4="nat", serves=[{"port": 22}]),
        "web1": vm(ipv4="nat", serves=[{"port": 443}]),
        "sni1": vm(ipv4="proxy", serves=WEB),
        "sni2": vm(ipv4="proxy", serves=[{"port": 443, "name": "b.example.org"}]),
        "six1": vm(serves=[{"port": 443}]),
        "six2": vm(),
    },
    memory_gib=99,
)
GOOD = [
    place("own1", "rio1", 101, "dedicated", **own("192.0.1.2")),
    place("own2", "rio2", 102, "dedicated", **own("192.0.1.3")),
    place("nat1", "rio3", 103, "nat", **forwards(("192.0.1.4", 22))),
    place("nat2", "rio1", 104, "nat", **forwards(("192.0.1.5", 22))),
    place("web1", "rio2", 105, "nat", **forwards(("192.0.1.5", 443))),
    place("sni1", "rio3", 106, "proxy", **routes(("192.0.1.4", "a.example.org"))),
    place("sni2", "rio1", 107, "proxy", **routes(("192.0.1.4", "b.example.org"))),
    place("six1", "rio2", 108),
    place("six2", "rio3", 109),
]


def changed(vm_name: str, **addressing: Any) -> list[Action]:
    """The good plan with one VM's addressing changed."""
    actions: list[Action] = []
    for p in GOOD:
        if p.vm == vm_name:
            other = type(p.addressing)(**(p.addressing.model_dump() | addressing))
            p = p.model_copy(update={"addressing": other})
        actions.append(p)
    return actions


def test_every_treatment_at_once() -> None:
    assert breaches(ADDRESSED, running(), *GOOD) == []


@pytest.mark.parametrize(
    ("vm_name", "addressing", "breach"),
    [
        # an address is one VM's, server's, gateway's
        ("own2", {"public_ipv4": "192.0.1.2/28"}, ("address", "192.0.1.2")),
        ("six1", {"private_ipv4": "10.1.128.11/20"}, ("address", "10.1.128.11")),
        ("six1", {"ipv6": "2001:db8:1::101/64"}, ("address", "2001:db8:1::101")),
        ("six1", {"private_ipv4": "10.1.1.11/24"}, ("address", "10.1.1.11")),
        ("six1", {"private_ipv4": "10.1.0.12/24"}, ("address", "10.1.0.12")),
        ("own2", {"public_ipv4": "192.0.1.1/28"}, ("address", "192.0.1.1")),
        # of the site, the public ones of its pool
        ("six1", {"private_ipv4": "10.2.128.77/20"}, ("pool", "six1")),
        ("six1", {"private_ipv4": "10.1.128.0/20"}, ("pool", "six1")),
        ("six1", {"private_ipv4": "10.1.128.77"}, ("pool", "six1")),
        ("six1", {"ipv6": "2001:db8:2::77/64"}, ("pool", "six1")),
        ("own2", {"public_ipv4": "192.0.1.9/28"}, ("pool", "own2")),
        ("own2", {"public_ipv4": "192.0.1.4/28"}, ("pool", "192.0.1.4")),
        ("nat1", forwards(("192.0.1.9", 22))["addressing"], ("pool", "nat1")),
        ("sni1", routes(("192.0.2.2", "a.example.org"))["addressing"], ("pool", "sni1")),
        # a port leads to one VM, and not where a proxy listens
        ("nat2", forwards(("192.0.1.4", 22))["addressing"], ("forward", "192.0.1.4 tcp/22")),
        ("web1", forwards(("192.0.1.4", 443))["addressing"], ("forward", "192.0.1.4 tcp/443")),
        # a name leads to one VM
        ("sni2", routes(("192.0.1.4", "a.example.org"))["addressing"], ("proxy", "192.0.1.4")),
        # what was asked for, and reachable
        ("own2", {"treatment": "nat"}, ("treatment", "own2")),
        ("own2", {"public_ipv4": None}, ("treatment", "own2")),
        ("six1", {"public_ipv4": "192.0.1.6/28"}, ("treatment", "six1")),
        ("six1", {"ipv6": None}, ("treatment", "six1")),
        ("nat1", {"forwards": []}, ("treatment", "nat1")),
        (
            "nat1",
            forwards(("192.0.1.4", 22), ("192.0.1.4", 23))["addressing"],
            ("treatment", "nat1"),
        ),
        ("sni1", {"routes": []}, ("treatment", "sni1")),
        ("six2", forwards(("192.0.1.6", 22))["addressing"], ("treatment", "six2")),
    ],
)
def test_one_address_wrong(
    vm_name: str, addressing: dict[str, Any], breach: tuple[str, str]
) -> None:
    assert breach in named(ADDRESSED, running(), *changed(vm_name, **addressing))


def test_addresses_of_running_vms_are_taken() -> None:
    there = seen(
        "rio1", 200, addresses=("10.1.128.11/20", "192.0.1.6/28", "dhcp"), memory_mib=1, disk_gib=1
    )
    found = named(ADDRESSED, running(old=there), *GOOD)
    assert found == {("address", "10.1.128.11")}
    shared = changed("web1", **forwards(("192.0.1.6", 443))["addressing"])
    assert ("pool", "192.0.1.6") in named(ADDRESSED, running(old=there), *shared)


def test_running_vms_need_their_ports_too() -> None:
    """Three addresses are shared and two VMs hold port 22 already; which, nobody sees."""
    old = {f"old{i}": vm(ipv4="nat", serves=[{"port": 22}]) for i in (1, 2, 3)}
    inventory = ADDRESSED.model_copy(update={"vms": ADDRESSED.vms | old})
    addresses = {
        f"own{i}": seen("rio1", 300 + i, addresses=(f"192.0.1.{i + 1}/28",)) for i in (1, 2)
    }
    two = {n: seen("rio1", 200 + i) for i, n in enumerate(old) if n != "old3"}
    three = two | {"old3": seen("rio1", 203)}
    placed = place("nat1", "rio3", 103, "nat", **forwards(("192.0.1.4", 22)))
    light = inventory.model_copy(update={"servers": fleet({}, memory_gib=99).servers})
    assert named(light, running(**two, **addresses), placed) == set()
    assert named(light, running(**three, **addresses), placed) == {("forward", "site1")}


# ── Room ─────────────────────────────────────────────────────────────────────────────────────


def test_memory_is_never_promised_twice() -> None:
    """16 GiB of a server are the VMs'."""
    inventory = fleet({"a": vm(memory_gib=12), "b": vm(), "c": vm(memory_gib=4.5)})
    world = running(a=seen("rio1", 101))
    assert named(inventory, world, place("b", "rio1", 102)) == set()
    over = place("c", "rio1", 102, memory_mib=4608)
    assert ("memory", "rio1") in named(inventory, world, over)
    assert ("memory", "rio1") not in named(
        inventory, world, place("c", "rio2", 102, memory_mib=4608)
    )


def test_unknown_memory_is_never_zero_nor_enough() -> None:
    inventory = fleet({"a": vm(), "b": vm()})
    for learned in (None, Learned()):
        blind = inventory.servers["rio1"].model_copy(update={"learned": learned})
        unknown = inventory.model_copy(update={"servers": inventory.servers | {"rio1": blind}})
        assert ("memory", "rio1") in named(unknown, running(), place("a", "rio1", 101))
        assert ("memory", "rio1") not in named(unknown, running(), place("a", "rio2", 101))
    stranger = running(stranger=seen("rio1", 500))
    assert ("memory", "rio1") in named(inventory, stranger, place("a", "rio1", 101))
    measured = running(stranger=seen("rio1", 500, memory_mib=12288, disk_gib=10))
    assert named(inventory, measured, place("a", "rio1", 101)) == set()
    assert ("memory", "rio1") in named(
        inventory, measured, place("a", "rio1", 101), place("b", "rio1", 102)
    )


def test_a_vm_that_is_larger_than_asked_counts_as_it_is() -> None:
    inventory = fleet({"a": vm(), "b": vm()})
    grown = running(a=seen("rio1", 101, memory_mib=14000))
    assert ("memory", "rio1") in named(inventory, grown, place("b", "rio1", 102))


def test_processors_within_the_factor() -> None:
    """8 threads, factor 4."""
    inventory = fleet({"a": vm(vcpus=31), "b": vm(vcpus=1), "c": vm(vcpus=2)})
    world = running(a=seen("rio1", 101))
    assert named(inventory, world, place("b", "rio1", 102, vcpus=1)) == set()
    assert named(inventory, world, place("c", "rio1", 102, vcpus=2)) == {("cpu", "rio1")}


def test_replicas_keep_apart() -> None:
    inventory = fleet({n: vm(apart="g") for n in ("a", "b", "c", "d")})
    world = running(a=seen("rio1", 101))
    assert named(inventory, world, place("b", "rio2", 102)) == set()
    assert ("apart", "g") in named(inventory, world, place("b", "rio1", 102))
    assert ("apart", "g") in named(
        inventory, running(), place("a", "rio1", 101), place("b", "rio1", 102)
    )
    full = running(a=seen("rio1", 101), b=seen("rio2", 102), c=seen("rio3", 103))
    forced = drain("rio1", move("a", 101, "rio1", "rio2"))
    assert named(inventory, full, forced) == set(), "three replicas, two servers left"
    two = running(a=seen("rio1", 101), b=seen("rio2", 102))
    assert ("apart", "g") in named(inventory, two, forced)


def test_a_machine_alone_needs_a_replica_elsewhere() -> None:
    inventory = fleet({"a": vm(), "b": vm(apart="g"), "c": vm(apart="g")})
    world = running()
    assert named(inventory, world, place("a", "zee1", 101)) == {("alone", "a")}
    assert named(inventory, world, place("b", "zee1", 101)) == {("alone", "b")}
    both = [place("b", "zee1", 101), place("c", "rio1", 102)]
    assert named(inventory, world, *both) == set()


def with_chip(inventory: Inventory, **chips: str) -> Inventory:
    servers = dict(inventory.servers)
    for name, chip in chips.items():
        learned = servers[name].learned
        assert learned is not None
        changed = learned.model_copy(update={"cpu": chip})
        servers[name] = servers[name].model_copy(update={"learned": changed})
    return inventory.model_copy(update={"servers": servers})


def test_a_processor_is_as_new_as_asked() -> None:
    inventory = fleet({"a": vm(cpu="x86-64-v3"), "b": vm()})
    haswell, ancient = "Intel(R) Xeon(R) CPU E5-2670 v3 @ 2.30GHz", "AMD Opteron(tm) Processor 6172"
    known = with_chip(inventory, rio1=haswell, rio2=haswell, rio3=ancient)
    a, b = place("a", "rio1", 101, cpu="x86-64-v3"), place("b", "rio3", 102)
    assert named(inventory, running(), a) >= {("processor", "rio1")}, "nobody knows what it is"
    assert named(known, running(), a) == set()
    assert ("processor", "rio3") in named(known, running(), b)
    only = with_chip(inventory, rio1=haswell)
    assert ("survival", "rio1") in named(only, running(), a), "where would it restart?"


def test_disks_hold_what_is_promised_with_one_server_lost() -> None:
    """900 GiB a server for Ceph, so 765 for VMs; zee keeps 160 beside Debian."""
    wishes = {"a": {"disk_gib": 700}, "b": {"disk_gib": 66}, "c": {"disk_gib": 161, "apart": "g"}}
    inventory = fleet({**{n: vm(**w) for n, w in wishes.items()}, "d": vm(apart="g")})
    world = running(a=seen("rio1", 101), d=seen("rio3", 104))
    small = place("b", "rio2", 102, disk_gib=66)
    assert ("disk", "rio") in named(inventory, world, small)
    assert named(inventory, running(d=seen("rio3", 104)), small) == set()
    local = place("c", "zee1", 103, disk_gib=161)
    assert named(inventory, world, local) == {("disk", "zee1")}
    dark = inventory.servers["rio1"]
    assert dark.learned is not None
    unknown = dark.model_copy(update={"learned": dark.learned.model_copy(update={"disks": ()})})
    blind = inventory.model_copy(update={"servers": inventory.servers | {"rio1": unknown}})
    assert ("disk", "rio") in named(blind, running(), small)
    stranger = running(x=seen("rio1", 500, memory_mib=512))
    assert ("disk", "rio") in named(inventory, stranger, small), "how large is its disk?"
    free = running(d=seen("rio3", 104))
    rio = free.clusters["rio"].model_copy(update={"ceph_full": True})
    full = free.model_copy(update={"clusters": free.clusters | {"rio": rio}})
    assert ("disk", "rio") in named(inventory, full, small), "Ceph itself says so"


def test_apart_by_more_than_servers() -> None:
    inventory = fleet({n: vm(apart="g", apart_by="cluster") for n in "ab"})
    world = running(a=seen("rio1", 101))
    assert named(inventory, world, place("b", "rio2", 102)) == {("apart", "g")}
    assert named(inventory, world, place("b", "zee1", 102)) == set()
    donors = fleet({n: vm(apart="g", apart_by="donor") for n in "ab"})
    assert named(donors, world, place("b", "zee1", 102)) == {("apart", "g")}, "one lends both"


def test_what_is_together_comes_together() -> None:
    inventory = fleet({"a": vm(together=("b",)), "b": vm(), "c": vm(together=("b",))})
    world = running(b=seen("rio2", 101))
    assert named(inventory, world, place("a", "rio2", 102)) == set()
    assert named(inventory, world, place("a", "rio1", 102)) == {("together", "a")}
    three = running(a=seen("rio1", 101), b=seen("rio1", 102), c=seen("rio1", 103))
    assert ("together", "a") in named(inventory, three, move("a", 101, "rio1", "rio2"))


# ── Survival ─────────────────────────────────────────────────────────────────────────────────


def test_any_server_may_die() -> None:
    """16 GiB a server; three VMs of 12 fill the survivors, a fourth does not fit anywhere."""
    inventory = fleet({n: vm(memory_gib=8) for n in "abcde"})
    big = {"memory_mib": 8192}
    four = [place(n, f"rio{1 + i % 3}", 101 + i, **big) for i, n in enumerate("abcd")]
    assert named(inventory, running(), *four) == set()
    fifth = place("e", "rio2", 105, **big)
    assert named(inventory, running(), *four, fifth) == {
        ("survival", "rio1"),
        ("survival", "rio2"),
        ("survival", "rio3"),
    }


def test_the_sum_alone_does_not_save() -> None:
    """Room enough in all, but in pieces too small for the largest."""
    inventory = fleet({"a": vm(memory_gib=10), "b": vm(memory_gib=9), "c": vm(memory_gib=9)})
    world = running(b=seen("rio2", 102), c=seen("rio3", 103))
    placed = place("a", "rio1", 101, memory_mib=10240)
    assert ("survival", "rio1") in named(inventory, world, placed)


def test_replicas_stay_apart_after_a_death() -> None:
    """a's replica is on rio2, and rio3 has no room: memory alone would say yes."""
    vms = {"a": vm(apart="g"), "b": vm(apart="g"), "big": vm(memory_gib=14)}
    world = running(b=seen("rio2", 102), big=seen("rio3", 103))
    assert ("survival", "rio1") in named(fleet(vms), world, place("a", "rio1", 101))
    free = {**vms, "a": vm()}
    assert ("survival", "rio1") not in named(fleet(free), world, place("a", "rio1", 101))


def test_processors_are_needed_after_a_death_too() -> None:
    """8 threads × 4 a server: what three have together, two must have as well."""
    inventory = fleet({n: vm(memory_gib=1, vcpus=24) for n in "abc"})
    world = running(a=seen("rio1", 101), b=seen("rio2", 102))
    third = place("c", "rio3", 103, memory_mib=1024, vcpus=24)
    assert named(inventory, world, third) == {("survival", f"rio{n}") for n in (1, 2, 3)}
    light = fleet({n: vm(memory_gib=1, vcpus=16) for n in "abc"})
    assert named(light, world, third.model_copy(update={"vcpus": 16})) == set()


def test_three_replicas_in_a_trio_wait_for_their_server() -> None:
    """Nobody has room for one more of them, and nobody needs to: two run on."""
    vms = {n: vm(apart="g", memory_gib=10) for n in "abc"}
    world = running(a=seen("rio1", 101), b=seen("rio2", 102))
    third = place("c", "rio3", 103, memory_mib=10240)
    assert named(fleet(vms), world, third) == set()
    one_free = fleet({**vms, "b": vm(memory_gib=10)})
    assert ("survival", "rio1") in named(one_free, world, third), "rio2 has none of it, and no room"


def test_what_is_together_restarts_together() -> None:
    """Two servers of 8 GiB left take 7 and 7, but not a pair of them."""
    vms = {n: vm(memory_gib=7) for n in "ab"} | {n: vm(memory_gib=8) for n in "xy"}
    there = {"a": seen("rio1", 101), "x": seen("rio2", 103), "y": seen("rio3", 104)}
    placed = place("b", "rio1", 102, memory_mib=7168)
    assert ("survival", "rio1") not in named(fleet(vms), running(**there), placed)
    pair = fleet({**vms, "a": vm(memory_gib=7, together=("b",))})
    assert ("survival", "rio1") in named(pair, running(**there), placed)


def test_what_a_plan_does_not_choose_is_not_held_against_it() -> None:
    """After the drain two servers are full: that is the donor's doing, not the plan's."""
    inventory = fleet({n: vm(memory_gib=8) for n in "abcd"})
    world = running(**{n: seen(f"rio{1 + i % 3}", 101 + i) for i, n in enumerate("abcd")})
    emptied = drain("rio1", move("a", 101, "rio1", "rio2"), move("d", 104, "rio1", "rio3"))
    assert named(inventory, world, emptied) == set()
    dead = with_server(world, "rio1", node="offline")
    assert named(inventory, dead, recover("rio1", a=101, d=104)) == set()


def test_a_move_makes_nothing_worse() -> None:
    inventory = fleet({"a": vm(memory_gib=8), "b": vm(memory_gib=8), "c": vm(memory_gib=12)})
    together = running(a=seen("rio1", 101), b=seen("rio1", 102), c=seen("rio3", 103))
    spread = running(a=seen("rio1", 101), b=seen("rio2", 102), c=seen("rio3", 103))
    assert named(inventory, together, move("b", 102, "rio1", "rio2")) == {("survival", "rio3")}
    assert named(inventory, spread, move("b", 102, "rio2", "rio1")) == set(), "it mends"


def test_a_cluster_that_has_lost_one_takes_no_more_than_it_can_lose_again() -> None:
    inventory = fleet({n: vm(memory_gib=8) for n in "abc"})
    world = running(a=seen("rio1", 101), b=seen("rio2", 102))
    dead = with_server(world, "rio3", node="offline")
    third = place("c", "rio1", 103, memory_mib=8192)
    assert named(inventory, world, third) == set()
    assert named(inventory, dead, third) == {("survival", "rio1"), ("survival", "rio2")}


def test_world_of_a_stranger_cluster_is_left_alone() -> None:
    odd = SeenVm(vmid=900, cluster="elsewhere", server="unknown9", state="running")
    world = running(odd=odd).model_copy(
        update={"servers": running().servers | {"unknown9": SeenServer()}}
    )
    assert named(fleet({"a": vm()}), world, place("a", "rio1", 101)) == set()


@pytest.mark.parametrize(("kind", "lost"), [("vm", True), ("template", False)])
def test_a_template_is_lost_to_nobody(kind: str, lost: bool) -> None:
    """It never runs: no server need be there to restart it."""
    there = running(old=seen("rio1", 100, memory_mib=1024, kind=kind))
    down = {s: SeenServer(life=Life.MEMBER, node="offline") for s in ("rio2", "rio3")}
    world = there.model_copy(update={"servers": there.servers | down})
    inventory = fleet({})
    after = look_ahead(Plan(fingerprint="", actions=()), inventory, world)
    assert (fatal("rio1", "rio", after.residents, after) is not None) is lost


def test_a_running_cluster_is_not_made_anew() -> None:
    strange = SeenCluster(formed=True, quorate=True, nodes=("x1", "x2", "x3"))
    begun = SeenCluster(formed=True, quorate=True, nodes=("rio1",))
    beside = SeenCluster(formed=True, quorate=True, nodes=("rio1", "rio2", "x3"))
    assert ("form", "rio") in named(fleet({}), with_cluster(running(), "rio", beside), form("rio"))
    assert ("form", "rio") in named(fleet({}), with_cluster(running(), "rio", strange), form("rio"))
    assert named(fleet({}), with_cluster(running(), "rio", begun), form("rio")) == set()
    for where, wrong in (("rio1", set()), ("rio3", {("form", "rio")})):
        world = with_cluster(running(a=seen(where, 100)), "rio", begun)
        assert named(fleet({"a": vm()}), world, form("rio")) == wrong
