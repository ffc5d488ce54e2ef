"""The trio's drills: a real watcher heals what real faults do to real guests.

Times are told by `pytest -rP`, and not judged here: a busy machine is no broken promise.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from metal.lab.namespaces.counting import counts, gaps
from metal.lab.namespaces.drill import Drill
from metal.operations.words import Words

from .drilling import begin, busiest, end, written_once

pytestmark = pytest.mark.lab


@pytest.fixture
def drill(trio: Any) -> Iterator[Drill]:
    """Four guests run on three servers that are well."""
    made = Drill(trio.folder.parent)
    try:
        begin(made)
        yield made
        end(made)
    finally:
        made.close()


def test_what_ran_on_a_server_that_dies_runs_elsewhere(drill: Drill) -> None:
    with drill.watching():
        found = drill.fail(busiest(drill), "dead")
    written_once(found)
    assert drill.trio.servers[found.server].pid is None


def test_a_server_that_is_cut_off_is_switched_off_before_anything_restarts(drill: Drill) -> None:
    with drill.watching():
        found = drill.fail(busiest(drill), "partition")
    written_once(found)
    assert drill.trio.servers[found.server].pid is None, "it ran on until its BMC cut its power"


def test_a_server_that_gets_too_hot_is_emptied_while_its_guests_run_on(drill: Drill) -> None:
    with drill.watching():
        found = drill.fail(busiest(drill), "hot")
    print(found.model_dump_json(indent=1))
    assert found.vms
    for name, vm in found.vms.items():
        consoles = [drill.trio.servers[s].console(name) for s in (found.server, vm.to)]
        assert gaps([c for c in counts(*consoles) if c.number > vm.first - 50]) == []
        before = counts(consoles[0])[-1]
        assert vm.up >= before.up, "it moved, and was not restarted"
    assert drill.vms_of(found.server) == []


def test_if_bmc_and_server_lose_their_power_together_a_person_decides(drill: Drill) -> None:
    server = busiest(drill)
    marks = drill.marks(drill.vms_of(server), server)
    with drill.watching():
        drill.trio.break_(server, "dark")

        def told() -> bool:
            incident = drill.incident(server)
            return incident is not None and (incident.ended, incident.state) == (
                None,
                "unreachable",
            )

        drill.until(told, 120, "nobody is told")
        looks = {drill.workspace.store.looks.last()}

        def looked_on() -> bool:
            looks.add(drill.workspace.store.looks.last())
            return len(looks) > 3

        drill.until(looked_on, 120, "the watcher does not look on")
        ran = [vm for s in drill.trio.truth()["servers"].values() for vm in s["vms"]]
        assert not marks.keys() & set(ran), "silence proves nothing"
        at = time.time()
        Words(drill.workspace.store.database).say_off(server, "ana", "pulled both cords")
        found = drill.see(server, "dark", at, marks)
    written_once(found)
