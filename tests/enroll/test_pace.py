"""No BMC is asked more often than its passport says: calls counted at a slow double."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from metal.controller.enrolling import enroll
from metal.controller.look import look
from metal.controller.pace import Pace
from metal.controller.progress import silent
from metal.controller.targets import targets_of
from metal.drivers.polling import became
from metal.enroll.door import Credential
from metal.model.errors import Failed, Unreachable
from metal.model.fleet import BmcAccess

At = Callable[[Any], str]
ACCESS = BmcAccess(address="10.11.0.11")


@pytest.fixture
def slow(fleet: Any, at: At) -> tuple[Any, str]:
    """A BMC that was proven to need a while for each call; its server."""
    bmc = fleet.redfish(11)
    bmc.faults.add("slow")
    bmc.slowness = 0.0
    workspace = fleet.workspace
    factory = Credential("ADMIN", "factory-Pa55word")
    [result] = enroll(workspace, targets_of(workspace, [at(bmc)]), (factory,), progress=silent)
    passport = result.passport.model_copy(update={"seconds_a_call": 2.0, "poll_seconds": 40.0})
    workspace.store.records.put(result.server, "passport", passport.model_dump(mode="json"))
    workspace.store.close()
    return bmc, result.server


def looks(bmc: Any) -> int:
    """How often somebody logged in."""
    return len([a for a in bmc.asked if a == "POST /redfish/v1/SessionService/Sessions"])


class Heard:
    """Progress that remembers how the look ended."""

    def __init__(self) -> None:
        self.ends: list[str] = []

    def begin(self, key: str, text: str) -> None:
        pass

    def advance(self, key: str, fraction: float, text: str) -> None:
        pass

    def end(self, key: str, ok: bool, text: str) -> None:
        self.ends.append(text)


def test_looks_that_come_too_soon_ask_nothing(fleet: Any, slow: tuple[Any, str]) -> None:
    bmc, name = slow
    before, heard = looks(bmc), Heard()
    worlds = []
    for _ in range(4):  # each as a command of its own would
        workspace = fleet.workspace
        worlds.append(look(workspace, progress=heard))
        workspace.store.close()
    assert looks(bmc) == before + 1
    assert {w.servers[name].power for w in worlds} == {"off"}
    assert heard.ends[0] == "" and f"{name}: not asked again yet" in heard.ends[1]


def test_once_its_turn_came_it_is_asked(fleet: Any, slow: tuple[Any, str]) -> None:
    bmc, name = slow
    before, workspace = looks(bmc), fleet.workspace
    look(workspace)
    [file] = [f for f in (fleet.folder / "state" / "looked-at").iterdir() if f.suffix != ".changed"]
    os.utime(file, (time.time() - 40,) * 2)
    bmc.machine.power_on()
    assert look(workspace).servers[name].power == "on" and looks(bmc) == before + 2
    workspace.store.close()


def test_a_silent_bmc_is_unknown_and_not_what_it_was(fleet: Any, slow: tuple[Any, str]) -> None:
    bmc, name = slow
    workspace = fleet.workspace
    bmc.stop()
    world = look(workspace)
    assert world.servers[name].power == "unknown" and f"bmc {name}" in world.silent
    bmc.start()
    assert look(workspace).servers[name].power == "off"  # at once: silence was no look
    workspace.store.close()


# ── The pace itself ──────────────────────────────────────────────────────────────────────────


def test_what_was_changed_is_asked_anew(tmp_path: Path) -> None:
    """Not the reading of before; and the turn is waited for."""
    pace, asked = Pace(tmp_path, patient=0.4), []

    def ask() -> str:
        asked.append(time.monotonic())
        return "on"

    class Switch:
        def power(self) -> str:
            return "on"

        def ensure_power(self, wanted: str) -> str:
            return wanted

    switch = pace.minded(ACCESS, Switch())
    assert pace.read(ACCESS, 0.9, ask).age == 0
    assert switch.power() == "on" and pace.read(ACCESS, 0.9, ask).age > 0
    assert switch.ensure_power("off") == "off"
    assert pace.read(ACCESS, 0.9, ask).age == 0
    assert len(asked) == 2 and asked[1] - asked[0] >= 0.85


def test_a_reading_that_was_begun_before_a_change_is_not_kept(tmp_path: Path) -> None:
    pace = Pace(tmp_path, patient=0.4)

    def ask() -> str:
        pace.forget(ACCESS)  # somebody switches it while it is asked
        return "on"

    pace.read(ACCESS, 0.8, ask)
    assert pace.read(ACCESS, 0.8, lambda: "off").body == "off"


def test_nearly_its_turn_is_waited_for(tmp_path: Path) -> None:
    pace, asked = Pace(tmp_path, patient=0.4), []

    def ask() -> int:
        asked.append(time.monotonic())
        return len(asked)

    assert [pace.read(ACCESS, 0.3, ask).body for _ in range(3)] == [1, 2, 3]
    assert asked[2] - asked[0] >= 0.58


def test_many_at_once_take_turns(tmp_path: Path) -> None:
    """Eight processes or threads: one asks, the others take what it was told."""
    asked: list[int] = []

    def one() -> None:
        Pace(tmp_path, patient=0.4).read(ACCESS, 60, lambda: asked.append(1) or "on")

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1


def test_each_bmc_has_a_pace_of_its_own(tmp_path: Path) -> None:
    pace = Pace(tmp_path, patient=0.4)
    for access in (ACCESS, ACCESS.model_copy(update={"port": 8443}), BmcAccess(address="fe80::1")):
        assert pace.read(access, 60, lambda: "on").age == 0


def test_what_was_half_written_is_no_reading(tmp_path: Path) -> None:
    pace = Pace(tmp_path, patient=0.4)
    pace.read(ACCESS, 0.8, lambda: "on")
    [file] = tmp_path.iterdir()
    file.write_text('{"at": 17')
    assert pace.read(ACCESS, 0.8, lambda: "off").body == "off"


def test_what_is_not_proven_is_asked_as_often_as_anybody_likes(tmp_path: Path) -> None:
    pace, asked = Pace(tmp_path, patient=0.4), []
    for _ in range(3):
        pace.read(ACCESS, 0.0, lambda: asked.append(1) or "on")
    assert len(asked) == 3


def test_no_answer_is_raised_and_counts_as_no_look(tmp_path: Path) -> None:
    pace = Pace(tmp_path, patient=0.4)

    def silence() -> None:
        raise Unreachable("no answer")

    with pytest.raises(Unreachable):
        pace.read(ACCESS, 60, silence)
    assert pace.read(ACCESS, 60, lambda: "on") == pace.read(ACCESS, 60, lambda: "on").__class__(
        "on", 0.0
    )


def test_waiting_for_a_state_rests_three_times_as_long_as_an_answer_took() -> None:
    """What drivers do while a server goes off: a slow BMC is busy a quarter of the time."""
    asked: list[float] = []

    def reached() -> bool:
        asked.append(time.monotonic())
        threading.Event().wait(0.1)
        return False

    assert not became(reached, 1.0)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert len(asked) <= 4 and all(gap >= 0.39 for gap in gaps[:-1])


def test_a_workspace_that_was_removed_is_not_made_again(tmp_path: Path) -> None:
    """`metal lab down` while a watcher still runs: nothing of it is left."""
    state = tmp_path / "state"
    state.mkdir()
    pace = Pace(state / "looked-at", patient=0.4)
    assert pace.read(ACCESS, 60, lambda: "on").body == "on"
    shutil.rmtree(state)
    for act in (lambda: pace.read(ACCESS, 60, lambda: "on"), lambda: pace.forget(ACCESS)):
        with pytest.raises(Failed, match="the workspace is gone"):
            act()
    assert not state.exists()
