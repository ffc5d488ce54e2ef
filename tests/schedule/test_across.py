"""Moves between clusters: laws over random fleets, survival by trying every way, and wishes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations, product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metal.model.fleet import Inventory
from metal.model.world import SeenVm, World
from metal.schedule.across import Across, across, moved
from metal.schedule.balance import balance

MakeFleet = Callable[..., Inventory]
Formed = Callable[..., World]
quick = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
GIB = 1024
TODAY = date(2027, 1, 1)


@dataclass(frozen=True)
class Case:
    rooms: dict[str, list[float | None]]
    vms: dict[str, dict[str, Any]]
    homes: dict[str, str]
    sites: dict[str, str] = field(default_factory=dict)
    disk_gib: int = 20_000

    def fleet(self, make: MakeFleet) -> Inventory:
        old = {f"b{n}": "Haswell" for n in (1, 2, 3)}
        new = {f"a{n}": "Skylake-Server" for n in (1, 2, 3)}
        return make(self.rooms, self.vms, sites=self.sites, disk_gib=self.disk_gib, chips=old | new)

    def seen(self, addresses: Mapping[str, str] | None = None) -> dict[str, SeenVm]:
        return {
            vm: SeenVm(
                vmid=100 + n,
                cluster=server[0],
                server=server,
                state="running",
                addresses=((addresses or {})[vm],) if vm in (addresses or {}) else (),
            )
            for n, (vm, server) in enumerate(self.homes.items())
        }


@st.composite
def strained(draw: st.DrawFn) -> Case:
    """Two or three clusters; a is full, the others have what dice left them."""
    names = draw(st.sampled_from([["a", "b"], ["a", "b", "c"]]))
    rooms: dict[str, list[float | None]] = {
        c: [8] * draw(st.integers(2 if c == "a" else 1, 3)) for c in names
    }
    servers = [f"{c}{i}" for c in names for i in range(1, len(rooms[c]) + 1)]
    left = dict.fromkeys(servers, 8)
    mostly_a = [s for s in servers if s[0] == "a"] * 3 + servers
    vms: dict[str, dict[str, Any]] = {}
    homes: dict[str, str] = {}
    for n in range(draw(st.integers(3, 9))):
        vm, gib, server = (
            f"vm{n}",
            draw(st.sampled_from([1, 2, 4])),
            draw(st.sampled_from(mostly_a)),
        )
        group = draw(st.sampled_from([None, None, "db"]))
        clash = any(homes[o] == server and vms[o]["apart"] for o in vms)
        if gib > left[server]:
            continue
        left[server] -= gib
        homes[vm] = server
        vms[vm] = {
            "memory_gib": gib,
            "disk_gib": draw(st.sampled_from([10, 40])),
            "apart": None if clash else group,
            "apart_by": draw(st.sampled_from(["server", "server", "cluster", "site"])),
            "priority": draw(st.sampled_from([20, 50, 80])),
            "cluster": draw(st.sampled_from([None, None, None, server[0]])),
            "home": draw(st.sampled_from([(), (), (), (server,)])),
            "ipv4": draw(st.sampled_from(["ipv6", "ipv6", "dedicated"])),
            "prefers": draw(st.sampled_from([(), ("a",)])),
            "traffic_gb": draw(st.sampled_from([0, 0, 10])),
        }
    sites = {"b": "a"} if draw(st.booleans()) else {}
    return Case(rooms, vms, homes, sites, draw(st.sampled_from([20_000, 150])))


def fatal(fleet: Inventory, world: World, cluster: str) -> set[str]:
    """Servers whose VMs cannot all restart, found by trying every way."""
    servers = fleet.clusters[cluster].servers
    if len(servers) == 1:
        return set()
    lost = {dead for dead in servers if not _survives(fleet, world, dead, servers)}
    return lost | {s for s in servers if not _holds(fleet, s, _on(world, s), alive=True)}


def _on(world: World, server: str) -> list[str]:
    return [vm for vm, seen in world.vms.items() if seen.server == server]


def _survives(fleet: Inventory, world: World, dead: str, servers: tuple[str, ...]) -> bool:
    others = [s for s in servers if s != dead]
    groups = {s: {fleet.vms[v].apart for v in _on(world, s)} - {None} for s in others}
    victims = _on(world, dead)
    moving = [v for v in victims if not all(fleet.vms[v].apart in groups[s] for s in others)]
    return any(
        all(
            _holds(
                fleet,
                s,
                [*_on(world, s), *(v for v, at in zip(moving, to, strict=True) if at == s)],
            )
            for s in others
        )
        for to in product(others, repeat=len(moving))
    )


def _holds(fleet: Inventory, server: str, vms: list[str], *, alive: bool = False) -> bool:
    learned = fleet.servers[server].learned
    assert learned and learned.memory_gib
    groups = [fleet.vms[v].apart for v in vms if fleet.vms[v].apart]
    memory = sum(fleet.needs(v).memory_mib for v in vms)
    fits = memory <= (learned.memory_gib - 4) * GIB
    return fits and (alive or len(set(groups)) == len(groups))


def over(fleet: Inventory, world: World, cluster: str, disk_gib: int) -> float:
    """GiB promised beyond what Ceph of up to three servers may hold."""
    here = [vm for vm, seen in world.vms.items() if seen.cluster == cluster]
    return max(0.0, sum(fleet.needs(vm).disk_gib for vm in here) - 0.85 * disk_gib)


def lawful(fleet: Inventory, before: World, after: World, vm: str) -> None:
    """What holds of a VM that went: counted without the planner."""
    wanted, was, now = fleet.vms[vm], before.vms[vm], after.vms[vm]
    assert was.cluster != now.cluster and wanted.cluster is None and not wanted.home
    assert _holds(fleet, now.server, _on(after, now.server))
    assert len(fleet.clusters[now.cluster].servers) > 1
    same_site = fleet.site_of(was.cluster) == fleet.site_of(now.cluster)
    assert same_site or wanted.ipv4 == "ipv6"
    for other, seen in after.vms.items():
        mate = fleet.vms[other]
        if other != vm and wanted.apart and mate.apart == wanted.apart:
            assert wanted.apart_by == "server" or seen.cluster != now.cluster
            apart = fleet.site_of(seen.cluster) != fleet.site_of(now.cluster)
            assert wanted.apart_by != "site" or apart


def wants(fleet: Inventory, world: World, case: Case, cluster: str) -> bool:
    disks = len(fleet.clusters[cluster].servers) > 1 and over(fleet, world, cluster, case.disk_gib)
    return bool(fatal(fleet, world, cluster) or disks)


@given(strained(), st.integers(0, 6))
@quick
def test_each_step_is_lawful_and_what_survives_goes_on_to(
    make_fleet: MakeFleet, formed: Formed, case: Case, budget: int
) -> None:
    fleet = case.fleet(make_fleet)
    world = formed(fleet, case.seen())
    found = across(fleet, world, budget, TODAY)
    assert len(found.transfers) <= budget
    for one in found.clusters:
        assert set(one.fatal) == fatal(fleet, world, one.cluster)
    assert {c.cluster for c in found.clusters} == {
        c for c in fleet.clusters if wants(fleet, world, case, c)
    }
    for step in found.transfers:
        assert wants(fleet, world, case, step.source[0])
        after = moved(world, step)
        lawful(fleet, world, after, step.vm)
        for cluster in fleet.clusters:
            assert fatal(fleet, after, cluster) <= fatal(fleet, world, cluster)
        assert not wants(fleet, after, case, step.target[0])
        world = after
    for one in found.clusters:
        if one.moves and one.allowed == one.moves:
            assert set(one.left) == fatal(fleet, world, one.cluster)
            assert one.inside or bool(one.left or one.left_gib) == bool(
                wants(fleet, world, case, one.cluster)
            )
        if one.inside and one.allowed == one.moves:
            inner = balance(fleet, world, 40)
            assert one.cluster not in {c.cluster for c in inner.clusters if c.broken}


@given(strained())
@quick
def test_a_planned_world_wants_nothing_more(
    make_fleet: MakeFleet, formed: Formed, case: Case
) -> None:
    fleet = case.fleet(make_fleet)
    world = formed(fleet, case.seen())
    found = across(fleet, world, 40, TODAY)
    for step in found.transfers:
        world = moved(world, step)
    assert across(fleet, world, 40, TODAY).transfers == ()


@given(strained())
@quick
def test_of_one_and_two_vms_as_few_and_as_unimportant_as_can_be(
    make_fleet: MakeFleet, formed: Formed, case: Case
) -> None:
    """No cheaper set of VMs, each put on any server, mends a cluster that is mended alone."""
    fleet = case.fleet(make_fleet)
    world = formed(fleet, case.seen())
    found = across(fleet, world, 40, TODAY)
    sources = {step.source[0] for step in found.transfers}
    if len(sources) != 1:
        return
    (cluster,) = sources
    gone = [step.vm for step in found.transfers]
    free = [v for v, s in world.vms.items() if s.cluster == cluster and _free(fleet, v)]
    for size in range(1, min(2, len(gone)) + 1):
        for those in combinations(free, size):
            if _dear(fleet, cluster, those) < _dear(fleet, cluster, gone):
                assert not any(_mended(fleet, world, case, cluster, those))


def _free(fleet: Inventory, vm: str) -> bool:
    return fleet.vms[vm].cluster is None and not fleet.vms[vm].home


def _dear(fleet: Inventory, cluster: str, vms: Any) -> tuple[int, int, int]:
    wanted = [fleet.vms[v] for v in vms]
    return (
        len(wanted),
        sum(cluster in w.prefers for w in wanted),
        sum(w.priority for w in wanted),
    )


def _mended(fleet: Inventory, world: World, case: Case, cluster: str, those: Any) -> Any:
    """Whether each way of putting them elsewhere is a lawful mending."""
    targets = [s for c, w in fleet.clusters.items() if c != cluster for s in w.servers]
    for to in product(targets, repeat=len(those)):
        now, good = world, True
        for vm, server in zip(those, to, strict=True):
            there = now.vms[vm].model_copy(update={"cluster": server[0], "server": server})
            after = now.model_copy(update={"vms": now.vms | {vm: there}})
            try:
                lawful(fleet, now, after, vm)
            except AssertionError:
                good = False
                break
            steady = all(fatal(fleet, after, c) <= fatal(fleet, now, c) for c in fleet.clusters)
            good = good and steady and not wants(fleet, after, case, server[0])
            now = after
        yield good and not wants(fleet, now, case, cluster)


# By name: alba is full, bora has room, both in a data centre of its own.
HOMES = {
    "mail": "a1",
    "lists": "a1",
    "git": "a2",
    "wiki": "a2",
    "chat": "a3",
    "survey": "a3",
    "www": "b1",
}
PRIORITY = {"mail": 90, "lists": 70, "git": 80, "wiki": 55, "chat": 60, "survey": 20, "www": 50}


def charity(**wishes: dict[str, Any]) -> Case:
    vms = {vm: {"memory_gib": 4, "priority": PRIORITY[vm]} | wishes.get(vm, {}) for vm in HOMES}
    return Case({"a": [10, 10, 10], "b": [16, 16, 16]}, vms, HOMES)


def plan(
    case: Case, make: MakeFleet, formed: Formed, budget: int = 30, **more: Any
) -> tuple[Across, Inventory, World]:
    fleet = case.fleet(make)
    world = formed(fleet, case.seen(more.pop("addresses", None)))
    return across(fleet, world, budget, TODAY, **more), fleet, world


def gone(found: Across) -> dict[str, str]:
    return {step.vm: step.target[0] for step in found.transfers}


def test_the_least_important_that_mend_it_go(make_fleet: MakeFleet, formed: Formed) -> None:
    """Each of three servers has 2 GiB left beside two VMs of 4: two must go, from two servers."""
    found, fleet, world = plan(charity(), make_fleet, formed)
    assert found.clusters[0].fatal == ("a1", "a2", "a3")
    assert gone(found) == {"survey": "b", "wiki": "b"}
    assert all(step.renumbered for step in found.transfers)
    for step in found.transfers:
        world = moved(world, step)
    assert not fatal(fleet, world, "a")


@pytest.mark.parametrize(
    "wish",
    [
        {"cluster": "a"},
        {"home": ("a3",)},
        {"together": ("chat",)},
        {"ipv4": "dedicated"},
        {"ipv4": "nat"},
        {"apart": "web", "apart_by": "cluster"},
        {"cpu": "x86-64-v4"},
        {"cpu": "host"},
        {"prefers": ("a",)},
    ],
    ids=lambda wish: "-".join(wish),
)
def test_who_must_stay_stays(make_fleet: MakeFleet, formed: Formed, wish: dict[str, Any]) -> None:
    case = charity(survey=wish, www={"apart": "web", "apart_by": "cluster"})
    found, _, _ = plan(case, make_fleet, formed)
    assert "survey" not in gone(found) and len(gone(found)) == 2


def test_who_was_moved_lately_stays(make_fleet: MakeFleet, formed: Formed) -> None:
    found, _, _ = plan(charity(), make_fleet, formed, resting={"survey"})
    assert "survey" not in gone(found) and len(gone(found)) == 2


def test_a_public_address_stays_at_its_site(make_fleet: MakeFleet, formed: Formed) -> None:
    """Adopted VMs have addresses of which the inventory does not tell."""
    found, _, _ = plan(charity(), make_fleet, formed, addresses={"survey": "198.51.1.5/24"})
    assert "survey" not in gone(found) and len(gone(found)) == 2


def test_at_its_own_site_it_takes_its_addresses_along(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    case = charity(survey={"ipv4": "dedicated"})
    near = Case({**case.rooms, "c": [16, 16, 16]}, case.vms, case.homes, {"c": "a"})
    found, _, _ = plan(near, make_fleet, formed, addresses={"survey": "198.51.1.5/24"})
    assert gone(found) == {"survey": "c", "wiki": "c"}
    assert not any(step.renumbered for step in found.transfers)


def test_a_day_has_so_many_moves(make_fleet: MakeFleet, formed: Formed) -> None:
    found, _, _ = plan(charity(), make_fleet, formed, budget=1)
    one = found.clusters[0]
    assert (len(found.transfers), one.moves, one.allowed) == (1, 2, 1)


def test_moves_inside_come_before(make_fleet: MakeFleet, formed: Formed) -> None:
    """a2's 6 GiB fit nowhere until one of a1's has gone to a3."""
    homes = {"p": "a1", "q": "a1", "r": "a2", "s": "a3"}
    sizes = {"p": 2, "q": 2, "r": 6, "s": 3}
    vms = {vm: {"memory_gib": gib} for vm, gib in sizes.items()}
    found, _, _ = plan(Case({"a": [8, 8, 8], "b": [16, 16]}, vms, homes), make_fleet, formed)
    assert found.transfers == () and "metal balance" in found.clusters[0].why


def test_one_that_goes_and_a_move_inside_are_better_than_two_that_go(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    """r's 6 GiB restart nowhere; one of a1's makes room for it, once a3 has room for that."""
    homes = {"p": "a1", "q": "a1", "r": "a2", "s": "a3", "t": "a3"}
    sizes = {"p": 2, "q": 2, "r": 6, "s": 3, "t": 4}
    vms = {vm: {"memory_gib": gib, "priority": 50} for vm, gib in sizes.items()}
    vms["r"] |= {"cluster": "a"}
    case = Case({"a": [8, 8, 8], "b": [16, 16, 16]}, vms, homes)
    found, fleet, world = plan(case, make_fleet, formed)
    one = found.clusters[0]
    assert (len(found.transfers), bool(one.inside)) == (1, True)
    for step in found.transfers:
        world = moved(world, step)
    inner = balance(fleet, world, 30).clusters[0]
    assert inner.mended == one.left and not inner.broken


def test_what_can_be_mended_is_and_the_most_important_first(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    """a3's 7 GiB are pinned and restart nowhere; a1 and a2 may die once one of them is rid of
    the least important."""
    homes = {"p": "a1", "q": "a1", "r": "a2", "s": "a2", "t": "a3"}
    sizes = {"p": 4, "q": 2, "r": 4, "s": 2, "t": 7}
    vms: dict[str, dict[str, Any]] = {vm: {"memory_gib": gib} for vm, gib in sizes.items()}
    for vm, priority in {"p": 90, "q": 30, "r": 60, "s": 20}.items():
        vms[vm] |= {"priority": priority}
    for vm in ("p", "r", "t"):
        vms[vm] |= {"cluster": "a"}
    case = Case({"a": [8, 8, 8], "b": [16, 16, 16]}, vms, homes)
    found, fleet, world = plan(case, make_fleet, formed)
    one = found.clusters[0]
    assert one.fatal == ("a1", "a2", "a3") and found.transfers
    for step in found.transfers:
        world = moved(world, step)
    assert set(one.left) == fatal(fleet, world, "a") == {"a3"}


def test_disks_that_were_promised_too_often_are_relieved(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    homes = {"p": "a1", "q": "a1", "r": "a2", "s": "b1"}
    vms = {vm: {"disk_gib": 40, "priority": 50 - n} for n, vm in enumerate(homes)}
    case = Case({"a": [8, 8, 8], "b": [8, 8, 8]}, vms, homes, disk_gib=100)
    found, _, _ = plan(case, make_fleet, formed)
    assert found.clusters[0].over_gib == 35
    assert gone(found) == {"r": "b"}


@pytest.mark.parametrize("soon", [True, False])
def test_a_site_that_is_given_back_soon_takes_nothing(
    make_fleet: MakeFleet, formed: Formed, soon: bool
) -> None:
    fleet = charity().fleet(make_fleet)
    site = fleet.sites["at-b"]
    until = date(2027, 1, 20) if soon else date(2029, 1, 1)
    donor = site.donor.model_copy(update={"until": until, "notice_days": 30})
    lent = site.model_copy(update={"donor": donor})
    fleet = fleet.model_copy(update={"sites": fleet.sites | {"at-b": lent}})
    found = across(fleet, formed(fleet, charity().seen()), 30, TODAY)
    assert bool(found.transfers) != soon
    assert bool(found.clusters[0].why) == soon


def test_the_donor_limits_the_traffic(make_fleet: MakeFleet, formed: Formed) -> None:
    case = charity(survey={"traffic_gb": 600})
    fleet = case.fleet(make_fleet)
    site = fleet.sites["at-b"]
    lent = site.model_copy(update={"donor": site.donor.model_copy(update={"traffic_gb": 500})})
    fleet = fleet.model_copy(update={"sites": fleet.sites | {"at-b": lent}})
    found = across(fleet, formed(fleet, case.seen()), 30, TODAY)
    assert "survey" not in gone(found) and len(gone(found)) == 2


def test_a_cluster_that_is_not_whole_is_left_alone(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = charity().fleet(make_fleet)
    world = formed(fleet, charity().seen())
    off = world.servers["a3"].model_copy(update={"node": "offline"})
    ill = world.model_copy(update={"servers": world.servers | {"a3": off}})
    found = across(fleet, ill, 30, TODAY)
    assert (found.transfers, found.clusters[0].why) == ((), "its server a3 is offline")


def test_too_many_sets_to_try_are_chosen_from(make_fleet: MakeFleet, formed: Formed) -> None:
    """Of 48 VMs four must go: more sets than are looked through, and no more than it takes."""
    homes = {f"vm{n:02}": f"a{n % 3 + 1}" for n in range(48)}
    vms = {vm: {"memory_gib": 1, "priority": 30 + n % 40} for n, vm in enumerate(homes)}
    case = Case({"a": [22, 22, 22], "b": [32, 32, 32]}, vms, homes)
    found, fleet, world = plan(case, make_fleet, formed)
    assert len(found.transfers) == 4
    for step in found.transfers:
        world = moved(world, step)
    assert across(fleet, world, 30, TODAY).clusters == ()


def test_of_too_many_sets_one_that_finds_a_place_is_chosen(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    """The largest may go nowhere else: b's processors are too old for them."""
    homes = {f"vm{n:02}": f"a{n % 3 + 1}" for n in range(48)}
    vms: dict[str, dict[str, Any]] = {vm: {"memory_gib": 1} for vm in homes}
    for vm in ("vm00", "vm01", "vm02"):
        vms[vm] = {"memory_gib": 2, "cpu": "x86-64-v4"}
    case = Case({"a": [24, 24, 24], "b": [32, 32, 32]}, vms, homes)
    found, _, _ = plan(case, make_fleet, formed)
    assert len(found.transfers) == 3 and not {"vm00", "vm01", "vm02"} & set(gone(found))


def test_a_replica_that_must_not_wait_any_more_counts(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    """db3 waits when a3 dies, as each other server has one of it. With db1 gone first it would
    have to fit beside vm2, and a3 could not die any more."""
    homes = {"db1": "a1", "vm2": "a1", "db2": "a2", "vm0": "a2", "db3": "a3", "vm1": "a3"}
    sizes = {"db1": 2, "db2": 2, "db3": 4, "vm0": 3, "vm1": 2, "vm2": 2}
    vms: dict[str, dict[str, Any]] = {vm: {"memory_gib": gib} for vm, gib in sizes.items()}
    for vm in homes:
        vms[vm] |= {"apart": "db"} if vm.startswith("db") else {"home": (homes[vm],)}
    vms["db2"]["priority"] = 10
    case = Case({"a": [6, 6, 6], "b": [16, 16, 16]}, vms, homes)
    found, fleet, world = plan(case, make_fleet, formed)
    assert found.transfers
    for step in found.transfers:
        after = moved(world, step)
        assert fatal(fleet, after, "a") <= fatal(fleet, world, "a")
        world = after


def test_where_no_storage_is_shared_nobody_goes(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = charity().fleet(make_fleet)
    alone = fleet.clusters["b"].model_copy(update={"ceph": False})
    fleet = fleet.model_copy(update={"clusters": fleet.clusters | {"b": alone}})
    assert across(fleet, formed(fleet, charity().seen()), 30, TODAY).transfers == ()
