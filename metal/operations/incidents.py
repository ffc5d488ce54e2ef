"""Incidents: from the first signal to the last VM.

At most one is open for a subject. What is known of it grows note by note; a note that says what
the one before of its kind said is not written again, so that an hour of trouble is not sixty lines.
"""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import insert, select, update

from metal.model.errors import BadInput
from metal.operations.database import Database
from metal.operations.watch_tables import incidents, notes

Kind = Literal["signal", "verdict", "hold", "action", "step", "vm", "alarm", "end"]


@dataclass(frozen=True)
class Note:
    at: float
    kind: str
    text: str


@dataclass(frozen=True)
class Incident:
    """Times: seconds since the epoch by the store's clock."""

    id: int
    subject: str
    """ "server alba1", "site lisbon" or "fleet"."""
    state: str
    """The last diagnosis."""
    began: float
    ended: float | None
    notes: tuple[Note, ...] = ()
    """Filled by `show` only."""


class Incidents:
    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, subject: str, state: str) -> tuple[Incident, bool]:
        """(the open incident of `subject`, whether its state is new). Made where there is none."""
        with self._database.write() as conn:
            now = self._database.now(conn)
            row = conn.execute(_open_one(subject)).first()
            if row is None:
                new = insert(incidents).values(subject=subject, state=state, began=now)
                return _incident(conn.execute(new.returning(*incidents.c)).one()), True
            if row.state == state:
                return _incident(row), False
            changed = update(incidents).where(incidents.c.id == row.id).values(state=state)
            return _incident(conn.execute(changed.returning(*incidents.c)).one()), True

    def note(self, id: int, kind: Kind, text: str, *, once: bool = False) -> bool:
        """Whether it was news: written unless the last of its kind said the same; `once`: unless
        any of them did."""
        with self._database.write() as conn:
            mine = (notes.c.incident == id) & (notes.c.kind == kind)
            told = select(notes.c.text).where(mine).order_by(notes.c.id.desc())
            if text in conn.execute(told if once else told.limit(1)).scalars():
                return False
            conn.execute(
                insert(notes).values(incident=id, at=self._database.now(conn), kind=kind, text=text)
            )
            return True

    def close(self, id: int, text: str) -> None:
        """It is over; `text` says how. Nothing happens to one that is closed already."""
        with self._database.write() as conn:
            now = self._database.now(conn)
            mine = (incidents.c.id == id) & incidents.c.ended.is_(None)
            if conn.execute(update(incidents).where(mine).values(ended=now)).rowcount:
                conn.execute(insert(notes).values(incident=id, at=now, kind="end", text=text))

    def list(self, *, open_only: bool = False, since: float = 0.0) -> list[Incident]:
        """Oldest first, without their notes; those that began at `since` or later."""
        query = select(incidents).order_by(incidents.c.id)
        if open_only:
            query = query.where(incidents.c.ended.is_(None))
        if since:
            query = query.where(incidents.c.began >= since)
        with self._database.read() as conn:
            return [_incident(row) for row in conn.execute(query)]

    def show(self, id: int) -> Incident:
        """One with its notes. BadInput if there is none of that number."""
        with self._database.read() as conn:
            row = conn.execute(select(incidents).where(incidents.c.id == id)).first()
            if row is None:
                raise BadInput(f"there is no incident {id}", mend="metal incident list")
            found = conn.execute(select(notes).where(notes.c.incident == id).order_by(notes.c.id))
            return _incident(row, tuple(Note(n.at, n.kind, n.text) for n in found))

    def since(self, subject: str, seconds: float) -> int:
        """How many incidents of `subject` began within the last `seconds`."""
        with self._database.read() as conn:
            begun = incidents.c.began > self._database.now(conn) - seconds
            query = select(incidents.c.id).where(incidents.c.subject == subject, begun)
            return len(conn.execute(query).all())


def _open_one(subject: str) -> Any:
    return select(incidents).where(incidents.c.subject == subject, incidents.c.ended.is_(None))


def _incident(row: Any, found: tuple[Note, ...] = ()) -> Incident:
    return Incident(row.id, row.subject, row.state, row.began, row.ended, found)
