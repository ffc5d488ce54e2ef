"""Opening, claiming, listing and cancelling operations, on both engines."""

import re
import threading

import pytest
from sqlalchemy import update

from metal.model.errors import BadInput, Refused
from metal.model.life import Status
from metal.operations.lease import LeaseLost
from metal.operations.owner import Owner
from metal.operations.run import perform
from metal.operations.tables import operations


def test_the_same_request_gets_the_same_operation(store) -> None:
    first = store.journal.open("install", "alba1", ["alba1"], {"disk": "sda", "n": 1})
    again = store.journal.open("install", "alba1", ["alba1"], {"n": 1, "disk": "sda"})
    assert first.id == again.id and first.open and not first.alive


def test_a_claimed_subject_is_refused_by_name(store) -> None:
    store.journal.open("form", "alba", ["alba1", "alba2"], {})
    with pytest.raises(Refused) as refused:
        store.journal.open("install", "alba2", ["alba2"], {})
    assert str(refused.value) == (
        "alba2: operation 1 (form alba) is open and holds alba2, which install alba2 needs\n"
        "  → metal run show 1; then metal run resume 1, or metal run cancel 1"
    )
    assert [o.id for o in store.journal.list()] == [1], "a refused one leaves nothing behind"


def test_other_params_are_another_operation_and_so_refused(store) -> None:
    store.journal.open("install", "alba1", [], {"disk": "sda"})
    with pytest.raises(Refused, match=r"operation 1 \(install alba1\)"):
        store.journal.open("install", "alba1", [], {"disk": "sdb"})


def test_the_end_frees_what_was_claimed(store) -> None:
    one = store.journal.open("install", "alba1", ["alba1"], {})
    assert perform(store, one, lambda run: None).status is Status.DONE
    two = store.journal.open("install", "alba1", ["alba1"], {})
    assert two.id != one.id
    store.journal.cancel(two.id)
    three = store.journal.open("drain", "alba1", ["alba1"], {})
    assert [(o.id, o.status) for o in store.journal.list()] == [
        (one.id, Status.DONE),
        (two.id, Status.CANCELLED),
        (three.id, Status.RUNNING),
    ]
    assert [o.id for o in store.journal.list(open_only=True)] == [three.id]


def test_a_failed_operation_keeps_what_it_claimed(store) -> None:
    one = store.journal.open("install", "alba1", ["alba1"], {})
    assert perform(store, one, lambda run: 1 / 0).status is Status.FAILED
    with pytest.raises(Refused):
        store.journal.open("drain", "alba1", ["alba1"], {})
    assert store.journal.open("install", "alba1", ["alba1"], {}).id == one.id


def test_what_a_living_process_runs_is_left_alone(store) -> None:
    operation = store.journal.open("install", "alba1", [], {})
    store.journal.take(operation.id)
    said = r"operation 1 \(install alba1\) is being run by pid \d+ on \S+ since \d{4}-\d\d-\d\d"
    for attempt in (store.journal.take, store.journal.cancel):
        with pytest.raises(Refused, match=said):
            attempt(operation.id)
    shown = store.journal.show(operation.id)
    assert shown.alive and re.fullmatch(r"pid \d+ on \S+", shown.owner)


def test_a_lease_that_ran_out_is_taken_over_with_a_larger_fence(store) -> None:
    operation = store.journal.open("install", "alba1", [], {})
    first = store.journal.take(operation.id)
    with store.database.write() as conn:
        conn.execute(update(operations).values(lease_until=0.0))
    second = store.journal.take(operation.id)
    assert (first.fence, second.fence) == (1, 2)


def test_the_lease_of_an_owner_elsewhere_must_run_out(store) -> None:
    """Nothing is known of another host's processes, even of one that has no such pid here."""
    operation = store.journal.open("install", "alba1", [], {})
    store.journal.take(operation.id)
    elsewhere = Owner("far", "another boot", "pid:[1]", 2**22 + 1, 1)
    with store.database.write() as conn:
        conn.execute(update(operations).values(owner=elsewhere.dumps()))
    with pytest.raises(Refused, match=r"being run by pid 4194305 on far"):
        store.journal.take(operation.id)


def test_who_was_cancelled_cannot_write(store) -> None:
    operation = store.journal.open("install", "alba1", [], {})

    def flow(run) -> None:
        with store.database.write() as conn:
            conn.execute(update(operations).values(lease_until=0.0))
        store.journal.cancel(operation.id)
        run.step("one", lambda: pytest.fail("it acted"))

    with pytest.raises(LeaseLost, match="taken over or cancelled"):
        perform(store, operation, flow)
    shown = store.journal.show(operation.id)
    assert shown.status is Status.CANCELLED and not shown.steps


def test_what_is_over_can_be_neither_run_nor_cancelled(store) -> None:
    operation = store.journal.open("install", "alba1", [], {})
    store.journal.cancel(operation.id)
    with pytest.raises(Refused, match=r"operation 1 \(install alba1\) is cancelled"):
        store.journal.cancel(operation.id)
    with pytest.raises(Refused, match="cancelled"):
        perform(store, operation, lambda run: None)


@pytest.mark.parametrize("method", ["show", "cancel", "take"])
def test_an_unknown_number(store, method: str) -> None:
    with pytest.raises(BadInput, match="there is no operation 77"):
        getattr(store.journal, method)(77)


@pytest.mark.parametrize("params", [{"x": object()}, {"x": float("nan")}])
def test_params_must_be_json(store, params) -> None:
    with pytest.raises(BadInput, match="must be JSON"):
        store.journal.open("install", "alba1", [], params)


def test_of_many_threads_that_claim_one_subject_one_gets_it(store) -> None:
    got: list[int] = []
    refused: list[Refused] = []

    def claim(number: int) -> None:
        try:
            got.append(store.journal.open(f"kind{number}", "alba1", ["alba1"], {}).id)
        except Refused as error:
            refused.append(error)

    threads = [threading.Thread(target=claim, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 11)
    assert len(store.journal.list()) == 1
