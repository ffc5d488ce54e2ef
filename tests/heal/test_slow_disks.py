"""Disks that Ceph calls slow: the server they are in is emptied, and nobody else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from heal_fleet import inventory
from heal_watched import MINUTE, SICK, TICK, Quiet, Watched

from metal.controller.progress import silent
from metal.controller.releasing import release
from metal.heal.diagnosis import diagnose
from metal.heal.past import Look, Sense
from metal.heal.signs import SLOW_DISK
from metal.heal.slow import SLOW
from metal.lab.bench.bmcs import hardware
from metal.lab.machine import Machine
from metal.lab.storms.rack import Trio
from metal.model.life import Life
from metal.model.watch import Hook
from metal.model.world import SeenCluster, SeenServer, World

ALBA = ("alba1", "alba2", "alba3")


def world(slow: dict[str, tuple[str, ...]] | None) -> World:
    """None: Ceph did not tell."""
    cluster = SeenCluster(formed=True, quorate=True, nodes=ALBA)
    well = SeenServer.model_validate(
        {"life": "member", "node": "online", "power": "on", "health": "ok"}
    )
    told = cluster.model_copy(update={"ceph_slow": slow}) if slow else cluster
    return World(servers=dict.fromkeys(ALBA, well), clusters={"alba": told})


def judged(looks: list[World], sense: Sense | None = None) -> dict[str, str]:
    *earlier, now = looks
    past = [Look(ago=TICK * (len(earlier) - i), world=w) for i, w in enumerate(earlier)]
    return {name: d.state for name, d in diagnose(inventory(), now, past, sense).items()}


LONG = int(SLOW / TICK) + 1
ONE = {"alba2": ("osd.3",)}


def test_slow_for_long_is_degrading_and_nobody_else_is() -> None:
    found = judged([world(ONE)] * LONG)
    assert found == {"alba1": "healthy", "alba2": "degrading", "alba3": "healthy"}


@pytest.mark.parametrize(
    "looks",
    [
        [world(ONE)] * (LONG - 1),
        [*[world(ONE)] * (LONG - 1), world(None)],
        [world(ONE), world(None), *[world(ONE)] * (LONG - 2)],
        [*[world({"alba1": ("osd.0",)})] * (LONG - 1), world(ONE)],
    ],
    ids=["not yet", "over", "untold between", "another one's"],
)
def test_what_is_no_reason(looks: list[World]) -> None:
    assert set(judged(looks).values()) == {"healthy"}


def test_a_server_that_was_accepted_so_is_left_alone() -> None:
    known = Sense(known={"alba2": (SLOW_DISK,)})
    assert judged([world(ONE)] * LONG, known)["alba2"] == "healthy"


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path, Quiet(), Machine(SICK, hardware(1)))
    yield made
    made.watcher.close()
    made.store.close()


def test_its_vms_are_moved_off_live(watched: Watched) -> None:
    watched.rounds(2)
    assert watched.there()
    trio = watched.rack.clusters["alba"]
    assert isinstance(trio, Trio)
    trio.slow = {SICK: ("osd.0",)}
    assert watched.rounds(MINUTE).diagnoses[SICK].state == "healthy"
    assert watched.moved() == []
    report = watched.rounds(LONG)
    assert report.diagnoses[SICK].signs == (SLOW_DISK,)
    assert "Ceph calls osd.0 slow" in " ".join(report.diagnoses[SICK].evidence)
    watched.rounds(MINUTE)
    assert watched.there() == set()
    assert watched.moved()
    release(watched.workspace, SICK, progress=silent)
    watched.rounds(2 * LONG)
    assert watched.store.servers.get(SICK).life is Life.MEMBER, "it was taken as it is"


def test_whoever_is_called_is_told_to_take_the_disk_out(watched: Watched) -> None:
    """The server is emptied of VMs, and its slow disk serves on until a person takes it out."""
    page = {"page": Hook(kind="mail", to="ops@example.org")}
    watched.workspace.inventory = watched.inventory.model_copy(update={"alarms": page})
    watched.rounds(2)
    trio = watched.rack.clusters["alba"]
    assert isinstance(trio, Trio)
    trio.slow = {SICK: ("osd.0",)}
    watched.rounds(LONG + 1)
    (incident,) = watched.store.incidents.list(open_only=True)
    notes = watched.store.incidents.show(incident.id).notes
    (told,) = [note.text for note in notes if "ceph osd out 0" in note.text]
    assert "`ceph osd safe-to-destroy osd.0`" in told
    sent = [alarm.body for alarm in watched.store.alarms.due()]
    assert len(sent) == 1
    assert told in sent[0]
