"""Progress, written by whoever runs an operation and read by every face."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select

from metal.operations.database import Database
from metal.operations.tables import events, operations

KEPT = 20_000
"""Older events are dropped: they are for watching, the journal is for knowing."""


@dataclass(frozen=True)
class Event:
    id: int
    """Grows with time; give the last one seen to `since`."""
    operation: int
    kind: str
    subject: str
    at: float
    """Seconds since the epoch."""
    fraction: float | None
    """0 to 1; None when the event says nothing of how far it is."""
    text: str


class Events:
    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, id: int = 0, limit: int = 1000, operation: int | None = None) -> list[Event]:
        """At most `limit` events after `id`, oldest first; of one operation if given."""
        query = _EVENTS.where(events.c.id > id).limit(limit)
        return self._read(query if operation is None else query.where(_OF.in_([operation])))

    def newest(self) -> int:
        """The newest event's id, 0 if there is none: where a face begins to watch."""
        with self._database.read() as conn:
            return conn.execute(select(func.max(events.c.id))).scalar() or 0

    def last(self, operations: Iterable[int]) -> dict[int, Event]:
        """How far each of these operations is: its newest event that tells a fraction."""
        newest = (
            select(func.max(events.c.id))
            .where(_OF.in_(operations), events.c.fraction.is_not(None))
            .group_by(_OF)
        )
        return {
            event.operation: event for event in self._read(_EVENTS.where(events.c.id.in_(newest)))
        }

    def _read(self, query: Select[Any]) -> list[Event]:
        with self._database.read() as conn:
            return [Event(**row._mapping) for row in conn.execute(query)]


_OF = events.c.operation
_EVENTS = (
    select(events, operations.c.kind, operations.c.subject)
    .join(operations, operations.c.id == _OF)
    .order_by(events.c.id)
)


def write_event(
    conn: Connection, operation: int, at: float, text: str, fraction: float | None = None
) -> None:
    """Add an event in the caller's transaction."""
    done = conn.execute(
        insert(events).values(operation=operation, at=at, fraction=fraction, text=text)
    )
    key = done.inserted_primary_key
    if key and key[0] % 1000 == 0:
        conn.execute(delete(events).where(events.c.id <= key[0] - KEPT))
