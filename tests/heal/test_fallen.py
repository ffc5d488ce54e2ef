"""What a server's own restart stopped, and what was left on one that died while it was emptied."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from heal_fleet import VMS, inventory

from metal.controller.healing import Healing
from metal.controller.incident_book import IncidentBook
from metal.controller.post import POST
from metal.controller.progress import silent
from metal.heal.fallen import fell
from metal.heal.past import Look, Sense
from metal.heal.plan import plan_heal
from metal.lab.storms.ports import AtOnce
from metal.lab.storms.storm import Storm
from metal.model.fleet import Inventory, LibvirtAccess
from metal.model.life import Life, Status
from metal.model.plan import DrainServer, RecoverServer, Restarts, Risk, StartVm
from metal.model.world import SeenCluster, SeenServer, SeenVm, World

WELL = SeenServer(life=Life.MEMBER, node="online", power="on", health="ok")
AWAY = WELL.model_copy(update={"node": "offline"})


def fleet(*, has_ha: bool = False) -> Inventory:
    made = inventory()
    if has_ha:
        return made
    alba = made.clusters["alba"].model_copy(
        update={"libvirt": LibvirtAccess(), "ceph": False, "storage": "vms"}
    )
    return made.model_copy(update={"clusters": made.clusters | {"alba": alba}})


def world(
    state: str = "running", *, alba1: SeenServer = WELL, quorate: bool = True, untold: bool = True
) -> World:
    """`state`: of what is on alba1; all else runs. `untold`: nobody stopped what is stopped."""
    servers = dict.fromkeys(inventory().servers, WELL) | {"alba1": alba1}
    vms = {
        vm: SeenVm.model_validate(
            {"vmid": vmid, "cluster": "alba", "server": server}
            | {"state": state if server == "alba1" else "running"}
            | {"untold": untold and (state, server) == ("stopped", "alba1")}
        )
        for vm, (vmid, server) in VMS.items()
    }
    clusters = {c: SeenCluster(formed=True, quorate=quorate) for c in inventory().clusters}
    return World(servers=servers, clusters=clusters, vms=vms)


DOWN = world("stopped")
STOPPED = world("stopped", untold=False)
"""By somebody."""
PAST = (world(), world("unknown", alba1=AWAY), DOWN)


def found(
    looks: Collection[World] = PAST,
    now: World = DOWN,
    made: Inventory | None = None,
    *,
    led_by_another: bool = False,
    kept: int = 1000,
) -> list[tuple[str, str]]:
    past = [
        Look(ago=10.0 * n, world=w) for n, w in zip(range(len(looks), 0, -1), looks, strict=True)
    ]
    made = made or fleet()
    known: frozenset[str] = frozenset()
    every = [*looks, now]
    for n, seen in enumerate(every):
        known = fell(made, seen, every[max(0, n - kept) : n], known)
    if led_by_another:
        past = past[-1:]
    sense = Sense(fell=known)
    actions = plan_heal(made, now, past, lambda _server: (), sense=sense).actions
    return [(a.vm, a.server) for a in actions if isinstance(a, StartVm)]


def test_what_its_own_restart_stopped_is_started_where_it_is() -> None:
    assert found() == [("mail", "alba1"), ("wiki", "alba1")]


def test_who_leads_since_knows_it_of_the_one_before() -> None:
    """It took over between the server's restart and its return, and has only the last look."""
    assert found(led_by_another=True) == [("mail", "alba1"), ("wiki", "alba1")]


def test_what_a_restart_stopped_that_nobody_saw_is_started() -> None:
    """All watchers were away: the last look saw it run, and its host knows of no wish."""
    started = [("mail", "alba1"), ("wiki", "alba1")]
    assert found(looks=(world(), DOWN)) == started
    assert found(looks=(world(), DOWN), led_by_another=True) == started
    assert found(looks=(STOPPED, DOWN)) == [], "it did not run before"
    assert found(looks=(world(),)) == [], "one look is no proof"


def test_what_went_dark_with_its_whole_site_is_started_however_long_that_was() -> None:
    """No majority called its server lost, and the look that saw it run is forgotten by now."""
    dark = world("unknown", alba1=WELL.model_copy(update={"node": "unknown"}), quorate=False)
    looks = (world(), dark, dark, *[dark] * 90, DOWN)
    assert found(looks=looks, kept=60) == [("mail", "alba1"), ("wiki", "alba1")]
    assert found(looks=(*looks[:-1], STOPPED), now=STOPPED, kept=60) == []


def test_what_was_seen_running_since_did_not_fall() -> None:
    """Somebody stopped it after it had come back."""
    assert found(looks=(*PAST, world(), STOPPED), now=STOPPED) == []


def off(name: str) -> Inventory:
    made = fleet()
    vm = made.vms[name].model_copy(update={"running": False})
    return made.model_copy(update={"vms": made.vms | {name: vm}})


@pytest.mark.parametrize(
    ("why", "given"),
    [
        ("one look is no proof", lambda: {"looks": PAST[:2]}),
        (
            "somebody stopped it while its server ran on",
            lambda: {"looks": (world(), STOPPED), "now": STOPPED},
        ),
        (
            "it was stopped before its server was lost, however long that was away",
            lambda: {"looks": (STOPPED, *[world("unknown", alba1=AWAY)] * 3, DOWN)},
        ),
        ("a silent host may run it", lambda: {"now": world("unknown")}),
        ("no quorum", lambda: {"now": world("stopped", quorate=False)}),
        ("HA does it", lambda: {"made": fleet(has_ha=True)}),
        (
            "a person set the server aside",
            lambda: {
                "now": world("stopped", alba1=WELL.model_copy(update={"status": Status.HELD}))
            },
        ),
        (
            "it is being emptied",
            lambda: {
                "now": world("stopped", alba1=WELL.model_copy(update={"life": Life.DRAINING}))
            },
        ),
    ],
)
def test_nothing_is_started(why: str, given: Callable[[], dict[str, Any]]) -> None:
    assert found(**given()) == [], why


def test_what_is_to_be_off_stays_off() -> None:
    assert found(made=off("mail")) == [("wiki", "alba1")]


@pytest.mark.parametrize("has_ha", [True, False])
def test_who_dies_while_it_is_emptied_is_recovered(has_ha: bool) -> None:
    draining = WELL.model_copy(update={"life": Life.DRAINING})
    dead = draining.model_copy(update={"node": "offline", "power": "off"})
    told = plan_heal(
        fleet(has_ha=has_ha),
        world("unknown", alba1=dead),
        [Look(ago=10.0, world=world(alba1=draining))],
        lambda _server: (),
        places=lambda _server, vms: Restarts(waits=tuple(vms)),
    )
    recovered = [a.vms for a in told.actions if isinstance(a, RecoverServer)]
    assert recovered == [{"mail": 101, "wiki": 102}]
    assert "server alba1" not in told.holds


def test_an_emptying_that_can_not_end_makes_way_for_the_recovery(tmp_path: Path) -> None:
    """It claims the server: with it open nothing could ever be recovered."""
    storm = Storm(tmp_path, 1, days=1, every=0)
    journal, workspace = storm.store.journal, storm._person
    why: dict[str, Any] = {"what": "a test", "why": "it tests", "risk": Risk.DISRUPTS}
    drains = {s: DrainServer(server=s, cluster="alba", moves=(), **why) for s in ("alba1", "alba2")}
    ids = {
        s: journal.open(a.kind, a.id, [f"server {s}"], {"action": a.model_dump(mode="json")}).id
        for s, a in drains.items()
    }
    term = storm.store.leading.seek(POST, "lisbon", 60)
    assert term is not None
    healing = Healing(workspace, silent, IncidentBook(workspace), pool=AtOnce())
    healing.go_on(term, [RecoverServer(server="alba1", cluster="alba", vms={}, **why)])
    assert str(journal.show(ids["alba1"]).status) == "cancelled"
    assert str(journal.show(ids["alba2"]).status) == "failed", "alba2 has VMs: it was gone on with"
    storm.close()


def test_a_drain_that_fails_because_its_server_died_calls_nobody(tmp_path: Path) -> None:
    storm = Storm(tmp_path, 1, days=1, every=0)
    workspace, store = storm._person, storm.store
    why: dict[str, Any] = {"what": "a test", "why": "it tests", "risk": Risk.DISRUPTS}
    action = DrainServer(server="alba1", cluster="alba", moves=(), **why)
    params = {"action": action.model_dump(mode="json")}
    store.journal.open(action.kind, action.id, ["server alba1"], params)
    term = store.leading.seek(POST, "lisbon", 60)
    assert term is not None
    incident, _ = store.incidents.open("server alba1", "degrading")
    storm.rack.cut("alba1", "it dies")
    healing = Healing(workspace, silent, IncidentBook(workspace), pool=AtOnce())
    healing.go_on(term)
    assert healing.collect({"alba1"}) == {}
    said = [note.text for note in store.incidents.show(incident.id).notes]
    assert any(text.startswith("alba1 died while it was emptied: ") for text in said), said
    assert not any(text.startswith("FAILED") for text in said), said
    storm.close()
