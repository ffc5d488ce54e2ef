"""Proofs: verified by the checker that shares no code with them, broken ones refused by it."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from metal.check_certificate import problems
from metal.model.fleet import Inventory
from metal.model.life import Life
from metal.model.plan import Plan, fingerprint
from metal.model.world import SeenServer, SeenVm, World
from metal.schedule import mend
from metal.schedule.after import carried_out
from metal.schedule.packing import pack_exactly
from metal.schedule.plan import plan_vms
from metal.schedule.prove import packing, prove
from metal.schedule.survival import Guest, Node, Verdict, verdict
from metal.schedule.withdraw import relocate

MakeFleet = Callable[..., Inventory]
Formed = Callable[..., World]
quick = settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
CHECKER = Path(__file__).resolve().parents[2] / "metal" / "check_certificate.py"


def seen(server: str, vmid: int, memory_mib: int | None = None) -> SeenVm:
    return SeenVm(
        vmid=vmid, cluster=server[0], server=server, state="running", memory_mib=memory_mib
    )


@pytest.fixture
def tight(make_fleet: MakeFleet, formed: Formed) -> tuple[Inventory, World]:
    """Three servers of 9, 4 and 5 GiB: 3 + 3 + 3 fit in sum, not in truth."""
    fleet = make_fleet({"a": [9, 4, 5]}, {f"v{i}": {"memory_gib": 3} for i in range(3)})
    return fleet, formed(fleet, {f"v{i}": seen("a1", 100 + i) for i in range(3)})


def test_the_smallest_counter_example_and_what_would_mend_it(
    tight: tuple[Inventory, World],
) -> None:
    failure = prove(*tight).clusters["a"].failures["a1"]
    assert failure.verdict == "not"
    assert failure.smallest == ("v0", "v1", "v2")
    assert failure.mends == (
        "move v0 from a1 to another cluster",
        "v0 with 2 GiB instead of 3",
        "a DIMM of 4 GiB for a2",
    )


def test_a_vm_of_a_petabyte_takes_few_tries(
    make_fleet: MakeFleet, formed: Formed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hypervisor may tell any figure: no size is tried that nobody could take."""
    tries = 0

    def counted(guests: list[Guest], nodes: list[Node]) -> bool:
        nonlocal tries
        tries += 1
        return pack_exactly(guests, nodes)[0] is Verdict.SURVIVABLE

    monkeypatch.setattr(mend, "fits", counted)
    fleet = make_fleet({"a": [8, 8, 8]}, {"web": {}, "db": {}})
    at = {"cluster": "a", "server": "a1", "state": "running"}
    seen = {
        "web": SeenVm.model_validate({"vmid": 100, "memory_mib": 1_000_000_000, **at}),
        "db": SeenVm.model_validate({"vmid": 101, **at}),
    }
    failure = prove(fleet, formed(fleet, seen)).clusters["a"].failures["a1"]
    assert failure.smallest == ("web",) and 0 < tries < 100
    assert "web with 8 GiB instead of 976562" in failure.mends


def test_each_mend_mends(make_fleet: MakeFleet, formed: Formed) -> None:
    homes = {f"v{i}": seen("a1", 100 + i) for i in range(3)}
    shrunk = {"v0": {"memory_gib": 2}, "v1": {"memory_gib": 3}, "v2": {"memory_gib": 3}}
    whole = {f"v{i}": {"memory_gib": 3} for i in range(3)}
    for memories, vms, there in (
        ([9, 8, 5], whole, homes),
        ([9, 4, 5], shrunk, homes),
        ([9, 4, 5], whole, {vm: homes[vm] for vm in ("v1", "v2")}),
    ):
        fleet = make_fleet({"a": memories}, vms)
        assert prove(fleet, formed(fleet, there)).safe


@st.composite
def running(draw: st.DrawFn) -> tuple[list[float], dict[str, Any], dict[str, str], int]:
    """(memories, VMs, homes, threads) of one cluster of two to four."""
    memories = draw(st.lists(st.sampled_from([4, 6, 9, 12]), min_size=2, max_size=4))
    vms, homes = {}, {}
    for n in range(draw(st.integers(0, 7))):
        vms[f"v{n}"] = {
            "memory_gib": draw(st.sampled_from([1, 2, 3, 4])),
            "vcpus": draw(st.integers(1, 3)),
            "apart": draw(st.sampled_from([None, None, "db"])),
            "together": (f"v{n - 1}",) if n and draw(st.integers(0, 4)) == 0 else (),
        }
        homes[f"v{n}"] = f"a{draw(st.integers(1, len(memories)))}"
    return list(memories), vms, homes, draw(st.sampled_from([2, 4, 32]))


def survives(fleet: Inventory, homes: dict[str, str], dead: str, cpus: int) -> bool | None:
    """Every assignment of the VMs of `dead`; only what changes must fit."""
    alive = [s for s in fleet.clusters["a"].servers if s != dead]
    victims = [vm for vm, server in homes.items() if server == dead]
    held = [{fleet.vms[vm].apart for vm, at in homes.items() if at == s} for s in alive]
    full = [vm for vm in victims if fleet.vms[vm].apart and all("db" in groups for groups in held)]
    sets = groups({vm: wish.together for vm, wish in fleet.vms.items()})
    pairs = [pair for mine in sets for pair in combinations(sorted(mine & set(victims)), 2)]
    for _ in victims:  # whoever stays with one that waits waits with it
        full += [a for pair in pairs for a in pair if set(pair) & set(full)]
    victims = [vm for vm in victims if vm not in full]
    if sum(fleet.vms[vm].apart == "db" for vm in victims) > sum("db" not in g for g in held):
        return None  # which of them waits is a matter of names
    for choice in product(alive, repeat=len(victims)):
        after = homes | dict(zip(victims, choice, strict=True))
        together = all(after[a] == after[b] for a, b in pairs if a in victims)
        if together and all(_holds(fleet, after, server, cpus, victims) for server in set(choice)):
            return True
    return False


def _holds(
    fleet: Inventory, homes: dict[str, str], server: str, cpus: int, came: list[str]
) -> bool:
    here = [vm for vm, home in homes.items() if home == server]
    room = (fleet.servers[server].learned.memory_gib - 4) * 1024  # type: ignore[union-attr,operator]
    fresh = [vm for vm in here if vm in came and fleet.vms[vm].apart]
    apart = [fleet.vms[vm].apart for vm in here]
    return (
        sum(fleet.needs(vm).memory_mib for vm in here) <= room
        and sum(fleet.needs(vm).vcpus for vm in here) <= cpus
        and all(apart.count(fleet.vms[vm].apart) == 1 for vm in fresh)
    )


def contradicts(vms: dict[str, Any]) -> bool:
    """Two of one replica group are to stay together: no inventory with that is loaded."""
    sets = groups({vm: wish.get("together", ()) for vm, wish in vms.items()})
    replicas = [[g for vm in s if (g := vms[vm].get("apart"))] for s in sets]
    return any(len(set(found)) < len(found) for found in replicas)


def groups(together: dict[str, Any]) -> list[set[str]]:
    """Whoever stays with a VM stays with all that it stays with."""
    sets: list[set[str]] = []
    for vm, others in together.items():
        mine = {vm, *others}
        mine = mine.union(*(s for s in sets if s & mine))
        sets = [s for s in sets if not s & mine] + [mine]
    return sets


@given(running())
@quick
def test_proofs_agree_with_brute_force_and_the_checker(
    make_fleet: MakeFleet, formed: Formed, case: Any
) -> None:
    memories, vms, homes, threads = case
    assume(not contradicts(vms))
    fleet = make_fleet({"a": memories}, vms, threads=threads, cpu_factor=2)
    world = formed(fleet, {vm: seen(at, 100 + n) for n, (vm, at) in enumerate(homes.items())})
    proof = prove(fleet, world)
    for dead, failure in proof.clusters["a"].failures.items():
        expected = survives(fleet, homes, dead, 2 * threads)
        assert expected is None or failure.verdict == ("survivable" if expected else "not"), dead
    document = proof.model_dump(mode="json")
    assert (not list(problems(document, world.model_dump(mode="json")))) == proof.safe


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 4)), max_size=5),
    st.tuples(st.integers(0, 20), st.integers(0, 20)),
    st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_memory_and_cpu_together_are_exact_for_three(
    drawn: list[tuple[int, int]], rooms: tuple[int, int], cpus: tuple[int, int]
) -> None:
    guests = [Guest(f"v{i}", m, None, c) for i, (m, c) in enumerate(drawn)]
    used, vcpus = sum(g.memory for g in guests), sum(g.vcpus for g in guests)
    dead = Node("a", used, guests, vcpus)
    nodes = [dead, Node("b", rooms[0], (), cpus[0]), Node("c", rooms[1], (), cpus[1])]
    expected = any(
        all(
            sum(g.memory for g, on in zip(guests, choice, strict=True) if on == k) <= rooms[k]
            and sum(g.vcpus for g, on in zip(guests, choice, strict=True) if on == k) <= cpus[k]
            for k in (0, 1)
        )
        for choice in product((0, 1), repeat=len(guests))
    )
    assert verdict(nodes) is (Verdict.SURVIVABLE if expected else Verdict.NOT)


@pytest.fixture
def certificate(make_fleet: MakeFleet, formed: Formed) -> dict[str, Any]:
    vms = {"db1": {"apart": "db"}, "db2": {"apart": "db"}, "web": {"memory_gib": 3}}
    fleet = make_fleet({"a": [8, 8, 8], "s": [8]}, vms)
    homes = {"db1": seen("a1", 100), "db2": seen("a2", 101), "web": seen("a1", 102)}
    return prove(fleet, formed(fleet, homes)).model_dump(mode="json")


def _drop_vm(c: dict[str, Any]) -> None:
    del c["clusters"]["a"]["failures"]["a1"]["restarts"]["web"]


def _to_the_dead(c: dict[str, Any]) -> None:
    c["clusters"]["a"]["failures"]["a1"]["restarts"]["web"] = "a1"


def _overfull(c: dict[str, Any]) -> None:
    c["clusters"]["a"]["vms"]["web"]["memory_mib"] = 8193


def _few_cpus(c: dict[str, Any]) -> None:
    for server in c["clusters"]["a"]["servers"].values():
        server["vcpus"] = 0


def _unknown_room(c: dict[str, Any]) -> None:
    for server in c["clusters"]["a"]["servers"].values():
        server["memory_mib"] = None


def _mates_meet(c: dict[str, Any]) -> None:
    c["clusters"]["a"]["failures"]["a1"]["restarts"]["db1"] = "a2"


def _silence(c: dict[str, Any]) -> None:
    del c["clusters"]["a"]["failures"]["a3"]


def _alone(c: dict[str, Any]) -> None:
    c["clusters"]["a"]["failures"]["a1"] = {"verdict": "alone", "restarts": {}, "why": ""}


def _one_more_waits(c: dict[str, Any]) -> None:
    """Who waits is asked for no processor."""
    c["clusters"]["a"]["failures"]["a1"]["waits"] = ["db1"]


def _figure(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    """No sum says anything with one of those in it."""

    def forge(c: dict[str, Any]) -> None:
        kind = "servers" if key == "servers" else "vms"
        one = "a2" if key == "servers" else "web"
        c["clusters"]["a"][kind][one]["memory_mib"] = value

    return forge


def _no_quorum_asked(c: dict[str, Any]) -> None:
    c["clusters"]["a"]["members"] = 2


def _nobody_there(c: dict[str, Any]) -> None:
    """All servers are down, so none can die."""
    c["clusters"]["a"] |= {"servers": {}, "failures": {}}


def _twice(c: dict[str, Any]) -> None:
    c["clusters"]["s"]["vms"]["web"] = c["clusters"]["a"]["vms"]["web"] | {"server": "s1"}


def test_a_true_certificate_is_verified(certificate: dict[str, Any]) -> None:
    assert list(problems(certificate)) == []


@pytest.mark.parametrize(
    "forge",
    [
        _drop_vm,
        _to_the_dead,
        _overfull,
        _few_cpus,
        _unknown_room,
        _mates_meet,
        _silence,
        _alone,
        _one_more_waits,
        _figure("vms", float("nan")),
        _figure("vms", -100_000),
        _figure("vms", "1"),
        _figure("vms", True),
        _figure("servers", float("inf")),
        _no_quorum_asked,
        _nobody_there,
        _twice,
    ],
)
def test_a_false_certificate_is_refused(
    certificate: dict[str, Any], forge: Callable[[dict[str, Any]], None]
) -> None:
    false = copy.deepcopy(certificate)
    forge(false)
    assert list(problems(false))


def _smaller(c: dict[str, Any]) -> None:
    c["clusters"]["a"]["vms"]["web"]["memory_mib"] = 1


def _fewer_cpus(c: dict[str, Any]) -> None:
    c["clusters"]["a"]["vms"]["web"]["vcpus"] = 0


def _elsewhere(c: dict[str, Any]) -> None:
    """Where there is more room; its server is called as it is."""
    c["clusters"]["s"]["vms"]["web"] = c["clusters"]["a"]["vms"].pop("web")
    for failure in c["clusters"]["a"]["failures"].values():
        failure["restarts"].pop("web", None)


def _one_more_server(c: dict[str, Any]) -> None:
    c["clusters"]["a"]["servers"]["a9"] = c["clusters"]["a"]["servers"]["a2"]
    c["clusters"]["a"]["failures"]["a9"] = c["clusters"]["a"]["failures"]["a3"]
    c["clusters"]["a"]["members"] = 4


@pytest.mark.parametrize("forge", [_smaller, _fewer_cpus, _elsewhere, _one_more_server])
def test_what_the_world_denies_is_refused(
    certificate: dict[str, Any], forge: Callable[[dict[str, Any]], None]
) -> None:
    def vm(server: str) -> dict[str, Any]:
        return {"vmid": 1, "cluster": "a", "server": server, "memory_mib": 1024, "vcpus": 1}

    homes = {vm: told["server"] for vm, told in certificate["clusters"]["a"]["vms"].items()}
    nodes = {"a": ["a1", "a2", "a3"], "s": ["s1"]}
    world = {
        "servers": {s: {"node": "online"} for among in nodes.values() for s in among},
        "clusters": {name: {"nodes": among} for name, among in nodes.items()},
        "vms": {name: vm(server) for name, server in homes.items()},
    }
    assert list(problems(certificate, world)) == []
    forge(certificate)
    assert list(problems(certificate, world))


def test_a_name_that_stands_twice_is_read_by_nobody(tmp_path: Path) -> None:
    file = tmp_path / "twice.json"
    file.write_text('{"certificate": 1, "clusters": {"a": {}}, "clusters": {}}')
    ran = subprocess.run([sys.executable, "-I", str(CHECKER), str(file)], capture_output=True)
    assert ran.returncode == 1 and b"twice" in ran.stderr


def test_the_checker_needs_nothing_but_python(certificate: dict[str, Any], tmp_path: Path) -> None:
    import json

    assert len(CHECKER.read_text().splitlines()) < 200
    assert "metal." not in CHECKER.read_text()
    file = tmp_path / "certificate.json"
    file.write_text(json.dumps(certificate))
    ran = subprocess.run(
        [sys.executable, "-I", str(CHECKER), str(file)], capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout) == (0, "verified: every single server may die\n")


def test_what_nobody_told_proves_nothing(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [8, None, None]}, {"v": {}})
    failure = prove(fleet, formed(fleet, {"v": seen("a1", 100)})).clusters["a"].failures["a1"]
    assert (failure.verdict, "memory of a2, a3" in failure.why) == ("unknown", True)
    fleet = make_fleet({"a": [8, 8, 8]}, {"v": {}})
    strange = formed(fleet, {"stranger": seen("a1", 100)})
    assert not prove(fleet, strange).safe
    unheard = formed(fleet, {"v": seen("a1", 100)}).model_copy(update={"clusters": {}})
    assert not prove(fleet, unheard).safe


def test_who_runs_on_a_server_that_nobody_knows_is_not_left_out(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    """A template is: it never runs."""
    fleet = make_fleet({"a": [8, 8, 8]}, {"v": {}})
    world = formed(fleet, {"v": seen("a1", 100).model_copy(update={"server": "ghost"})})
    failure = prove(fleet, world).clusters["a"].failures["a1"]
    assert (failure.verdict, "server that v runs on" in failure.why) == ("unknown", True)
    still = world.vms["v"].model_copy(update={"kind": "template"})
    world = world.model_copy(update={"vms": {"v": still}})
    proof = prove(fleet, world)
    assert proof.safe
    assert list(problems(proof.model_dump(mode="json"), world.model_dump(mode="json"))) == []


def test_what_is_down_already_must_restart_too(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [8, 8, 8]}, {"v": {"memory_gib": 5}, "w": {"memory_gib": 5}})
    world = formed(fleet, {"v": seen("a1", 100), "w": seen("a2", 101)})
    assert prove(fleet, world).safe
    down = {**world.servers, "a1": SeenServer(life=Life.MEMBER, node="offline")}
    assert not prove(fleet, world.model_copy(update={"servers": down})).safe


def test_a_planned_world_is_proven_and_planned_no_further(
    charity: Inventory, formed: Formed
) -> None:
    world = formed(charity)
    actions, _ = plan_vms(charity, world, frozenset(charity.clusters), {})
    plan = Plan(fingerprint=fingerprint(charity, world), actions=actions)
    after = carried_out(charity, world, plan)
    proof = prove(charity, after)
    assert sum(len(c.vms) for c in proof.clusters.values()) == 43
    assert proof.safe
    assert list(problems(proof.model_dump(mode="json"), after.model_dump(mode="json"))) == []
    assert plan_vms(charity, after, frozenset(charity.clusters), {})[0] == ()


def test_a_lost_site_goes_elsewhere(make_fleet: MakeFleet, formed: Formed) -> None:
    vms = {"big": {"memory_gib": 7, "priority": 10}, "web": {"priority": 90, "cluster": "a"}}
    fleet = make_fleet({"a": [16, 16, 16], "b": [6, 6, 6]}, vms)
    world = formed(fleet, {"big": seen("a1", 100), "web": seen("a2", 101)})
    found = relocate(fleet, world, "at-a")
    assert found.homes["web"][0] == "b"
    assert [left.vm for left in found.stranded] == ["big"]
    assert found.unpinned == ("web",)


def _hard() -> tuple[list[Guest], list[Node]]:
    """Too much for the bounded search: it fits to the last unit, in one of very many ways."""
    sizes = [n * n % 41 + 30 for n in range(40)]
    rooms = [sum(sizes[i::5]) for i in range(5)]
    guests = [Guest(f"v{i}", size, None, 1) for i, size in enumerate(sizes)]
    return guests, [Node(f"n{i}", room, (), 8) for i, room in enumerate(rooms)]


def test_the_solver_stands_behind_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ortools")
    guests, nodes = _hard()
    assert pack_exactly(guests, nodes)[0] is Verdict.UNKNOWN
    found, homes = packing(guests, nodes)
    assert found is Verdict.SURVIVABLE and homes is not None
    for node in nodes:
        here = [g for g in guests if homes[g.name] == node.name]
        assert sum(g.memory for g in here) <= node.room
        assert len(here) <= 8
    monkeypatch.setattr("metal.schedule.solver.installed", lambda: False)
    assert packing(guests, nodes)[0] is Verdict.UNKNOWN


def test_room_is_no_survival_where_too_few_would_be_left_to_vote(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    fleet = make_fleet({"a": [9, 9, 9]}, {"v": {"memory_gib": 1}})
    world = formed(fleet, {"v": seen("a1", 100)})
    assert prove(fleet, world).safe
    gone = world.servers["a2"].model_copy(update={"node": "offline", "power": "off"})
    short = world.model_copy(update={"servers": world.servers | {"a2": gone}})
    proof = prove(fleet, short)
    failure = proof.clusters["a"].failures["a1"]
    assert failure.verdict == "not" and "1 of 3 would be left: no quorum" in failure.why

    document = proof.model_dump(mode="json")
    claimed = {"verdict": "survivable", "restarts": {"v": "a3"}, "waits": [], "why": ""}
    document["clusters"]["a"]["failures"] = {"a1": claimed}
    assert any("1 of 3 have no quorum" in problem for problem in problems(document))


def test_a_cluster_without_quorum_restarts_nothing(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [9, 9, 9]}, {"v": {"memory_gib": 1}})
    world = formed(fleet, {"v": seen("a1", 100)})
    apart = world.clusters["a"].model_copy(update={"quorate": False})
    lost = world.model_copy(update={"clusters": {"a": apart}})
    assert not prove(fleet, lost).safe
