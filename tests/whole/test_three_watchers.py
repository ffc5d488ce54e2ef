"""Three `metal watch --act` at three places on one PostgreSQL; two leaders fall in mid-fence.

Real processes against the lab's doubles. Whatever becomes of a leader: one fence, one recovery,
no VM twice, and what it left half done is gone on with by the next one.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit

from metal.controller.post import POST
from metal.controller.workspace import Workspace
from metal.lab import control
from metal.operations.store import Store

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.kill
PLACES = ("lisbon", "utrecht", "porto")
PATIENCE = 240.0
POLL, LEASE = 1.5, 5
"""Seconds between two readings of a fenced server's power, and of a leader's lease."""


def until(holds: Callable[[], Any], what: str) -> Any:
    """What `holds` says once it is true."""
    pause, deadline = threading.Event(), time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline, f"waited {PATIENCE:g} s for {what}"
        pause.wait(0.02)
    return found


@dataclass
class Watchers:
    """A process a place, each in a workspace of its own; they share the database alone."""

    lab: Lab
    store: Store
    folders: dict[str, Path]
    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def start(self, place: str) -> None:
        other = type(self.lab)(self.folders[place])
        self.processes[place] = other.begin("watch", "--act", "--every", "1", "--place", place)

    def fencing(self, server: str) -> str:
        """Where the watcher is that has told it to be off, and concluded nothing from it yet."""
        found = self.recovery(server)
        if found is None or not found.alive:
            return ""
        steps = self.store.journal.show(found.id).steps
        events = self.store.events.since(0, operation=found.id)
        if [s.done for s in steps] != [False] or f"switch {server} off" not in [
            e.text for e in events
        ]:
            return ""
        running = {f"pid {p.pid} ": place for place, p in self.processes.items()}
        return next((at for pid, at in running.items() if found.owner.startswith(pid)), "")

    def recovery(self, server: str) -> Any:
        found = [o for o in self.store.journal.list() if o.subject == f"recover:{server}"]
        assert len(found) <= 1, "one recovery"
        return found[0] if found else None

    def well(self) -> bool:
        """Every VM runs, once."""
        return all(len(vm["copies"]) == 1 for vm in self.lab.truth["vms"])


@contextmanager
def watching(lab: Lab, url: str, folder: Path) -> Iterator[Watchers]:
    with ExitStack() as stack:
        store = stack.enter_context(Workspace(lab.folder).store)
        folders = {}
        for place in PLACES:
            folders[place] = folder / place
            shutil.copytree(lab.folder, folders[place], ignore=shutil.ignore_patterns("metal.db*"))
            settings(folders[place], poll_seconds=POLL)
        made = Watchers(lab, store, folders)
        try:
            for place in PLACES:
                made.start(place)
            yield made
        finally:
            for process in made.processes.values():
                process.kill()
                process.communicate()


def settings(folder: Path, **fleet: Any) -> None:
    file = folder / "inventory.toml"
    document: Any = tomlkit.parse(file.read_text())
    document["fleet"].update(fleet)
    document["watch"] = {"lease_seconds": LEASE, "actions_an_hour": 4, "places": len(PLACES)}
    file.write_text(tomlkit.dumps(document))


@pytest.fixture
def watchers(pallet: Lab, postgresql: Any, tmp_path: Path) -> Iterator[Watchers]:
    url = postgresql.database()
    settings(pallet.folder, state=url)
    for words in (["enroll", "--all"], ["apply", "--yes"]):
        done = pallet.metal(*words)
        assert done.returncode == 0, done.stderr
    with watching(pallet, url, tmp_path) as made:
        until(lambda: made.store.leading.who(POST), "a leader")
        until(lambda: len(made.store.sightings.all()) == len(PLACES), "all places to look")
        yield made


def test_leaders_fall_in_mid_fence(watchers: Watchers) -> None:
    """The first stalls, the second is killed: the third ends what the first began."""
    lab, store = watchers.lab, watchers.store
    before = lab.truth["servers"]["alba2"]["power_offs"]
    control.break_(lab.folder, "alba2", "crash")
    first = until(lambda: watchers.fencing("alba2"), "the fence")
    term = store.leading.who(POST).term  # type: ignore[union-attr]
    watchers.processes[first].send_signal(signal.SIGSTOP)
    assert watchers.fencing("alba2") == first, "it stalled before it could conclude anything"

    def other() -> str:
        return at if (at := watchers.fencing("alba2")) != first else ""

    second = until(other, "another to go on")
    watchers.processes[second].kill()
    assert not store.journal.show(watchers.recovery("alba2").id).steps[0].done

    until(lambda: not watchers.recovery("alba2").open, "the recovery")
    until(watchers.well, "every VM to run")
    recovery = store.journal.show(watchers.recovery("alba2").id)
    assert str(recovery.status) == "done", recovery
    assert recovery.fence >= 3, "it changed hands twice"
    assert store.leading.who(POST).term >= term + 2  # type: ignore[union-attr]

    watchers.processes[first].send_signal(signal.SIGCONT)
    until(lambda: store.sightings.all()[first].age < LEASE, "the first to look around again")
    assert store.journal.show(recovery.id) == recovery, "it has nothing to say any more"
    truth = lab.truth
    assert truth["servers"]["alba2"]["power_offs"] == before + 1, "one fence"
    assert truth["servers"]["alba2"]["power"] == "off"
    assert all(vm["max_copies"] == 1 for vm in truth["vms"]), "no VM ever ran twice"
    assert [i.subject for i in store.incidents.list()].count("server alba2") == 1
