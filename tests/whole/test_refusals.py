"""What `metal apply` must refuse, and that nothing is lost by it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Lab

REFUSED, UNREACHABLE, PENDING = 3, 4, 10
DEADLINE = 60.0


def test_a_stale_plan_is_refused(trio: Lab) -> None:
    plan = trio.folder / "plan.json"
    assert trio.metal("plan", "--out", str(plan)).returncode == PENDING
    inventory = trio.folder / "inventory.toml"
    inventory.write_text(inventory.read_text().replace("priority = 80", "priority = 81"))
    done = trio.metal("apply", str(plan), "--yes")
    assert done.returncode == REFUSED
    assert "stale" in done.stderr and f"`metal -C {trio.folder} plan`" in done.stderr
    assert all(s["power"] == "off" for s in trio.truth["servers"].values())


def test_what_failed_is_told_with_the_reason(trio: Lab) -> None:
    """Nine actions waited for the installs: the one line of the error tells what those died of."""
    inventory = trio.folder / "inventory.toml"
    inventory.write_text(inventory.read_text().replace(":7998/debian", ":7998/nothing"))
    done = trio.metal("apply", "--yes")
    assert done.returncode == 1
    assert "actions were not done; the first that failed, install:" in done.stderr
    assert "/nothing/dists/" in done.stderr and "404" in done.stderr


def test_of_two_applies_at_once_one_is_refused_and_the_other_ends_well(trio: Lab) -> None:
    plan = trio.folder / "plan.json"
    assert trio.metal("plan", "--out", str(plan)).returncode == PENDING
    first = trio.begin("apply", str(plan), "--yes")
    pause, deadline = threading.Event(), time.monotonic() + DEADLINE
    while trio.steps_done() < 3 and time.monotonic() < deadline:
        pause.wait(0.02)
    second = trio.metal("apply", str(plan), "--yes")
    out, _ = first.communicate()
    assert second.returncode == REFUSED, second.stderr
    assert "is being run by pid" in second.stderr
    assert first.returncode == 0, out
    wipes = [d["wipes"] for s in trio.truth["servers"].values() for d in s["disks"].values()]
    assert sum(wipes) == len(trio.truth["servers"])


def test_another_plan_is_refused_while_one_is_half_carried_out(trio: Lab) -> None:
    plan = trio.folder / "plan.json"
    trio.metal("plan", "--out", str(plan))
    process = trio.begin("apply", str(plan), "--yes")
    pause, deadline = threading.Event(), time.monotonic() + DEADLINE
    while trio.steps_done() < 3 and time.monotonic() < deadline:
        pause.wait(0.02)
    process.kill()
    process.communicate()
    other = json.loads(plan.read_text()) | {"fingerprint": "0" * 64}
    (trio.folder / "other.json").write_text(json.dumps(other))
    refused = trio.metal("apply", str(trio.folder / "other.json"), "--yes")
    assert refused.returncode == REFUSED
    assert "half carried out" in refused.stderr
    assert "another plan is half carried out" in trio.metal("plan").stderr
    done = trio.metal("apply", "--yes")
    assert done.returncode == 0, done.stderr
    assert trio.final_state()["open plan"] is None


def test_a_bmc_that_falls_silent_fails_its_server_alone(trio: Lab) -> None:
    from metal.lab import control

    control.break_(trio.folder, "alba2", "bmc-silent")
    done = trio.metal("apply", "--yes")
    assert done.returncode == 1
    assert "alba2" in done.stderr + done.stdout
    servers = trio.truth["servers"]
    assert servers["alba1"]["power"] == servers["alba3"]["power"] == "on"
    assert servers["alba2"]["power"] == "off"
    control.break_(trio.folder, "alba2", "repair")
    again = trio.metal("apply", "--yes")
    assert again.returncode == 0, again.stderr
    assert set(trio.final_state()["lives"].values()) == {"member"}


def test_a_stale_plan_is_refused_before_anybody_is_asked(trio: Lab) -> None:
    plan = trio.folder / "plan.json"
    trio.metal("plan", "--out", str(plan))
    inventory = trio.folder / "inventory.toml"
    inventory.write_text(inventory.read_text().replace("priority = 80", "priority = 81"))
    code, said = on_a_terminal(trio, "apply", str(plan))
    assert code == REFUSED and "stale" in said
    assert "wipes" not in said, "nobody reads a plan that is not to be had"


def on_a_terminal(lab: Lab, *words: str) -> tuple[int, str]:
    """The command with a terminal that nobody types at: (exit code, all it printed)."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "metal", "-C", str(lab.folder), *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        try:
            while block := terminal.read(4096):
                said += block
                if b"to go on" in said:
                    process.kill()
        except OSError:
            pass  # its last writer has ended
    return process.wait(), said.decode(errors="replace")
