"""What a flow may rely on: steps, retries, waits, replays, and every way to end."""

import logging
import threading

import pytest

from metal.model.errors import Failed, Refused, Unreachable
from metal.model.life import Status
from metal.operations.run import Outcome, perform


@pytest.fixture
def timed(place, fake):
    """A store in the tests' own time."""
    with place.open(clock=fake.clock) as store:
        yield store


def begin(store, version: int = 1):
    return store.journal.open("install", "alba1", ["alba1"], {"disk": "sda"}, version)


def texts(store) -> list[str]:
    return [e.text for e in store.events.since()]


def test_a_done_step_is_replayed_and_never_repeated(store) -> None:
    acted: list[str] = []
    broken = True

    def flow(run) -> str:
        def two() -> dict[str, list[int]]:
            acted.append("two")
            if broken:
                raise Failed("the cable is out", where="alba1", mend="plug it in")
            return {"disks": [1, 2]}

        assert run.params == {"disk": "sda"} and run.subject == "alba1"
        assert run.step("one", lambda: acted.append("one")) is None
        assert run.step("two", two) == {"disks": [1, 2]}
        return "ignored"

    operation = begin(store)
    assert perform(store, operation, flow) == Outcome(
        Status.FAILED, "alba1: the cable is out\n  → plug it in", exit_code=1
    )
    shown = store.journal.show(operation.id)
    assert (shown.status, shown.error) == (Status.FAILED, "alba1: the cable is out\n  → plug it in")
    assert [(s.name, s.done) for s in shown.steps] == [("one", True), ("two", False)]
    broken = False
    assert perform(store, operation.id, flow) == Outcome(Status.DONE)
    assert acted == ["one", "two", "two"]
    assert store.journal.show(operation.id).error == ""


def test_a_result_is_the_same_the_first_time_as_in_a_replay(store) -> None:
    seen: list[object] = []

    def flow(run) -> None:
        seen.append(run.step("one", lambda: (1, {"a": (2,)})))
        run.step("two", lambda: 1 / (len(seen) - 1))

    for _ in range(2):
        perform(store, begin(store), flow)
    assert seen == [[1, {"a": [2]}]] * 2


def test_an_operation_that_is_done_stays_done(store) -> None:
    operation = begin(store)
    perform(store, operation, lambda run: run.step("one", str))
    again = perform(store, operation, lambda run: pytest.fail("it ran again"))
    assert again == Outcome(Status.DONE)


def test_unreachable_is_tried_again_with_doubling_pauses(timed, fake) -> None:
    answers = iter([Unreachable("no answer"), Unreachable("no answer"), None])

    def ask() -> str:
        if error := next(answers):
            raise error
        return "on"

    outcome = perform(
        timed,
        begin(timed),
        lambda run: run.step("power", ask, tries=4, backoff=3.0),
        stop=fake.stop,
    )
    assert outcome.status is Status.DONE and fake.waits == [3.0, 6.0]
    assert texts(timed) == [
        "power: no answer; try 2 of 4 in 3 s",
        "power: no answer; try 3 of 4 in 6 s",
        "done",
    ]


def test_when_the_tries_are_used_up_it_fails_as_unreachable(timed, fake) -> None:
    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        raise Unreachable("no answer", where="bmc of alba1")

    outcome = perform(
        timed, begin(timed), lambda run: run.step("power", ask, tries=3), stop=fake.stop
    )
    assert outcome == Outcome(Status.FAILED, "bmc of alba1: no answer", exit_code=4)
    assert len(asked) == 3


def test_nothing_else_than_unreachable_is_tried_again(store) -> None:
    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        raise Refused("not that disk")

    outcome = perform(store, begin(store), lambda run: run.step("wipe", ask, tries=5))
    assert (outcome.exit_code, asked) == (3, [1])


def test_a_wait_asks_until_there_is_an_answer(timed, fake) -> None:
    answers = iter([None, Unreachable("silent"), None, {"phase": "up"}])
    status: list[Status] = []

    def ready():
        status.append(timed.journal.show(1).status)
        if isinstance(answer := next(answers), Exception):
            raise answer
        return answer

    def flow(run) -> None:
        assert run.wait("up", ready, seconds=60, every=2) == {"phase": "up"}
        run.step("after", lambda: status.append(timed.journal.show(1).status))

    assert perform(timed, begin(timed), flow, stop=fake.stop).status is Status.DONE
    assert fake.waits == [2, 2, 2]
    assert status == [Status.WAITING] * 4 + [Status.RUNNING]


def test_a_wait_that_is_late_says_so(timed, fake) -> None:
    def ready() -> None:
        raise Unreachable("no route")

    outcome = perform(
        timed,
        begin(timed),
        lambda run: run.wait("up", ready, seconds=5, every=2, late="it did not come up"),
        stop=fake.stop,
    )
    assert outcome.status is Status.FAILED
    assert outcome.error.startswith("alba1: it did not come up (last: no route)")
    assert sum(fake.waits) == pytest.approx(5, abs=0.5)


def test_a_crash_does_not_extend_a_wait_but_it_asks_once_more(local, fake) -> None:
    """On SQLite, whose clock is this machine's: the deadline is the journal's, not the run's."""
    asked: list[float] = []

    def flow(run) -> None:
        run.wait("up", lambda: asked.append(fake.now), seconds=10, every=4)

    with local.open(clock=fake.clock) as store:
        fake.stop.after = 2
        start = fake.now
        assert perform(store, begin(store), flow, stop=fake.stop).status is Status.RUNNING
        deadline = store.journal.show(1).steps[0].deadline
        fake.now += 100
        outcome = perform(store, begin(store), flow)
        assert outcome.status is Status.FAILED
        assert asked == [start, start + 4, start + 108]
        assert store.journal.show(1).steps[0].deadline == deadline == start + 10


def test_a_stop_ends_a_pause_and_the_operation_can_be_resumed(timed, fake) -> None:
    fake.stop.after = 1
    operation = begin(timed)
    outcome = perform(
        timed, operation, lambda run: run.wait("up", lambda: None, seconds=60), stop=fake.stop
    )
    assert outcome.status is Status.RUNNING and "metal run resume 1" in outcome.error
    shown = timed.journal.show(operation.id)
    assert shown.status is Status.RUNNING and not shown.alive and shown.owner == ""
    assert perform(timed, operation, lambda run: run.wait("up", lambda: 1, seconds=60)) == Outcome(
        Status.DONE
    )


def test_a_stop_cannot_be_swallowed_by_a_flow(store) -> None:
    stop = threading.Event()

    def flow(run) -> None:
        stop.set()
        try:
            run.step("one", lambda: pytest.fail("it acted"))
        except Exception:
            pytest.fail("a stop is no failure")

    assert perform(store, begin(store), flow, stop=stop).status is Status.RUNNING


def test_an_interrupt_goes_on_up_and_leaves_it_resumable(store) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    operation = begin(store)
    with pytest.raises(KeyboardInterrupt):
        perform(store, operation, lambda run: run.step("one", interrupted))
    shown = store.journal.show(operation.id)
    assert shown.status is Status.RUNNING and not shown.alive
    assert perform(store, operation, lambda run: run.step("one", str)).status is Status.DONE


def test_an_unexpected_error_fails_it_and_its_traceback_is_logged(store, caplog) -> None:
    with caplog.at_level(logging.ERROR):
        outcome = perform(store, begin(store), lambda run: run.step("one", lambda: {}["key"]))
    assert outcome.status is Status.FAILED
    assert outcome.error.startswith("alba1: KeyError: 'key'")
    assert "Traceback" not in outcome.error and "Traceback" in caplog.text


def test_code_that_changed_under_it_holds_the_operation(store) -> None:
    operation = begin(store)
    perform(store, operation, lambda run: [run.step("one", str), run.step("two", lambda: 1 / 0)])

    def changed(run) -> None:
        run.step("one", str)
        run.step("new", lambda: pytest.fail("it acted"))

    outcome = perform(store, operation, changed)
    assert (outcome.status, outcome.exit_code) == (Status.HELD, 3)
    assert outcome.error == (
        "alba1: the code changed under operation 1 (install alba1): the journal holds step “two” "
        "where this version asks for “new”\n"
        "  → resume it with the version that began it, or metal run cancel 1"
    )
    assert store.journal.show(operation.id).status is Status.HELD
    same = perform(store, operation, lambda run: [run.step("one", str), run.step("two", str)])
    assert same.status is Status.DONE


def test_code_that_asks_for_less_holds_it_too(store) -> None:
    operation = begin(store)
    perform(store, operation, lambda run: [run.step("one", str), 1 / 0])
    outcome = perform(store, operation, lambda run: None)
    assert outcome.status is Status.HELD
    assert "holds step “one” where this version asks for no more" in outcome.error


def test_a_flow_cannot_get_past_changed_code(store) -> None:
    operation = begin(store)
    perform(store, operation, lambda run: [run.step("one", str), 1 / 0])

    def stubborn(run) -> None:
        for name in ("other", "one"):
            try:
                run.step(name, lambda: pytest.fail("it acted"))
            except Refused:
                continue

    assert perform(store, operation, stubborn).status is Status.HELD


def test_another_version_of_the_flow_holds_it(store) -> None:
    operation = begin(store, version=1)
    outcome = perform(store, operation, lambda run: pytest.fail("it ran"), version=2)
    assert outcome.status is Status.HELD
    assert "was begun by version 1 of this flow, and this is version 2" in outcome.error
    assert perform(store, operation, lambda run: None, version=1).status is Status.DONE


def test_a_result_that_json_cannot_hold_is_a_failure(store) -> None:
    outcome = perform(store, begin(store), lambda run: run.step("one", lambda: {1, 2}))
    assert outcome.status is Status.FAILED
    assert "step “one” returned what JSON cannot hold" in outcome.error


def test_a_step_inside_a_step_is_a_mistake(store) -> None:
    outcome = perform(store, begin(store), lambda run: run.step("out", lambda: run.step("in", str)))
    assert outcome.status is Status.FAILED and "step “in” began inside step “out”" in outcome.error


def test_progress_is_seen_by_others(place) -> None:
    with place.open() as mine, place.open() as other:

        def flow(run) -> None:
            run.progress(0.25, "partitioning")
            [event] = other.events.since(0)
            assert (event.operation, event.kind, event.subject) == (1, "install", "alba1")
            assert (event.fraction, event.text) == (0.25, "partitioning")
            run.progress(7, "too much")
            assert [e.fraction for e in other.events.since(event.id, limit=1)] == [1.0]

        perform(mine, begin(mine), flow)
        assert other.events.last([1, 2])[1].text == "done"
        assert other.events.newest() == other.events.since()[-1].id
        assert other.events.since(operation=2) == []


def test_a_heartbeat_keeps_a_short_lease(place) -> None:
    """Three times the lease passes inside a step, and nobody may take it over meanwhile."""
    with place.open(lease_seconds=0.3) as store:

        def stand(run) -> None:
            first, renewed = store.journal.show(1).lease_until, 0
            deadline = threading.Event()
            for _ in range(400):
                shown = store.journal.show(1)
                assert shown.alive
                if shown.lease_until != first:
                    first, renewed = shown.lease_until, renewed + 1
                if renewed == 9:
                    return
                deadline.wait(0.02)
            pytest.fail("the lease was not renewed")

        outcome = perform(store, begin(store), lambda run: run.step("one", lambda: stand(run)))
        assert outcome.status is Status.DONE, outcome.error
