"""Real processes, really killed: what the journal promises when the power goes."""

import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable

import pytest

from metal.model.errors import Refused
from metal.model.life import Status
from metal.operations.run import Outcome, Run, perform

pytestmark = pytest.mark.kill

Log = Callable[[], list[str]]


def test_two_processes_and_only_one_runs(place, start, log: Log) -> None:
    place.open().close()
    both = [start(place, "three", "alba1") for _ in range(2)]
    for worker in both:
        worker.hear("ready")
    for worker in both:
        worker.tell()
    ends: list[tuple[int, str]] = []
    # One stands in step two; the other must end by itself.
    for worker in both:
        line = worker.process.stdout.readline().strip()
        worker.heard.append(line)
        if line != "in two":
            ends.append(worker.end())
    runner = next(w for w in both if w.heard[-1] == "in two")
    [(code, said)] = ends
    assert code == Refused.exit_code
    assert f"is being run by pid {runner.process.pid} on " in said and "metal run show 1" in said
    runner.tell()
    assert runner.end() == (0, "done")
    assert log() == ["one", "two", "three"]


def test_killed_in_a_step_only_that_step_is_repeated_at_once(place, start, log: Log) -> None:
    victim = start(place, "three", "alba1")
    victim.tell()
    victim.hear("in two")
    victim.kill()
    # Its lease has an hour to go; that it is dead is proof enough.
    heir = start(place, "three", "alba1")
    heir.tell()
    heir.tell()
    assert heir.end() == (0, "done")
    assert log() == ["one", "two", "two", "three"]
    with place.open() as store:
        operation = store.journal.show(1)
        assert (operation.status, operation.fence) == (Status.DONE, 2)
        assert [s.result for s in operation.steps] == [
            f"result of {n}" for n in ("one", "two", "three")
        ]


@pytest.mark.parametrize("heir_still_runs", [False, True])
def test_a_sleeper_that_lost_its_lease_cannot_write(
    place, start, monkeypatch: pytest.MonkeyPatch, heir_still_runs: bool
) -> None:
    monkeypatch.setenv("LEASE", "0.5")
    sleeper = start(place, "three", "alba1")
    sleeper.tell()
    sleeper.hear("in two")
    os.kill(sleeper.process.pid, signal.SIGSTOP)

    def heir(run: Run) -> None:
        if heir_still_runs:
            let_it_try(sleeper)
        for name in ("one", "two", "three"):
            run.step(name, lambda name=name: f"{name} by another")

    with place.open() as store:
        outcome = until_free(lambda: perform(store, 1, heir))
        assert outcome.status is Status.DONE
        before = store.journal.show(1)
        if not heir_still_runs:
            let_it_try(sleeper)
        assert sleeper.end() == (9, "lost")
        assert store.journal.show(1) == before
        assert before.steps[1].result == "two by another"


def let_it_try(sleeper) -> None:
    os.kill(sleeper.process.pid, signal.SIGCONT)
    sleeper.tell()
    sleeper.process.wait(30)


def until_free(attempt: Callable[[], Outcome]) -> Outcome:
    """Try until the owner's lease has run out."""
    deadline, pause = time.monotonic() + 20, threading.Event()
    while True:
        try:
            return attempt()
        except Refused:
            assert time.monotonic() < deadline
            pause.wait(0.05)


def test_killed_again_and_again_it_ends_the_same(place, start, log: Log) -> None:
    steps, kills, dice = 12, 3, random.Random(8)
    for _ in range(kills):
        worker = start(place, "many", "alba1", steps)
        worker.tell()
        worker.hear(f"step {dice.randrange(1, steps)}")
        worker.kill()
    worker = start(place, "many", "alba1", steps)
    worker.tell()
    assert worker.end() == (0, "done")
    acted = [int(name[1:]) for name in log()]
    assert sorted(set(acted)) == list(range(steps))
    assert acted == sorted(acted), "no step acted after a later one had"
    assert len(acted) <= steps + kills, "a kill costs one repetition at most"
    with place.open() as store:
        operation = store.journal.show(1)
        assert [s.result for s in operation.steps] == [f"result of s{n}" for n in range(steps)]
        assert not store.journal.list(open_only=True)


def test_many_processes_write_at_once(place, start) -> None:
    workers = [start(place, "crowd", name, 5) for name in "abc"]
    assert [w.end()[0] for w in workers] == [0, 0, 0], [w.heard for w in workers]
    with place.open() as store:
        assert len(store.journal.list()) == 15
        assert all(o.status is Status.DONE for o in store.journal.list())
        ids = [e.id for e in store.events.since()]
        assert ids == sorted(ids) and len(ids) == 15


@pytest.mark.parametrize("room", [400_000, 8192], ids=["a little left", "nothing left"])
def test_a_full_disk_loses_nothing(local, start, room: int) -> None:
    worker = start(local, "fat", "alba1", room)
    worker.tell()
    code, said = worker.end()
    assert code == 1 and "free some space" in said
    with sqlite3.connect(local.file) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with local.open() as store:
        operation = store.journal.show(1)
        done = [s for s in operation.steps if s.done]
        assert operation.open and not operation.alive
        assert 0 < len(done) < 40 and all(s.result == "x" * 20_000 for s in done)
        again: list[int] = []
        outcome = perform(
            store,
            1,
            lambda run: [run.step(f"s{n}", lambda n=n: again.append(n)) for n in range(40)],
        )
        assert outcome.status is Status.DONE
        assert again == list(range(len(done), 40))


def test_the_second_process_needs_no_migration(local, start) -> None:
    assert start(local, "open").end() == (0, "alembic")
    assert start(local, "open").end() == (0, "no alembic")


def test_first_processes_may_all_come_at_once(place, start) -> None:
    workers = [start(place, "open") for _ in range(3)]
    assert [w.end()[0] for w in workers] == [0, 0, 0], [w.heard for w in workers]
