"""One leads: the lease on a post, its term, and what a deposed leader can no longer do."""

import dataclasses
import signal

import pytest

from metal.operations.leading import Deposed
from metal.operations.lease import LeaseLost, take
from metal.operations.owner import Owner, this_process
from metal.operations.run import perform

ELSEWHERE = Owner("utrecht", "another-boot", "pid:[1]", 7, 1)


def test_the_first_leads_and_the_second_waits(place) -> None:
    with place.open() as store:
        first = store.leading.seek("watch", "lisbon", 15)
        assert first.number == 1
        assert store.leading.seek("watch", "utrecht", 15, ELSEWHERE) is None
        assert store.leading.who("watch").place == "lisbon"


def test_renewing_keeps_the_term(place) -> None:
    with place.open() as store:
        first = store.leading.seek("watch", "lisbon", 15)
        assert store.leading.seek("watch", "lisbon", 15) == first


def test_a_lease_that_ran_out_is_taken_over_with_a_new_term(local, fake) -> None:
    with local.open(clock=fake.clock) as store:
        old = store.leading.seek("watch", "utrecht", 15, ELSEWHERE)
        fake.now += 14.9
        assert store.leading.seek("watch", "lisbon", 15) is None
        fake.now += 0.2
        new = store.leading.seek("watch", "lisbon", 15)
        assert (old.number, new.number) == (1, 2)
        assert store.leading.seek("watch", "utrecht", 15, ELSEWHERE) is None


def test_one_who_slept_through_its_lease_comes_back_in_a_new_term(local, fake) -> None:
    with local.open(clock=fake.clock) as store:
        old = store.leading.seek("watch", "lisbon", 15)
        fake.now += 16
        with pytest.raises(Deposed, match="nobody does"):
            store.leading.check(old)
        assert store.leading.seek("watch", "lisbon", 15).number == 2


def test_a_clock_that_is_set_back_keeps_no_stalled_leader_in_office(local, fake) -> None:
    """Its lease would last as long as the clock jumped; so would that of its operation."""
    with local.open(clock=fake.clock) as store:
        old = store.leading.seek("watch", "utrecht", 15, ELSEWHERE)
        opened = store.journal.open("k", "alba1", ["alba1"], {}, term=old)
        take(store.database, opened.id, 15, ELSEWHERE, old)
        fake.now -= 3600
        assert not store.journal.show(opened.id).alive
        assert store.leading.seek("watch", "lisbon", 15).number == 2
        with pytest.raises(Deposed):
            store.leading.check(old)


def test_a_clock_that_is_set_back_a_little_deposes_nobody(local, fake) -> None:
    with local.open(clock=fake.clock) as store:
        store.leading.seek("watch", "utrecht", 15, ELSEWHERE)
        fake.now -= 10
        assert store.leading.seek("watch", "lisbon", 15) is None


def test_a_leader_that_is_provably_gone_is_followed_at_once(local) -> None:
    dead = dataclasses.replace(this_process(), pid=2**22 - 1)
    with local.open() as store:
        store.leading.seek("watch", "lisbon", 3600, dead)
        assert store.leading.who("watch") is None
        assert store.leading.seek("watch", "lisbon", 15).number == 2


def test_who_resigns_leaves_the_post_free(place) -> None:
    with place.open() as store:
        term = store.leading.seek("watch", "lisbon", 15)
        store.leading.resign(term)
        assert store.leading.who("watch") is None
        assert store.leading.seek("watch", "utrecht", 15, ELSEWHERE).number == 2
        store.leading.resign(term)  # of a term long over: changes nothing
        assert store.leading.who("watch").place == "utrecht"


def test_a_deposed_leader_opens_takes_and_writes_nothing(place) -> None:
    with place.open() as store:
        term = store.leading.seek("watch", "lisbon", 3600)
        operation = store.journal.open("k", "alba1", ["alba1"], {}, term=term)
        done = []

        def flow(run) -> None:
            run.step("one", lambda: done.append("one"))
            store.leading.resign(term)
            store.leading.seek("watch", "utrecht", 3600, ELSEWHERE)
            run.step("two", lambda: done.append("two"))

        with pytest.raises(
            LeaseLost, match="lisbon does not lead any more, the watcher at utrecht"
        ):
            perform(store, operation, flow, term=term)
        assert done == ["one"]
        with pytest.raises(Deposed):
            store.journal.open("k", "alba2", ["alba2"], {}, term=term)
        with pytest.raises(Deposed):
            store.journal.take(operation.id, term)
        assert [s.name for s in store.journal.show(operation.id).steps] == ["one"]


def test_a_leader_stopped_in_mid_step_writes_nothing_when_it_wakes(
    place, start, log, monkeypatch
) -> None:
    """SIGSTOP stands for a machine that stalls: its lease runs out, another leads and goes on."""
    monkeypatch.setenv("LEASE", "1.5")
    worker = start(place, "lead", "alba1", 1.5)
    worker.hear("in two")
    worker.process.send_signal(signal.SIGSTOP)
    with place.open(lease_seconds=1.5) as store:
        deadline = 400
        while (term := store.leading.seek("watch", "utrecht", 60, ELSEWHERE)) is None and deadline:
            deadline -= 1
            signal.sigtimedwait([], 0.05)
        assert term.number == 2
        (operation,) = store.journal.list(open_only=True)
        while operation.alive:
            signal.sigtimedwait([], 0.05)
            (operation,) = store.journal.list(open_only=True)
        outcome = perform(
            store, operation, lambda run: [run.step(n, str) for n in _STEPS], term=term
        )
        assert outcome.exit_code == 0
        worker.process.send_signal(signal.SIGCONT)
        worker.tell()
        code, said = worker.end()
        assert (code, said) == (9, "lost")
        assert log() == ["one", "two"]
        assert store.leading.who("watch").place == "utrecht"


_STEPS = ("one", "two", "three")
