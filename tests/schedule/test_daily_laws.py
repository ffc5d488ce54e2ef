"""Laws of what is asked every day, a drain and the room that is left, counted without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metal.model.fleet import Inventory, VmSize
from metal.model.laws import judge
from metal.model.plan import DrainServer, Plan, Risk, fingerprint
from metal.model.world import SeenVm, World
from metal.schedule.moves import drain_moves
from metal.schedule.roomleft import room_left

MakeFleet = Callable[..., Inventory]
Formed = Callable[..., World]
quick = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
CHIPS = {"a1": "Haswell", "a2": "Haswell", "a3": "Westmere", "a4": None}


@dataclass(frozen=True)
class Case:
    rooms: list[float]
    vms: dict[str, dict[str, Any]]
    homes: dict[str, str]
    states: dict[str, str]

    def fleet(self, make: MakeFleet) -> Inventory:
        return make({"a": self.rooms}, self.vms, threads=4, cpu_factor=2, chips=CHIPS)

    def world(self, fleet: Inventory, formed: Formed) -> World:
        seen = {
            vm: SeenVm.model_validate(
                {"vmid": 100 + n, "cluster": "a", "server": at, "state": self.states[vm]}
            )
            for n, (vm, at) in enumerate(self.homes.items())
        }
        return formed(fleet, seen)


@st.composite
def filled(draw: st.DrawFn) -> Case:
    """One cluster of two to four servers, where VMs with every kind of wish run or stand still."""
    rooms = draw(st.lists(st.sampled_from([4, 6, 8, 12]), min_size=2, max_size=4))
    left = {f"a{i}": room for i, room in enumerate(rooms, start=1)}
    vms: dict[str, dict[str, Any]] = {}
    homes: dict[str, str] = {}
    for n in range(draw(st.integers(0, 8))):
        gib, server = draw(st.sampled_from([1, 2, 3])), draw(st.sampled_from(sorted(left)))
        if gib > left[server]:
            continue
        mates = [vm for vm in homes if homes[vm] == server]
        group = draw(st.sampled_from([None, None, "db"]))
        if any(vms[vm]["apart"] for vm in mates):
            group = None
        cpu = draw(st.sampled_from([None, None, None, "x86-64-v3"]))
        left[server] -= gib
        homes[f"vm{n}"] = server
        vms[f"vm{n}"] = {
            "memory_gib": gib,
            "vcpus": draw(st.sampled_from([1, 1, 2])),
            "apart": group,
            "priority": draw(st.integers(0, 2)),
            "cpu": cpu if server in ("a1", "a2") else None,
            "together": tuple(mates[:1]) if draw(st.integers(0, 3)) == 0 else (),
        }
    states = {vm: draw(st.sampled_from(["running", "running", "stopped"])) for vm in homes}
    return Case([float(r) for r in rooms], vms, homes, states)


def holds(fleet: Inventory, server: str, vms: Sequence[str]) -> bool:
    """Memory, vCPUs, replicas and processors of one server."""
    learned = fleet.servers[server].learned
    assert learned and learned.memory_gib
    groups = [g for vm in vms if (g := fleet.vms[vm].apart)]
    new = CHIPS[server] == "Haswell"
    return (
        sum(fleet.needs(vm).memory_mib for vm in vms) <= (learned.memory_gib - 4) * 1024
        and sum(fleet.needs(vm).vcpus for vm in vms) <= 8
        and len(set(groups)) == len(groups)
        and (new or not any(fleet.vms[vm].cpu for vm in vms))
    )


def sets_of(fleet: Inventory, vms: Sequence[str]) -> list[set[str]]:
    """Of these VMs, those that stay together."""
    sets = [{vm} for vm in vms]
    for vm, wanted in fleet.vms.items():
        for other in wanted.together:
            touched = [s for s in sets if s & {vm, other}]
            sets = [s for s in sets if s not in touched]
            sets += [set().union(*touched)] if touched else []
    return sets


@given(filled(), st.integers(1, 4))
@quick
def test_a_drain_moves_all_that_any_packing_could(
    make_fleet: MakeFleet, formed: Formed, case: Case, number: int
) -> None:
    fleet = case.fleet(make_fleet)
    world = case.world(fleet, formed)
    source = f"a{min(number, len(case.rooms))}"
    others = [s for s in fleet.clusters["a"].servers if s != source]
    here = [vm for vm, at in case.homes.items() if at == source]
    drain = drain_moves(fleet, world, source)
    went = {m.vm: m.target for m in drain.moves}
    stuck = {s.vm for s in drain.stranded}
    asleep = {vm for vm in here if any(w.startswith(f"{vm} is stopped") for w in drain.warnings)}
    assert went.keys() | stuck | asleep == {*here}
    assert len(went) + len(stuck) + len(asleep) == len(here)
    for server in others:
        mine = [vm for vm, at in case.homes.items() if at == server]
        came = [vm for vm, at in went.items() if at == server]
        assert not came or holds(fleet, server, [*mine, *came])
    for those in sets_of(fleet, list(went)):
        assert len({went[vm] for vm in those}) == 1
    if stuck or asleep:
        units = sets_of(fleet, here)
        assert not any(
            _all_fit(fleet, case, others, units, to) for to in product(others, repeat=len(units))
        )
    if went:
        action = DrainServer(
            what=f"empty {source}",
            why="a law",
            risk=Risk.DISRUPTS,
            server=source,
            cluster="a",
            moves=drain.moves,
        )
        plan = Plan(fingerprint=fingerprint(fleet, world), actions=(action,))
        told = [b for b in judge(plan, fleet, world) if b.law != "drain"]
        assert not told or stuck or asleep or drain.warnings, told


def _all_fit(
    fleet: Inventory, case: Case, others: list[str], units: list[set[str]], to: Sequence[str]
) -> bool:
    for server in others:
        mine = [vm for vm, at in case.homes.items() if at == server]
        came = [vm for u, at in zip(units, to, strict=True) if at == server for vm in u]
        if came and not holds(fleet, server, [*mine, *came]):
            return False
    return True


@given(filled(), st.sampled_from([1, 2, 3]), st.integers(1, 4))
@quick
def test_what_is_left_is_there_and_more_room_is_never_less(
    make_fleet: MakeFleet, formed: Formed, case: Case, gib: int, number: int
) -> None:
    """So many were found a place; no more than the bound have one; and a server with more memory,
    or a smaller VM, never makes it fewer."""
    fleet = case.fleet(make_fleet)
    world = case.world(fleet, formed)
    size = VmSize(vcpus=1, memory_gib=gib, disk_gib=1)
    (left,) = room_left(fleet, world, size)
    assert 0 <= left.count <= left.bound
    new = {f"new{n}": {"memory_gib": gib, "disk_gib": 1, "vcpus": 1} for n in range(left.bound + 1)}
    grown = make_fleet({"a": case.rooms}, case.vms | new, threads=4, cpu_factor=2, chips=CHIPS)
    if left.bound <= 3:
        most = max((n for n in range(left.bound + 2) if _some_way(grown, case, n)), default=0)
        assert left.count <= most <= left.bound or not _some_way(grown, case, 0)
    rooms = [r + 4 * (i == number) for i, r in enumerate(case.rooms, start=1)]
    larger = Case(rooms, case.vms, case.homes, case.states).fleet(make_fleet)
    (more,) = room_left(larger, world, size)
    assert more.bound >= left.bound
    assert more.count >= left.count or more.count < more.bound
    smaller = VmSize(vcpus=1, memory_gib=gib / 2, disk_gib=1)
    less = room_left(fleet, world, smaller)[0]
    assert less.bound >= left.bound
    assert less.count >= left.count or less.count < less.bound


def test_those_that_restart_together_are_left_room_together(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    """Spread, each on a server of its own, two leave no room for the pair of a1's."""
    vms: dict[str, dict[str, Any]] = {
        "x": {"memory_gib": 1},
        "y": {"memory_gib": 2, "together": ("x",)},
    }
    case = Case([4.0, 4.0, 4.0], vms, {"x": "a1", "y": "a1"}, {"x": "running", "y": "running"})
    fleet = case.fleet(make_fleet)
    (left,) = room_left(fleet, case.world(fleet, formed), VmSize(vcpus=1, memory_gib=2, disk_gib=1))
    assert (left.count, left.bound) == (2, 2)


def test_replicas_that_wait_take_no_room(make_fleet: MakeFleet, formed: Formed) -> None:
    """When a1 dies its replica waits, for a2 runs the other: three more fit there, and no two."""
    vms = {vm: {"apart": "db"} for vm in ("db1", "db2")}
    states = dict.fromkeys(vms, "running")
    case = Case([4.0, 4.0], vms, {"db1": "a1", "db2": "a2"}, states)
    fleet = case.fleet(make_fleet)
    (left,) = room_left(fleet, case.world(fleet, formed), VmSize(vcpus=1, memory_gib=1, disk_gib=1))
    assert (left.count, left.bound) == (3, 3)


def _some_way(fleet: Inventory, case: Case, number: int) -> bool:
    servers = fleet.clusters["a"].servers
    return any(
        _lives(fleet, case.homes | {f"new{n}": at for n, at in enumerate(to)})
        for to in product(servers, repeat=number)
        if list(to) == sorted(to)
    )


def _lives(fleet: Inventory, homes: dict[str, str]) -> bool:
    """Whether all are where they fit, and any one server may die."""
    servers = fleet.clusters["a"].servers
    on = {s: [vm for vm, at in homes.items() if at == s] for s in servers}
    memory = {s: sum(fleet.needs(vm).memory_mib for vm in on[s]) for s in servers}
    return all(memory[s] <= _room(fleet, s) for s in servers) and all(
        _survives(fleet, on, dead) for dead in servers
    )


def _room(fleet: Inventory, server: str) -> float:
    learned = fleet.servers[server].learned
    assert learned and learned.memory_gib
    return (learned.memory_gib - 4) * 1024


def _survives(fleet: Inventory, on: dict[str, list[str]], dead: str) -> bool:
    others = [s for s in on if s != dead]
    held = {s: {fleet.vms[vm].apart for vm in on[s]} - {None} for s in others}
    units = [
        u
        for u in sets_of(fleet, on[dead])
        if not any(all(fleet.vms[vm].apart in held[s] for s in others) for vm in u)
    ]
    for to in product(others, repeat=len(units)):
        came = {
            s: [vm for u, at in zip(units, to, strict=True) if at == s for vm in u] for s in others
        }
        if all(not came[s] or holds(fleet, s, [*on[s], *came[s]]) for s in others):
            return True
    return False
