"""What a watcher stands on breaks: its disk is full, its database is stopped, it is killed.

A real `metal watch --act` against the lab's doubles. Meanwhile a server hangs: nothing is done
about it that could not be written down, somebody is called, and the fence comes once there is
something to write to again.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit

from metal.controller.post import POST
from metal.controller.workspace import Workspace
from metal.lab import control

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.kill
PATIENCE = 240.0
NOTHING_HEALS, GOES_ON = "nothing heals", "it goes on"


def until(holds: Callable[[], Any], what: str) -> Any:
    """What `holds` says once it is true."""
    pause, deadline = threading.Event(), time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline, f"waited {PATIENCE:g} s for {what}"
        pause.wait(0.05)
    return found


@contextmanager
def watching(lab: Lab) -> Iterator[subprocess.Popen[str]]:
    process = lab.begin("watch", "--act", "--every", "1")
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def settings(lab: Lab, **fleet: Any) -> Path:
    """Where every alarm is written to: outside of the state."""
    told = lab.folder / "told"
    script = lab.folder / "page.sh"
    script.write_text(f'#!/bin/sh\necho "$1" >> {told}\n')
    script.chmod(0o755)
    told.touch()
    file = lab.folder / "inventory.toml"
    document: Any = tomlkit.parse(file.read_text())
    document["fleet"].update(fleet)
    document["watch"] = {"lease_seconds": 5}
    document["alarms"] = {"page": {"kind": "script", "to": "page.sh"}}
    file.write_text(tomlkit.dumps(document))
    return told


def running(lab: Lab) -> None:
    for words in (["enroll", "--all"], ["apply", "--yes"]):
        done = lab.metal(*words)
        assert done.returncode == 0, done.stderr


def leads(lab: Lab) -> bool:
    with Workspace(lab.folder).store as store:
        return store.leading.who(POST) is not None and bool(store.sightings.all())


def offs(lab: Lab) -> int:
    return int(lab.truth["servers"]["alba2"]["power_offs"])


def recovered(lab: Lab) -> bool:
    truth = lab.truth
    return offs(lab) > 0 and all(len(vm["copies"]) == 1 for vm in truth["vms"])


def once(lab: Lab, before: int) -> None:
    """One fence, and no VM ever ran twice."""
    until(lambda: offs(lab) > before and recovered(lab), "the recovery")
    assert offs(lab) == before + 1
    assert all(vm["max_copies"] == 1 for vm in lab.truth["vms"])


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[bool], None]]:
    """`folder` on a file system of its own of 8 MiB; what it yields fills it, or makes room."""
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("installer", "live"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "none", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")

    def fill(full: bool) -> None:
        filler = folder / "filler"
        if not full:
            return filler.unlink()
        with closing(sqlite3.connect(folder / "metal.db", timeout=30)) as database:
            # Else its log's old pages are room enough to write on for long.
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(b"x" * 4096)

    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        yield fill
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_on_a_full_disk_nothing_is_acted_on_and_somebody_is_called(pallet: Lab) -> None:
    told = settings(pallet)
    running(pallet)
    before = offs(pallet)
    with small_disk(pallet.folder / "state") as fill, watching(pallet):
        until(lambda: leads(pallet), "a leader")
        fill(True)
        control.break_(pallet.folder, "alba2", "crash")
        until(lambda: NOTHING_HEALS in told.read_text(), "an alarm")
        assert "dead" not in told.read_text() and offs(pallet) == before
        fill(False)
        until(lambda: GOES_ON in told.read_text(), "room")
        once(pallet, before)


def test_without_its_database_nothing_is_acted_on(pallet: Lab, postgresql: Any) -> None:
    told = settings(pallet, state=postgresql.database())
    running(pallet)
    before = offs(pallet)
    with watching(pallet):
        until(lambda: leads(pallet), "a leader")
        postgresql.stop()
        try:
            control.break_(pallet.folder, "alba2", "crash")
            until(lambda: NOTHING_HEALS in told.read_text(), "an alarm")
            assert offs(pallet) == before
        finally:
            postgresql.start()
        until(lambda: leads(pallet), "one that leads again")
        once(pallet, before)


def test_killed_in_mid_recovery_the_next_run_goes_on(pallet: Lab) -> None:
    settings(pallet, poll_seconds=1.5)
    running(pallet)
    before = offs(pallet)
    with watching(pallet):
        until(lambda: leads(pallet), "a leader")
        control.break_(pallet.folder, "alba2", "crash")
        until(lambda: offs(pallet) > before, "the fence")
    with Workspace(pallet.folder).store as store:
        (left,) = [o for o in store.journal.list() if o.kind == "recover"]
        assert left.open and not left.alive
    with watching(pallet):
        once(pallet, before)
        until(lambda: not _open(pallet), "its end")
    with Workspace(pallet.folder).store as store:
        (ended,) = [o for o in store.journal.list() if o.kind == "recover"]
        assert (ended.id, str(ended.status)) == (left.id, "done")


def _open(lab: Lab) -> bool:
    with Workspace(lab.folder).store as store:
        return bool(store.journal.list(open_only=True))


def test_what_ha_does_not_manage_is_taken_over_though_the_watcher_is_killed(pallet: Lab) -> None:
    """Its file in pmxcfs is moved over SSH, and it is started where it was moved to, once."""
    settings(pallet)
    running(pallet)
    before = offs(pallet)
    workspace = Workspace(pallet.folder)
    vms = [vm for vm in pallet.truth["vms"] if vm["node"] == "alba2"]
    for vm in vms:
        workspace.proxmox("alba").ensure_released(vm["vmid"])
    assert pallet.metal("status").returncode in (0, 10), "what it is called is seen once"
    with watching(pallet):
        until(lambda: leads(pallet), "a leader")
        control.break_(pallet.folder, "alba2", "dead")
        until(lambda: "restart " in _said(pallet), "the first restart")
    with watching(pallet):
        until(lambda: _recovered(pallet, vms), "the recovery")
        until(lambda: not _open(pallet), "its end")
    assert offs(pallet) - before <= 1
    assert all(vm["max_copies"] == 1 for vm in pallet.truth["vms"])
    assert not any("old lock" in event["what"] for event in pallet.truth["events"])


def _said(lab: Lab) -> str:
    with Workspace(lab.folder).store as store:
        return "\n".join(event.text for event in store.events.since(0, 10_000))


def _recovered(lab: Lab, vms: list[dict[str, Any]]) -> bool:
    now = {vm["vmid"]: vm for vm in lab.truth["vms"]}
    return all(len(now[vm["vmid"]]["copies"]) == 1 for vm in vms) and all(
        now[vm["vmid"]]["node"] != "alba2" for vm in vms
    )


def test_a_database_that_crashes_in_mid_recovery_costs_nothing(
    pallet: Lab, postgresql: Any
) -> None:
    """The fence is made, its VMs are not seen to run yet: the same watcher ends what it began."""
    settings(pallet, state=postgresql.database(), poll_seconds=1.5)
    running(pallet)
    before = offs(pallet)
    with watching(pallet):
        until(lambda: leads(pallet), "a leader")
        control.break_(pallet.folder, "alba2", "crash")
        until(lambda: offs(pallet) > before, "the fence")
        postgresql.stop(signal.SIGQUIT)
        postgresql.start()
        once(pallet, before)
        until(lambda: not _open(pallet), "its end")
    with Workspace(pallet.folder).store as store:
        assert [str(o.status) for o in store.journal.list() if o.kind == "recover"] == ["done"]
