"""Burn-ins by the real command over the real protocols, killed in the middle and run again."""

from __future__ import annotations

import json
import signal
import threading
import time
from typing import Any

from metal.lab import control


def test_killed_and_run_again(trio: Any) -> None:
    for fault in ("disk-slow", "dimm"):
        control.break_(trio.folder, "alba2", fault)
    words = ("burnin", "alba1", "alba2", "--minutes", "60", "--overwrite-blank-disks")
    first = trio.begin(*words)
    wait_for(lambda: trio.truth["servers"]["alba1"]["power"] == "on")
    first.send_signal(signal.SIGKILL)
    first.wait()
    done = trio.metal("-o", "json", *words)
    assert done.returncode == 1, done.stderr
    good, ill = json.loads(done.stdout)
    assert good["burnin"]["appraisal"]["grade"] == "A"
    assert ill["burnin"]["appraisal"]["repair"] == ["DIMM B1", "disk serial SALBA2SDC (sdc)"]
    assert good["burnin"]["appraisal"]["watts"] > 100
    truth = trio.truth["servers"]
    assert [truth[n]["power"] for n in ("alba1", "alba2")] == ["off", "off"]
    assert truth["alba1"]["power_ons"] == 1, "it went on while nobody looked"
    shown = trio.metal("server", "show", "alba2").stdout
    assert "DIMM B1: 0 uncorrected and 3112 corrected errors" in shown
    listed = json.loads(trio.metal("-o", "json", "server", "list").stdout)
    assert {s["name"]: s["life"] for s in listed} == {
        "alba1": "tested",
        "alba2": "enrolled",
        "alba3": "enrolled",
    }


def wait_for(happened: Any, seconds: float = 30.0) -> None:
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not happened():
        assert time.monotonic() < deadline
        pause.wait(0.05)
