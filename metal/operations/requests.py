"""What people at the rack are asked to do. A request waits for ever: only a person ends it.

An operation finds its own request again by its key, so asking twice is asking once, and an answer
that came while nobody ran the operation is there when it is resumed.
"""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from metal.model.errors import BadInput, Refused
from metal.model.facts import Power
from metal.operations.database import Database
from metal.operations.tables import requests

Answer = Literal["done", "cannot"]


@dataclass(frozen=True)
class Request:
    """Times: seconds since the epoch, by the store's clock."""

    id: int
    key: str
    """What it is for: "run 7: power off"."""
    server: str
    wanted: Power
    what: str
    """In words for whoever stands there."""
    why: str
    asked: float
    answer: Answer | None
    answered: float | None
    answered_by: str | None
    note: str
    """What the person said besides."""


class Requests:
    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, key: str, server: str, wanted: Power, what: str, why: str) -> Request:
        """The open request of that key, or a new one; its `answer` is None till there is one."""
        with self._database.write() as conn:
            row = conn.execute(_OPEN.where(requests.c.key == key)).first()
            if row is None:
                new = insert(requests).values(
                    key=key,
                    server=server,
                    wanted=wanted,
                    what=what,
                    why=why,
                    asked=self._database.now(conn),
                    note="",
                )
                row = conn.execute(new.returning(*requests.c)).one()
            return _request(row)

    def find(self, key: str) -> Request | None:
        """The open request of that key."""
        with self._database.read() as conn:
            row = conn.execute(_OPEN.where(requests.c.key == key)).first()
            return _request(row) if row else None

    def waiting(self, server: str | None = None) -> list[Request]:
        """Those that nobody answered yet, oldest first."""
        query = _OPEN.where(requests.c.answer.is_(None)).order_by(requests.c.id)
        if server is not None:
            query = query.where(requests.c.server == server)
        with self._database.read() as conn:
            return [_request(row) for row in conn.execute(query)]

    def answer(self, id: int, answer: Answer, by: str, note: str = "") -> Request:
        """Record what a person says. Refused when it was answered, or nobody waits for it."""
        with self._database.write() as conn:
            row = _row(conn, id)
            if row.answer is not None or row.closed is not None:
                said = f"{row.answered_by} answered it" if row.answer else "it was withdrawn"
                raise Refused(f"nobody waits for request {id} any more: {said}", where=row.server)
            values = {"answer": answer, "answered_by": by, "note": note}
            conn.execute(
                update(requests)
                .where(requests.c.id == id)
                .values(answered=self._database.now(conn), **values)
            )
            return _request(_row(conn, id))

    def close(self, key: str) -> None:
        """Nobody waits for it any more: the next one who asks asks anew."""
        self._close(requests.c.key == key)

    def withdraw(self, operation: int) -> None:
        """Close all that an operation asked for."""
        self._close(requests.c.key.startswith(key_of(operation, ""), autoescape=True))

    def _close(self, which: Any) -> None:
        with self._database.write() as conn:
            now = self._database.now(conn)
            conn.execute(
                update(requests).where(which, requests.c.closed.is_(None)).values(closed=now)
            )


def key_of(operation: int, step: str) -> str:
    return f"run {operation}: {step}"


_OPEN = select(requests).where(requests.c.closed.is_(None))


def _row(conn: Connection, id: int) -> Any:
    row = conn.execute(select(requests).where(requests.c.id == id)).first()
    if row is None:
        raise BadInput(f"there is no request {id}", mend="metal power waiting")
    return row


def _request(row: Any) -> Request:
    return Request(
        id=row.id,
        key=row.key,
        server=row.server,
        wanted=row.wanted,
        what=row.what,
        why=row.why,
        asked=row.asked,
        answer=row.answer,
        answered=row.answered,
        answered_by=row.answered_by,
        note=row.note,
    )
