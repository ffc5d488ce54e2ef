"""Many BMCs at once, in real processes: interrupted, killed, run twice, abandoned by a BMC."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metal.controller.enrolling import enroll
from metal.controller.progress import silent
from metal.controller.targets import targets_of
from metal.enroll.door import Credential
from metal.inventory import load
from metal.lab.bench.bmcs import PORT, address

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
INTERRUPTED = 130
At = Callable[[Any], str]


def until(ready: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Poll: the process has come so far, and has not ended."""
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while not ready():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        pause.wait(0.01)


def check_whole(fleet: Any) -> None:
    """Every BMC is one server, enrolled, and opens with what the administrators have."""
    inventory = load(fleet.folder)
    at = {(s.bmc.address, s.bmc.port): name for name, s in inventory.servers.items()}
    assert len(at) == len(inventory.servers) == len(fleet.bmcs)
    workspace = fleet.workspace
    with workspace.store as store:
        lives = {str(r.life) for r in store.servers.all().values()}
        assert lives == {"enrolled"} and store.journal.list(open_only=True) == []
    for bmc in fleet.bmcs:
        assert bmc.works("metal", fleet.password(at[(bmc.host, bmc.port)]))
        assert not bmc.works("ADMIN", "factory-Pa55word")


@pytest.mark.kill
@pytest.mark.parametrize("with_", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_interrupted_in_the_middle_the_next_run_continues(
    fleet: Any, at: At, with_: signal.Signals
) -> None:
    bmcs = [fleet.redfish(number) for number in range(11, 17)]
    for index, bmc in enumerate(bmcs):
        bmc.faults.add("slow")
        bmc.slowness = 0.01 * index
    words = [at(bmc) for bmc in bmcs]
    process = fleet.process("enroll", *words)
    until(lambda: any(bmc.works("metal", _held(fleet, bmc)) for bmc in bmcs), process)
    process.send_signal(with_)
    _, err = process.communicate(timeout=PATIENCE)
    if with_ is signal.SIGINT:
        assert process.returncode == INTERRUPTED and "the same command does the others" in err
    load(fleet.folder)
    assert not list(fleet.folder.glob(".inventory*")) or with_ is signal.SIGKILL
    again = fleet.metal("enroll", *words)
    assert again.returncode == 0, again.stderr
    check_whole(fleet)


def _held(fleet: Any, bmc: Any) -> str:
    """The escrowed password of a BMC, "" as long as there is none."""
    for name, server in load(fleet.folder).servers.items():
        if (server.bmc.address, server.bmc.port) == (bmc.host, bmc.port):
            return fleet.workspace.secrets.reveal(f"bmc/{name}") or ""
    return ""


@pytest.mark.kill
def test_two_sweeps_at_once_take_each_bmc_over_once(fleet: Any, at: At) -> None:
    bmcs = [fleet.redfish(number) for number in range(11, 15)]
    processes = [fleet.process("enroll", *map(at, bmcs)) for _ in range(2)]
    ended = [(process, *process.communicate(timeout=PATIENCE)) for process in processes]
    for process, _, err in ended:
        assert process.returncode in (0, 3), err
        assert "defect" not in err, err
    again = fleet.metal("enroll", *map(at, bmcs))
    assert again.returncode == 0, again.stderr
    check_whole(fleet)


def test_a_bmc_that_vanishes_in_the_middle_costs_the_others_nothing(fleet: Any, at: At) -> None:
    bmcs = [fleet.redfish(number) for number in (11, 12, 13)]
    gone = bmcs[1]
    original, asked = gone._handle, [0]

    async def vanishing(request: Any) -> Any:
        asked[0] += 1
        if asked[0] == 12:
            gone.faults.add("silent")
        return await original(request)

    gone.stop()
    gone._handle = vanishing
    gone.start()
    workspace = fleet.workspace
    targets = targets_of(workspace, [at(bmc) for bmc in bmcs])
    done: list[Any] = []

    def sweep() -> None:
        credential = Credential("ADMIN", "factory-Pa55word")
        done.extend(enroll(workspace, targets, (credential,), progress=silent))

    thread = threading.Thread(target=sweep, daemon=True)
    thread.start()
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while len(load(fleet.folder).servers) < 2 and time.monotonic() < deadline:
        pause.wait(0.02)
    assert "silent" in gone.faults
    gone.stop()  # what was waited for is over now: the connection breaks
    thread.join(PATIENCE)
    assert [r.ok for r in done] == [True, False, True]
    assert done[1].exit_code == 4, done[1].error
    workspace.store.close()


@pytest.fixture
def quick_bmcs(tmp_path: Path) -> Iterator[Callable[[int], subprocess.Popen[str]]]:
    """So many of the benchmark's BMCs in a process of their own; SIGTERM makes it tell."""
    running: list[subprocess.Popen[str]] = []

    def start(count: int) -> subprocess.Popen[str]:
        seconds = ",".join(["0.005"] * count)
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "metal.lab.bench.bmcs", str(tmp_path), seconds],
                cwd=REPOSITORY,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert running[-1].stdout and running[-1].stdout.readline().strip() == "ready"
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_few_connections_and_one_session_a_bmc(
    fleet: Any, quick_bmcs: Callable[[int], subprocess.Popen[str]]
) -> None:
    bmcs, most = quick_bmcs(30), 8
    words = [f"{address(number)}:{PORT}" for number in range(30)]
    options = ("--dry-run", "--site", "porto", "--connections", str(most), "-o", "json")
    said = fleet.metal("enroll", *options, *words)
    assert said.returncode == 0, said.stderr
    assert [d["serial"] for d in json.loads(said.stdout)] == [f"BENCH{n:04d}" for n in range(30)]
    bmcs.send_signal(signal.SIGTERM)
    assert bmcs.stdout
    counts = json.loads(bmcs.stdout.readline())
    assert counts["most_sessions"] == 1 and 1 < counts["most_open"] <= most
