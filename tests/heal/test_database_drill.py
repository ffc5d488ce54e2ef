"""PostgreSQL is lost, restarted or full in the middle of a recovery: it holds, then goes on.

The recovery is one that metal itself carries out, VM by VM, on the Proxmox double; the database is
a real one. Whatever happens to it, each VM is started once.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from heal_bench import Bench, Killed, die, faltering, nodes, run, seen_place

from metal.model.errors import MetalError
from metal.model.life import Status
from metal.operations.events import write_event
from metal.operations.store import Store, open_store

LEASE = 1.0
CRASH, STOP = signal.SIGQUIT, signal.SIGINT
"""PostgreSQL's immediate shutdown, which is a crash to it, and its fast one."""


@pytest.fixture
def drill(lab: Any, tmp_path: Path, postgresql: Any) -> Iterator[Bench]:
    with open_store(postgresql.database(), tmp_path / "state", lease_seconds=LEASE) as store:
        bench = Bench(lab, store)
        bench.vms(ha=False)
        yield bench


def meanwhile(bench: Bench, at: int, act: Callable[[], None]) -> Any:
    """A driver that does `act` after its nth change: blocklist, move, blocklist, move."""
    driver, falters = faltering(bench, at, "after", Killed())
    falters.act = act
    return driver


def goes_on(bench: Bench) -> None:
    """Performed again as a watcher does, it ends, and nothing of it was done twice."""
    pause, deadline = threading.Event(), time.monotonic() + 60
    while not any(o.status is Status.DONE for o in bench.store.journal.list()):
        # Who could not say that it left has the lease until that runs out.
        said = tried(bench, place=seen_place(bench))
        assert "is being run by" in said or not said
        assert time.monotonic() < deadline, said
        pause.wait(0.05)
    assert nodes(bench) == {"git": ["alba2"], "wiki": ["alba3"]}
    assert {(v["max_copies"], v["starts"]) for v in bench.truth().values()} == {(1, 2)}
    assert len(bench.store.journal.list()) == 1


def tried(bench: Bench, **other: Any) -> str:
    """What became of it; the process lives on, as a watcher's does."""
    try:
        return run(bench, **other).error
    except MetalError as error:
        return str(error)


@pytest.mark.parametrize("how", [CRASH, STOP])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_one_that_restarts_changes_nothing(
    drill: Bench, postgresql: Any, at: int, how: signal.Signals
) -> None:
    die(drill)

    def restart() -> None:
        postgresql.stop(how)
        postgresql.start()

    tried(drill, hypervisor=meanwhile(drill, at, restart))
    goes_on(drill)


@pytest.mark.parametrize("at", [1, 2])
def test_while_it_is_away_nothing_is_started(drill: Bench, postgresql: Any, at: int) -> None:
    """git's clients are shut out, or its file is moved, when the database goes."""
    die(drill)
    try:
        assert tried(drill, hypervisor=meanwhile(drill, at, lambda: postgresql.stop(CRASH)))
        assert nodes(drill) == {"git": [], "wiki": []}
        assert drill.truth()["git"]["node"] == ("alba1" if at == 1 else "alba2")
        tried(drill, place=seen_place(drill))
        assert nodes(drill) == {"git": [], "wiki": []}
    finally:
        postgresql.start()
    goes_on(drill)


def test_one_that_is_away_before_the_fence_keeps_it_from_being_switched_off(
    drill: Bench, postgresql: Any
) -> None:
    drill.lose()
    operation = "recover"
    postgresql.stop(CRASH)
    try:
        assert tried(drill)
        assert drill.bmc.switched == 0
        assert drill.lab.datacenter.truth()["nodes"]["alba1"]["power"] == "on"
    finally:
        postgresql.start()
    goes_on(drill)
    assert [o.kind for o in drill.store.journal.list()] == [operation]
    assert drill.bmc.switched == 1


# ── a full disk ─────────────────────────────────────────────────────────────────────────────────


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[bool], None]]:
    """A file system of 96 MiB; what it yields fills it to the last page, or makes room."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m,mode=1777", "none", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")

    def fill(full: bool) -> None:
        filler = folder / "filler"
        if not full:
            return filler.unlink()
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(b"x" * 4096)

    try:
        yield fill
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def filling(
    lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Bench, Callable[[bool], None], Any]]:
    from importlib.util import module_from_spec, spec_from_file_location

    file = Path(__file__).parents[1] / "operations" / "postgresql.py"
    spec = spec_from_file_location("postgresql_drill", file)
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    short = Path(tempfile.mkdtemp(prefix="metal-full-"))
    short.chmod(0o755)  # PostgreSQL refuses to be root's
    with small_disk(short / "disk") as fill:
        monkeypatch.setattr(tempfile, "tempdir", str(short / "disk"))
        made = module.throw_away()
        server = next(made)
        monkeypatch.setattr(tempfile, "tempdir", None)
        try:
            with open_store(server.database(), tmp_path / "state", lease_seconds=LEASE) as store:
                bench = Bench(lab, store)
                bench.vms(ha=False)
                yield bench, fill, server
        finally:
            made.close()
    shutil.rmtree(short)


def use_up(store: Store) -> None:
    """Until no event fits any more: what is left of the pages it has is written full."""
    (operation,) = store.journal.list()
    with pytest.raises(MetalError, match="No space left"):
        for _ in range(10_000):
            with store.database.write() as conn:
                write_event(conn, operation.id, 0.0, "x" * 200)
    with pytest.raises(MetalError, match="No space left"):
        for _ in range(10_000):
            with store.database.write() as conn:
                write_event(conn, operation.id, 0.0, "")


def test_one_whose_disk_is_full_holds_the_recovery(
    filling: tuple[Bench, Callable[[bool], None], Any],
) -> None:
    bench, fill, _server = filling
    die(bench)

    def full() -> None:
        fill(True)
        use_up(bench.store)

    said = tried(bench, hypervisor=meanwhile(bench, 1, full))
    assert said, "it went on without a word"
    assert nodes(bench) == {"git": [], "wiki": []}
    fill(False)
    goes_on(bench)
