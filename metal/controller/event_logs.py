"""The BMCs' event logs, as the watcher that leads reads them beside its looks.

How far each was read is known to this watcher alone: what was logged before its first look, or
while nobody watched, is history, and no reason to act. What it read and counts is in the store, for
every look, and for whoever leads next.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from metal.drivers.ports import Bmc
from metal.heal.logged import Event, complaints, noted
from metal.model.errors import MetalError
from metal.model.facts import LogMark, LogNews
from metal.operations.records import Record
from metal.operations.store import Store

LOGGED = "logged"
"""The kind of record, by server, of the events that count."""
SELDOM = 60.0
"""Seconds at most between two readings of a log."""
UNHURRIED = 5.0
"""Seconds. Where power and health took longer the log is not read: it must delay nothing."""
NEVER = float("inf")


@dataclass
class _Place:
    """Up to where one log was read, and when it is read again."""

    due: float = 0.0
    mark: LogMark | None = None


class EventLogs:
    """Of one watcher. May be called from any thread, for each server from one at a time."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._places: dict[str, _Place] = {}

    def forget(self) -> None:
        """Another watcher leads: what is logged meanwhile is its business."""
        self._places.clear()

    def read(self, server: str, bmc: Bmc, took: float = 0.0) -> None:
        """What is new in it, once a minute. `took`: seconds that this look took there so far."""
        place, now = self._places.setdefault(server, _Place()), self._clock()
        if now < place.due or took > UNHURRIED:
            return
        # Not all servers of a fleet in the same look, though all were first seen in one.
        place.due = now + SELDOM * random.uniform(0.5, 1)
        try:
            news = bmc.log_news(place.mark)
        except MetalError:
            return  # what it logged is not known, and no reason for anything
        place.mark = news.mark
        if news.mark is None:
            place.due = NEVER
        self._note(server, news)

    def _note(self, server: str, news: LogNews) -> None:
        if not (news.entries or news.cleared):
            return
        records, now = self._store.records, self._store.now()
        before = events_of(records.get(server, LOGGED))
        events = noted(before, news.entries, now, cleared=news.cleared)
        if events:
            records.put(server, LOGGED, [event.model_dump() for event in events])
        elif before:
            records.forget(server, LOGGED)


def logged(record: Record | None, now: float) -> tuple[str, ...]:
    """What is told of a server's events."""
    return complaints(events_of(record), now)


def events_of(record: Record | None) -> tuple[Event, ...]:
    """None of a record that another version of metal wrote."""
    try:
        return tuple(Event.model_validate(body) for body in record.body) if record else ()
    except (TypeError, ValueError):
        return ()
