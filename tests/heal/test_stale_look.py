"""What ended while a watcher looked is judged by the next look: this one began before its end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
from heal_watched import SICK, TICK, Quiet, Watched

from metal.controller.progress import silent
from metal.controller.watching import Watcher
from metal.lab.bench.bmcs import hardware
from metal.lab.machine import Machine
from metal.lab.storms.ports import Leave
from metal.model.life import Status

HA_IS_DONE = 300.0
"""Seconds after which the model's HA runs a dead node's VMs elsewhere."""


class Later(Executor):
    """Runs what it was given when it is told to."""

    def __init__(self) -> None:
        self._queue: list[tuple[Future[Any], Any, tuple[Any, ...]]] = []

    def submit(self, fn: Any, /, *args: Any, **_more: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._queue.append((future, fn, args))
        return future

    def run(self) -> None:
        queue, self._queue = self._queue, []
        for future, fn, args in queue:
            future.set_result(fn(*args))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None: ...


@pytest.fixture
def pool() -> Later:
    return Later()


@pytest.fixture
def watched(tmp_path: Path, pool: Later) -> Iterator[Watched]:
    made = Watched(tmp_path, Quiet(), Machine(SICK, hardware(1)))
    made.watcher = Watcher(made.workspace, silent, place="here", every=TICK, pool=pool, stop=Leave)
    yield made
    made.watcher.close()
    made.store.close()


def in_its_look(watched: Watched, act: Any) -> None:
    """`act` once the next look has read what the store knows of the servers."""
    ask, left = watched.workspace.bmc, [act]

    def bmc(server: str) -> Any:
        if left:
            left.pop()()
        return ask(server)

    watched.workspace.bmc = bmc  # type: ignore[method-assign]


def recoveries(watched: Watched) -> list[str]:
    return [str(o.status) for o in watched.store.journal.list() if o.kind == "recover"]


def dies(watched: Watched) -> None:
    """Its recovery is begun, and nothing of it done yet."""
    watched.rounds(2)
    watched.rack.cut(SICK, "its power supply burnt")
    watched.rack.advance(HA_IS_DONE)
    assert [a.id for a in watched.rounds(1).actions] == [f"recover:{SICK}"]
    assert recoveries(watched) == []


def test_a_recovery_that_ends_while_it_is_looked_is_not_begun_again(
    watched: Watched, pool: Later
) -> None:
    dies(watched)
    in_its_look(watched, pool.run)
    report = watched.rounds(1)
    assert recoveries(watched) == ["done"]
    assert watched.store.servers.get(SICK).status is Status.HELD
    pool.run()
    assert recoveries(watched) == ["done"], "no second one"
    assert report.actions == (), "nothing that is over is told as to be done"
    watched.rounds(2)
    pool.run()
    assert recoveries(watched) == ["done"]


def test_one_that_fails_while_it_is_looked_is_tried_by_the_next_look(
    watched: Watched, pool: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies(watched)

    def fail() -> None:
        with monkeypatch.context() as patched:
            patched.setattr("metal.controller.healing.carry_out", lambda *_, **__: "no room")
            pool.run()

    in_its_look(watched, fail)
    report = watched.rounds(1)
    assert report.failed == {f"recover:{SICK}": "no room"}
    assert report.actions == ()
    assert [a.id for a in watched.rounds(1).actions] == [f"recover:{SICK}"]
    pool.run()
    assert recoveries(watched) == ["done"]
