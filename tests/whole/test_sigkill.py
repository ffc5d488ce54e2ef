"""`metal apply` killed with SIGKILL at random moments of installing and forming clusters.

The same command again must always end in the same final state as a run that nobody killed, and
no disk may be wiped twice. The moments are drawn anew in every run: a failure prints its seed,
and METAL_SEED=… replays it.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Lab

SEED = int(os.environ.get("METAL_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
MOMENTS = 10
DEADLINE = 300.0


@pytest.fixture(scope="session")
def unharmed(
    tmp_path_factory: pytest.TempPathFactory, enrolled_fleet: Callable[[Path], Any]
) -> dict[str, Any]:
    """{"steps": how many a whole run takes, "state": what it ends with}, of one unkilled run."""
    shared = tmp_path_factory.getbasetemp().parent / "unharmed.json"
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # xdist's workers share one such run.
        if not shared.exists():
            with enrolled_fleet(tmp_path_factory.mktemp("unharmed")) as lab:
                done = lab.metal("apply", "--yes")
                assert done.returncode == 0, done.stderr
                found = {"steps": lab.steps_done(), "state": lab.final_state()}
            shared.write_text(json.dumps(found))
        result: dict[str, Any] = json.loads(shared.read_text())
        return result


def test_an_unharmed_run_ends_as_wanted(unharmed: dict[str, Any]) -> None:
    state = unharmed["state"]
    assert set(state["lives"].values()) == {"member"}
    assert state["open operations"] == []
    assert state["open plan"] is None
    assert len(state["vms"]) == 43
    for server in state["servers"].values():
        assert server["power"] == "on"
        assert sorted(server["wipes"].values(), reverse=True)[:2] in ([1, 0], [1])
        assert server["escrowed"] == [True]


@pytest.mark.kill
@pytest.mark.parametrize("number", range(MOMENTS))
def test_killed_anywhere_the_same_command_ends_the_same(
    fleet: Lab, unharmed: dict[str, Any], number: int
) -> None:
    chance = random.Random(SEED * MOMENTS + number)
    # One random moment in each tenth of the way.
    after = int((number + chance.random()) / MOMENTS * unharmed["steps"])
    _kill_after(fleet, after, chance.random() * 0.2)
    done = fleet.metal("apply", "--yes")
    told = f"METAL_SEED={SEED}, killed after {after} of {unharmed['steps']} steps"
    assert done.returncode == 0, f"{told}: {done.stderr}"
    assert json.loads(json.dumps(fleet.final_state())) == unharmed["state"], told


def _kill_after(lab: Lab, steps: int, delay: float) -> None:
    """SIGKILL once the journal holds `steps` finished steps, and a moment more."""
    process = lab.begin("apply", "--yes")
    pause, deadline = threading.Event(), time.monotonic() + DEADLINE
    while lab.steps_done() < steps and process.poll() is None:
        assert time.monotonic() < deadline, "it never came so far"
        pause.wait(0.02)
    pause.wait(delay)
    process.send_signal(signal.SIGKILL)
    said, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, f"it ended before the moment came: {said}"
