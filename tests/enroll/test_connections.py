"""No more connections than allowed; nobody is forgotten, nobody waits for ever."""

import threading
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from metal.drivers.connections import Connections


class Wire:
    """A connection that only counts."""

    left = 0.0

    def __init__(self, rules: Connections) -> None:
        self.rules, self.open = rules, False

    def close(self) -> None:
        self.open = False
        self.rules.ended(self)


def opened(rules: Connections) -> Wire:
    wire = Wire(rules)
    rules.opening(wire)
    wire.open = True
    return wire


def in_background(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def queued(rules: Connections) -> tuple[list[Wire], threading.Thread]:
    """(what is opened late, by whom), once it waits for a place."""
    late: list[Wire] = []
    thread = in_background(lambda: late.append(opened(rules)))
    while not rules._waiting:
        thread.join(0.01)
    return late, thread


@settings(max_examples=30)
@given(
    most=st.integers(1, 4),
    workers=st.integers(1, 9),
    rounds=st.integers(1, 5),
    turn=st.floats(0, 0.01),
)
def test_never_more_than_allowed_and_all_get_through(
    most: int, workers: int, rounds: int, turn: float
) -> None:
    rules, worst, lock = Connections(most, turn), [0], threading.Lock()

    def work() -> None:
        wire = Wire(rules)
        for _ in range(rounds):
            with rules.lock:
                rules.used(wire)
            if not wire.open:
                rules.opening(wire)
                wire.open = True
            with lock:
                worst[0] = max(worst[0], len(rules))
            rules.rests(wire)
        wire.close()

    threads = [in_background(work) for _ in range(workers)]
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert worst[0] <= most and len(rules) == 0


def test_a_connection_that_rests_makes_room() -> None:
    rules = Connections(1, turn=60)
    first = opened(rules)
    rules.rests(first)
    second = opened(rules)
    assert second.open and not first.open and len(rules) == 1


def test_more_are_allowed_while_somebody_waits() -> None:
    rules = Connections(1, turn=60)
    first = opened(rules)
    late, thread = queued(rules)
    rules.allow(2)
    thread.join(20)
    assert late and first.open and len(rules) == 2


def test_one_that_is_used_is_left_alone() -> None:
    rules = Connections(1, turn=60)
    first = opened(rules)
    rules.rests(first)
    rules.used(first)
    late: list[Wire] = []
    thread = in_background(lambda: late.append(opened(rules)))
    thread.join(0.2)
    assert first.open and not late
    first.close()
    thread.join(20)
    assert late


def test_after_its_turn_it_makes_room_for_who_waits() -> None:
    rules = Connections(1, turn=0)
    first = opened(rules)
    late, thread = queued(rules)
    rules.rests(first)
    thread.join(20)
    assert late and not first.open


def test_without_anybody_waiting_it_is_kept() -> None:
    rules = Connections(1, turn=0)
    first = opened(rules)
    rules.rests(first)
    assert first.open and len(rules) == 1


def test_one_that_was_dropped_without_a_word_holds_no_place() -> None:
    rules = Connections(1, turn=60)
    rules.opening(Wire(rules))
    assert opened(rules).open


def test_who_has_most_left_goes_first_and_keeps_its_place() -> None:
    rules = Connections(1, turn=0)
    first = opened(rules)
    short, long = Wire(rules), Wire(rules)
    short.left, long.left = 1.0, 30.0
    order: list[Wire] = []
    threads = []
    for wire in (short, long):
        threads.append(in_background(lambda w=wire: (rules.opening(w), order.append(w))))
        while len(rules._waiting) < len(threads):
            threads[-1].join(0.01)
    first.close()
    threads[1].join(20)
    assert order == [long]
    rules.rests(long)  # it had its turn, and the other has less left
    assert len(rules._waiting) == 1
    long.left = 0.5
    rules.rests(long)
    threads[0].join(20)
    assert order == [long, short]
