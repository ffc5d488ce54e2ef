"""Burn-ins by the real command over the real protocols, killed in the middle and run again."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
import time
from typing import Any

from metal.lab import control


def test_killed_and_run_again(trio: Any) -> None:
    for fault in ("disk-slow", "dimm"):
        control.break_(trio.folder, "alba2", fault)
    words = ("burnin", "alba1", "alba2", "--minutes", "60", "--overwrite-blank-disks")
    first = trio.begin(*words)
    # Before that it asks for its job a few times and then starts from its disk, as it should.
    wait_for(lambda: at_work(trio))
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


def test_away_for_longer_than_the_tests_take(trio: Any) -> None:
    """What was found waits for whoever comes back: a healthy server is no worse for it."""
    words = ("burnin", "alba1", "--minutes", "10")
    first = trio.begin(*words)
    wait_for(lambda: at_work(trio))
    first.send_signal(signal.SIGINT)
    assert first.wait() != 0
    wait_for(lambda: trio.truth["servers"]["alba1"]["waited"] > 300)
    done = trio.metal("-o", "json", *words)
    (one,) = json.loads(done.stdout)
    assert (done.returncode, one["burnin"]["appraisal"]["grade"]) == (0, "A"), done.stderr
    assert trio.truth["servers"]["alba1"]["power_ons"] == 1


def test_dead_while_nobody_listened_is_no_grade(trio: Any) -> None:
    words = ("burnin", "alba1", "--minutes", "10")
    first = trio.begin(*words)
    wait_for(lambda: at_work(trio))
    first.send_signal(signal.SIGKILL)
    first.wait()
    wait_for(lambda: trio.truth["servers"]["alba1"]["waited"] > 0)
    control.break_(trio.folder, "alba1", "dead")
    control.break_(trio.folder, "alba1", "repair")
    done = trio.metal("-o", "json", *words)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)[0]["burnin"]["appraisal"]
    assert (found["grade"], found["verdict"]) == ("unknown", "unknown")
    assert found["marks"][0]["what"].endswith("nobody may have listened; run it again")
    again = json.loads(trio.metal("-o", "json", *words).stdout)[0]
    assert again["burnin"]["appraisal"]["grade"] == "A"


def at_work(trio: Any, server: str = "alba1") -> bool:
    """Whether the machine has begun to test."""
    with sqlite3.connect(f"file:{trio.folder}/state/metal.db?mode=ro", uri=True) as database:
        query = (
            "select count(*) from jobs where server = ? and ended is null "
            "and phase not in ('opened', 'booting', 'taken')"
        )
        return bool(database.execute(query, [server]).fetchone()[0])


def wait_for(happened: Any, seconds: float = 30.0) -> None:
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not happened():
        assert time.monotonic() < deadline
        pause.wait(0.05)
