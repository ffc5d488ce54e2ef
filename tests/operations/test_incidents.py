"""Incidents and their alarms: nothing said twice, nothing lost, one open for a subject."""

import pytest

from metal.model.errors import BadInput
from metal.operations.alarms import TRIES


def test_one_is_open_for_a_subject_until_it_is_closed(store) -> None:
    first, new = store.incidents.open("server alba1", "suspect")
    again, newer = store.incidents.open("server alba1", "suspect")
    other, _ = store.incidents.open("server alba2", "suspect")
    assert (new, newer, again.id, other.id == first.id) == (True, False, first.id, False)
    store.incidents.close(first.id, "it answers again")
    later, new = store.incidents.open("server alba1", "dead")
    assert new and later.id != first.id
    assert [i.id for i in store.incidents.list(open_only=True)] == [other.id, later.id]


def test_a_worse_state_is_news_and_kept(store) -> None:
    store.incidents.open("server alba1", "suspect")
    found, new = store.incidents.open("server alba1", "dead")
    assert new and found.state == "dead"


def test_what_was_said_is_not_said_again(store) -> None:
    found, _ = store.incidents.open("server alba1", "suspect")
    note = store.incidents.note
    said = [note(found.id, "signal", "a"), note(found.id, "signal", "a")]
    said += [note(found.id, "hold", "a"), note(found.id, "signal", "b")]
    said += [note(found.id, "signal", "a")]
    assert said == [True, False, True, True, True]
    kept = store.incidents.show(found.id).notes
    assert [(n.kind, n.text) for n in kept] == [
        ("signal", "a"),
        ("hold", "a"),
        ("signal", "b"),
        ("signal", "a"),
    ]


def test_closing_twice_ends_it_once(store) -> None:
    found, _ = store.incidents.open("server alba1", "suspect")
    store.incidents.close(found.id, "well")
    store.incidents.close(found.id, "well")
    assert [n.kind for n in store.incidents.show(found.id).notes] == ["end"]


def test_there_is_no_such_incident(store) -> None:
    with pytest.raises(BadInput, match="no incident 7"):
        store.incidents.show(7)


def test_an_alarm_goes_out_once_to_each_hook(store) -> None:
    found, _ = store.incidents.open("server alba1", "dead")
    store.alarms.tell(found.id, ["mail", "chat"], "alba1 is dead", "what was seen")
    due = store.alarms.due()
    assert [a.hook for a in due] == ["mail", "chat"]
    store.alarms.sent(due[0])
    assert [a.hook for a in store.alarms.due()] == ["chat"]


def test_an_alarm_that_is_not_taken_is_tried_ever_more_rarely(local, fake) -> None:
    with local.open(clock=fake.clock) as store:
        found, _ = store.incidents.open("server alba1", "dead")
        store.alarms.tell(found.id, ["mail"], "s", "b")
        waits = []
        while due := store.alarms.due():
            store.alarms.not_sent(due[0], "connection refused")
            (kept,) = store.alarms.about(found.id)
            if kept.next is None:
                break
            waits.append(kept.next - fake.now)
            fake.now = kept.next
        assert waits[:7] == [60, 120, 240, 480, 960, 1920, 3600]
        assert len(waits) == TRIES - 1
        assert kept.error == "connection refused"


def test_incidents_are_counted_by_when_they_began(local, fake) -> None:
    with local.open(clock=fake.clock) as store:
        for _ in range(3):
            found, _ = store.incidents.open("server alba1", "dead")
            store.incidents.close(found.id, "well")
            fake.now += 1000
        assert store.incidents.since("server alba1", 2500) == 2
        assert store.incidents.since("server alba2", 2500) == 0
