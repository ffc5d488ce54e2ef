"""Stories of failing servers, one file each in worlds/, and what must never be concluded.

An inventory of four servers, and looks at it written as differences from "all is well".
"""

import tomllib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from heal_fleet import VMS, inventory
from hypothesis import given
from hypothesis import strategies as st

from metal.heal.past import Look
from metal.heal.plan import diagnose, plan_heal
from metal.model.errors import Refused
from metal.model.fleet import LibvirtAccess
from metal.model.life import Life, Status
from metal.model.plan import MigrateVm, RecoverServer, Restarts, Risk
from metal.model.world import SeenCluster, SeenServer, SeenVm, World

WORLDS = sorted((Path(__file__).parent / "worlds").glob("*.toml"))


@dataclass(frozen=True)
class Story:
    looks: list[World]
    """Oldest first; the last is now."""
    moves: Callable[[str], tuple[MigrateVm, ...]]
    expect: dict[str, Any]


def load(path: Path) -> Story:
    told = tomllib.loads(path.read_text())
    quorate = told.get("quorate", True)
    return Story([_world(look, quorate) for look in told["looks"]], _moves(told), told["expect"])


def _world(look: dict[str, Any], quorate: bool) -> World:
    servers: dict[str, SeenServer] = {}
    silent = {}
    for name in inventory().servers:
        said = {"life": "member", "node": "online", "power": "on", "health": "ok"}
        said |= look.get(name, {})
        if "silent" in said:
            silent[f"bmc {name}"] = said.pop("silent")
        servers[name] = SeenServer.model_validate(said)
    vms = {}
    for vm, (vmid, usual) in VMS.items():
        server = look.get("moved", {}).get(vm, usual)
        state = "running" if servers[server].node == "online" else "unknown"
        state = "stopped" if vm in look.get("stopped", ()) else state
        vms[vm] = SeenVm.model_validate(
            {"vmid": vmid, "cluster": "alba", "server": server, "state": state}
        )
    return World(
        servers=servers,
        clusters={
            "alba": SeenCluster(formed=True, quorate=quorate, nodes=("alba1", "alba2", "alba3")),
            "duna": SeenCluster(formed=True, quorate=True, nodes=("duna1",)),
        },
        vms=vms,
        silent=silent,
    )


def past(earlier: list[World]) -> list[Look]:
    """Looks a minute apart, the last of them a minute ago."""
    return [Look(ago=60.0 * (len(earlier) - i), world=world) for i, world in enumerate(earlier)]


def _moves(told: dict[str, Any]) -> Callable[[str], tuple[MigrateVm, ...]]:
    room = told.get("room", list(VMS))

    def choose(server: str) -> tuple[MigrateVm, ...]:
        if "refusal" in told:
            raise Refused(told["refusal"], where=server)
        return tuple(
            MigrateVm(
                vm=vm,
                vmid=vmid,
                cluster="alba",
                source=server,
                target="alba3",
                what=f"move {vm}",
                why="its server fails",
                risk=Risk.DISRUPTS,
            )
            for vm, (vmid, at) in VMS.items()
            if at == server and vm in room
        )

    return choose


# ── tests ──


@pytest.mark.parametrize("path", WORLDS, ids=lambda p: p.stem)
def test_story(path: Path) -> None:
    story = load(path)
    *earlier, now = story.looks
    found = {n: d.state for n, d in diagnose(inventory(), now, past(earlier)).items()}
    expect = story.expect
    assert {n: found.get(n) for n in expect["states"]} == expect["states"]

    found_ = plan_heal(inventory(), now, past(earlier), story.moves)
    actions, holds = found_.actions, tuple(found_.holds.values())
    assert [a.id for a in actions] == expect.get("actions", [])
    for text in expect.get("holds", []):
        assert any(text in hold for hold in holds), holds
    if "holds" not in expect:
        assert holds == ()
    waits = tuple(found_.waits.values())
    assert len(waits) == len(expect.get("waits", []))
    assert all(any(text in wait for wait in waits) for text in expect.get("waits", []))
    if "victims" in expect:
        assert isinstance(actions[0], RecoverServer)
        assert actions[0].vms == expect["victims"]
    if "risk" in expect:
        assert actions[0].risk == expect["risk"]


def test_looks_with_a_gap_between_them_are_not_in_a_row() -> None:
    """What somebody saw an hour ago proves nothing of the hour between."""
    story = load(Path(__file__).parent / "worlds" / "hung-second-look.toml")
    *earlier, now = story.looks

    def acted(*ago: float) -> list[str]:
        looks = [Look(ago=seconds, world=earlier[-1]) for seconds in ago]
        return [a.id for a in plan_heal(inventory(), now, looks, story.moves).actions]

    assert acted(120.0, 60.0), "seen lost for two minutes"
    assert not acted(3600.0)
    assert not acted(3600.0, 3540.0)
    assert not acted(3600.0, 30.0), "lost for half a minute only"


def test_unmentioned_servers_are_healthy() -> None:
    story = load(Path(__file__).parent / "worlds" / "dead.toml")
    states = {n: d.state for n, d in diagnose(inventory(), story.looks[-1]).items()}
    assert states == {"alba1": "dead", "alba2": "healthy", "alba3": "healthy", "duna1": "healthy"}


NAMES = tuple(inventory().servers)
seen = st.builds(
    SeenServer,
    life=st.sampled_from(Life),
    status=st.sampled_from([Status.DONE, Status.HELD, Status.FAILED]),
    power=st.sampled_from(["on", "off", "unknown"]),
    health=st.sampled_from(["ok", "warning", "critical", "unknown"]),
    node=st.sampled_from(["online", "offline", "unknown"]),
)
worlds = st.builds(
    World,
    servers=st.fixed_dictionaries(dict.fromkeys(NAMES, seen)),
    clusters=st.fixed_dictionaries(
        {
            c: st.builds(SeenCluster, formed=st.just(True), quorate=st.sampled_from([True, None]))
            for c in ("alba", "duna")
        }
    ),
)


@given(world=worlds, earlier=st.lists(worlds, max_size=3))
def test_nothing_is_concluded_from_silence(world: World, earlier: list[World]) -> None:
    """Dead needs a BMC that says off; an action needs a quorate cluster that says offline."""
    fleet = inventory()
    diagnoses = diagnose(fleet, world, past(earlier))
    for name, diagnosis in diagnoses.items():
        if diagnosis.state == "dead":
            assert world.servers[name].power == "off"
    actions = plan_heal(fleet, world, past(earlier), lambda _server: ()).actions
    for action in actions:
        server = world.servers[action.server]
        assert server.life is Life.MEMBER
        assert server.status is not Status.HELD
        if isinstance(action, RecoverServer):
            assert server.node == "offline"
            assert server.power in ("on", "off")
            assert world.clusters[action.cluster].quorate is True
        else:
            assert (server.node, server.health) == ("online", "critical")


@given(world=worlds, earlier=st.lists(worlds, max_size=3))
def test_one_cause_acts_on_one_server_of_a_site(world: World, earlier: list[World]) -> None:
    """A fault that hits a whole site at once never makes us switch its servers off."""
    fleet = inventory()
    actions = plan_heal(fleet, world, past(earlier), lambda _server: ()).actions
    recovered = [fleet.servers[a.server].site for a in actions if a.kind == "recover"]
    assert len(recovered) == len(set(recovered))


@pytest.mark.parametrize("has_ha", [True, False])
def test_metal_plans_restarts_where_no_ha_does(has_ha: bool) -> None:
    fleet = inventory()
    if not has_ha:
        alba = fleet.clusters["alba"].model_copy(
            update={"libvirt": LibvirtAccess(), "ceph": False, "storage": "vms"}
        )
        fleet = fleet.model_copy(update={"clusters": fleet.clusters | {"alba": alba}})
    well = SeenServer(life=Life.MEMBER, node="online", power="on", health="ok")
    vms = {
        vm: SeenVm(vmid=vmid, cluster="alba", server=server) for vm, (vmid, server) in VMS.items()
    }
    up = World(
        servers=dict.fromkeys(fleet.servers, well),
        clusters={c: SeenCluster(formed=True, quorate=True) for c in fleet.clusters},
        vms=vms,
    )
    dead = well.model_copy(update={"node": "offline", "power": "off"})
    now = up.model_copy(update={"servers": up.servers | {"alba1": dead}})
    asked: list[tuple[str, list[str]]] = []

    def places(server: str, lost: Collection[str]) -> Restarts:
        asked.append((server, sorted(lost)))
        return Restarts(waits=("mail",))

    (action,) = plan_heal(fleet, now, past([up]), lambda _server: (), places=places).actions
    assert isinstance(action, RecoverServer)
    assert action.vms == {"mail": 101, "wiki": 102}
    assert action.restarts == (None if has_ha else Restarts(waits=("mail",)))
    assert asked == ([] if has_ha else [("alba1", ["mail", "wiki"])])


def test_what_only_the_plug_can_have_told_is_said_of_the_plug() -> None:
    dead = SeenServer(life=Life.MEMBER, node="offline", power="off")
    world = World(servers={"alba1": dead}, silent={"bmc alba1": "timed out"})
    assert "its plug reads power off" in diagnose(inventory(), world)["alba1"].evidence
    heard = World(servers={"alba1": dead})
    assert "its BMC reads power off" in diagnose(inventory(), heard)["alba1"].evidence
