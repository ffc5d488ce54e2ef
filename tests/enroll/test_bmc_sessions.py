"""A watcher stays logged in between two looks, and nobody else is kept out by that."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from metal.controller.bmc_sessions import Mark
from metal.controller.enrolling import enroll
from metal.controller.look import look
from metal.controller.progress import silent
from metal.controller.targets import targets_of
from metal.controller.watching import Watcher
from metal.controller.workspace import Workspace
from metal.drivers.polling import became
from metal.enroll.door import Credential
from metal.lab.redfish_bmc import SESSIONS, RedfishBmc
from metal.model.errors import NoSession

At = Callable[[Any], str]


@pytest.fixture
def bmc(fleet: Any, at: At) -> RedfishBmc:
    """Of an enrolled server."""
    made: RedfishBmc = fleet.redfish(11)
    workspace = fleet.workspace
    factory = Credential("ADMIN", "factory-Pa55word")
    [result] = enroll(workspace, targets_of(workspace, [at(made)]), (factory,), progress=silent)
    passport = result.passport.model_copy(update={"poll_seconds": 0.0})
    workspace.store.records.put(result.server, "passport", passport.model_dump(mode="json"))
    workspace.store.close()
    made.asked.clear()
    return made


@pytest.fixture
def watching(fleet: Any, bmc: RedfishBmc) -> Iterator[Workspace]:
    """A workspace whose sessions outlive a look."""
    workspace: Workspace = fleet.workspace
    workspace.bmc_sessions.keep()
    yield workspace
    workspace.bmc_sessions.let_go()
    workspace.store.close()


def only(workspace: Workspace) -> str:
    [name] = workspace.inventory.servers
    return name


def seen(workspace: Workspace) -> str:
    world = look(workspace)
    assert not world.silent
    return world.servers[only(workspace)].power


def log_ins(bmc: RedfishBmc) -> int:
    return bmc.asked.count(f"POST {SESSIONS}")


def mark(workspace: Workspace) -> Mark:
    return Mark(workspace.pace, workspace.inventory.servers[only(workspace)].bmc)


def test_one_log_in_and_one_connection_serve_many_looks(
    watching: Workspace, bmc: RedfishBmc
) -> None:
    assert [seen(watching) for _ in range(3)] == ["off"] * 3
    first, *_ = calls = [a for a in bmc.asked if a.startswith("GET")]
    assert log_ins(bmc) == 1 and len(bmc.sessions) == 1
    assert calls.count(first) == 1, "the service root is read once"
    bmc.machine.power_on()
    assert seen(watching) == "on" and log_ins(bmc) == 1
    watching.bmc_sessions.let_go()
    assert bmc.sessions == {} and mark(watching).left() == ""


def test_whoever_only_looks_once_keeps_none(fleet: Any, bmc: RedfishBmc) -> None:
    look(fleet.workspace)
    assert bmc.sessions == {} and log_ins(bmc) == 1


def test_a_session_that_the_bmc_dropped_is_opened_again(
    watching: Workspace, bmc: RedfishBmc
) -> None:
    seen(watching)
    bmc.sessions.clear()
    assert seen(watching) == "off" and log_ins(bmc) == 2
    assert seen(watching) == "off" and len(bmc.sessions) <= 1


def test_a_bmc_that_restarted_is_spoken_to_again(watching: Workspace, bmc: RedfishBmc) -> None:
    seen(watching)
    bmc.stop()
    assert look(watching).silent
    bmc.sessions.clear()
    bmc.start()
    assert seen(watching) == "off" and len(bmc.sessions) == 1


def test_a_bmc_that_fell_silent_keeps_no_session_of_ours_for_long(
    watching: Workspace, bmc: RedfishBmc
) -> None:
    """What could not be ended is ended once it answers."""
    seen(watching)
    bmc.stop()
    assert look(watching).silent
    bmc.start()
    assert len(bmc.sessions) == 1
    seen(watching)
    assert len(bmc.sessions) == 1 and log_ins(bmc) == 2


def test_what_a_killed_watcher_left_is_ended_by_the_next(
    fleet: Any, watching: Workspace, bmc: RedfishBmc
) -> None:
    with fleet.process("watch", "--every", "1") as killed:
        assert became(lambda: bool(bmc.sessions), 60), killed.poll()
        assert became(lambda: bool(mark(watching).left()), 60)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    assert len(bmc.sessions) == 1
    seen(watching)
    assert len(bmc.sessions) == 1 and mark(watching).left() in bmc.logins.paths


def test_a_session_of_somebody_else_is_left_alone(watching: Workspace, bmc: RedfishBmc) -> None:
    """BMCs number them from 1 again: the path that a killed watcher left may be another's now."""
    bmc.sessions["t0ken"] = "ADMIN"
    bmc.logins.paths[f"{SESSIONS}/1"] = "t0ken"
    watching.pace.folder.mkdir(exist_ok=True)
    mark(watching).put(f"{SESSIONS}/1")
    seen(watching)
    assert bmc.sessions["t0ken"] == "ADMIN" and len(bmc.sessions) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_watcher_that_is_ended_logs_out(fleet: Any, bmc: RedfishBmc, number: int) -> None:
    with fleet.process("watch", "--every", "1") as watch:
        assert became(lambda: len(bmc.asked) > 20 or watch.poll() is not None, 60)
        assert log_ins(bmc) == 1
        watch.send_signal(number)
        watch.communicate()
    assert watch.returncode == 0 and bmc.sessions == {}


def test_a_command_gets_in_where_the_watcher_holds_the_only_session(
    fleet: Any, watching: Workspace, bmc: RedfishBmc
) -> None:
    bmc.faults |= {"one-session", "no-basic"}
    seen(watching)
    operator = fleet.workspace

    def next_round() -> None:
        assert became(mark(watching).is_wanted, 60)
        look(watching)

    watcher = threading.Thread(target=next_round)
    watcher.start()
    opened = operator.bmc(only(operator))
    assert opened.power() == "off"
    opened.close()
    watcher.join()
    seen(watching)
    assert bmc.sessions == {}, "none is kept for a while after somebody found none free"
    operator.store.close()


def test_where_nobody_keeps_one_a_full_bmc_is_told_at_once(fleet: Any, bmc: RedfishBmc) -> None:
    bmc.faults |= {"session-limit", "no-basic"}
    workspace = fleet.workspace
    with pytest.raises(NoSession, match="no session is free"):
        workspace.bmc(only(workspace))
    assert bmc.failed_logins == 0
    workspace.store.close()


def test_where_nothing_can_be_noted_none_is_kept(watching: Workspace, bmc: RedfishBmc) -> None:
    """A full disk, a file system that became read-only: the look is none the worse for it."""
    watching.pace.folder.joinpath(mark(watching)._kept).mkdir()
    assert seen(watching) == "off" and bmc.sessions == {}
    assert seen(watching) == "off" and bmc.sessions == {}


def test_one_process_of_a_machine_keeps(fleet: Any, watching: Workspace, bmc: RedfishBmc) -> None:
    other = fleet.workspace
    other.bmc_sessions.keep()
    seen(watching)
    seen(other)
    assert len(bmc.sessions) == 1 and mark(watching).left() in bmc.logins.paths
    watching.bmc_sessions.let_go()
    seen(other)
    assert len(bmc.sessions) == 1 and mark(other).left() in bmc.logins.paths
    other.bmc_sessions.let_go()
    other.store.close()


def test_what_acts_during_a_look_has_a_session_of_its_own_and_keeps_none(
    watching: Workspace, bmc: RedfishBmc
) -> None:
    name = only(watching)
    looks, acts = watching.bmc(name), watching.bmc(name)
    assert len(bmc.sessions) == 2
    acts.close()
    looks.close()
    assert len(bmc.sessions) == 1


def test_after_a_change_its_password_may_be_another(watching: Workspace, bmc: RedfishBmc) -> None:
    """As a rotation by a command does it: the old one is not even tried."""
    seen(watching)
    other = Workspace(watching.folder)
    other.bmc(only(other)).ensure_power("on")
    before = log_ins(bmc)
    assert seen(watching) == "on" and log_ins(bmc) == before + 1


def test_a_watcher_that_does_not_lead_holds_none(watching: Workspace, bmc: RedfishBmc) -> None:
    watcher = Watcher(watching, silent)
    watcher.round()
    assert len(bmc.sessions) == 1
    watcher._follow()
    assert bmc.sessions == {}
    watcher.close()


def test_it_can_be_forbidden(fleet: Any, bmc: RedfishBmc) -> None:
    with (fleet.folder / "inventory.toml").open("a") as file:
        file.write("\n[watch]\nkeep_sessions = false\n")
    workspace = fleet.workspace
    watcher = Watcher(workspace, silent)
    watcher.round()
    assert bmc.sessions == {}
    watcher.close()
    workspace.store.close()
