"""The trio's drills: a real watcher heals what real faults do to real guests.

Times are told by `pytest -rP`, and not judged here: a busy machine is no broken promise.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from metal.lab.namespaces.counting import counts, gaps
from metal.lab.namespaces.drill import Drill, Drilled
from metal.operations.words import Words

pytestmark = pytest.mark.lab


@pytest.fixture
def drill(trio: Any) -> Iterator[Drill]:
    """Four guests run on three servers that are well."""
    folder = trio.folder.parent
    made = Drill(folder)
    said = metal(made, "apply", "--yes")
    assert "4 done, 0 failed" in said, said
    ran = sorted(vm for s in trio.truth()["servers"].values() for vm in s["vms"])
    assert ran == ["git", "lists", "mail", "wiki"]
    yield made
    try:
        for server in trio.servers:
            trio.break_(server, "repair")
        for server in trio.servers:
            trio.wait(lambda s=server: healthy(made, s), 120, f"{server} does not get well")
            if made.workspace.store.servers.get(server).status != "done" or draining(made, server):
                metal(made, "release", server)
    finally:
        remove_guests(trio)
        made.close()


def remove_guests(trio: Any) -> None:
    driver = trio.driver()
    for name, vm in driver.look()[2].items():
        driver.ensure_off(vm.vmid)
        driver.ensure_removed(vm.vmid)
        for server in trio.servers.values():
            server.console(name).unlink(missing_ok=True)


def metal(drill: Drill, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "metal", "-C", str(drill.folder), *words],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def healthy(drill: Drill, server: str) -> bool:
    """Asked by a process of its own: its BMC may have forgotten the sessions of this one."""
    rows = json.loads(metal(drill, "status", "-o", "json"))["servers"]
    seen = next(row for row in rows if row["server"] == server)
    return (seen["power"], seen["health"], seen["node"]) == ("on", "ok", "online")


def draining(drill: Drill, server: str) -> bool:
    return drill.workspace.store.servers.get(server).life == "draining"


def busiest(drill: Drill) -> str:
    servers: dict[str, Any] = drill.trio.truth()["servers"]
    return max(servers, key=lambda name: len(servers[name]["vms"]))


def written_once(found: Drilled) -> None:
    """Each goes on where it was, at the next number: none lost, none written by two copies."""
    print(found.model_dump_json(indent=1))
    assert found.vms
    for vm in found.vms.values():
        assert vm.first in (vm.last + 1, vm.last + 2)


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
        told = [count for console in consoles for count in counts(console)]
        assert gaps([c for c in told if c.number > vm.first - 50]) == []
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
