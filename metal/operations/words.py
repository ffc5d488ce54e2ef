"""What a person said unasked: that they cut a server's power with their own hands.

Kept as an answered request, with who said it and when. It holds for an hour: what was true of a
plug then may be undone by whoever comes to the rack later.
"""

from dataclasses import dataclass

from sqlalchemy import insert, select, update

from metal.operations.database import Database
from metal.operations.tables import requests

HOLDS = 3600.0
KEY = "word: "


@dataclass(frozen=True)
class Word:
    """That the server is off. Times: seconds since the epoch, by the store's clock."""

    server: str
    by: str
    at: float
    note: str


class Words:
    def __init__(self, database: Database) -> None:
        self._database = database

    def say_off(self, server: str, by: str, note: str) -> Word:
        """A new word; it stands in the place of an older one."""
        self.withdraw(server)
        with self._database.write() as conn:
            now = self._database.now(conn)
            conn.execute(
                insert(requests).values(
                    key=_key(server),
                    server=server,
                    wanted="off",
                    what="its power is cut",
                    why="said unasked",
                    asked=now,
                    answer="done",
                    answered=now,
                    answered_by=by,
                    note=note,
                )
            )
            return Word(server, by, now, note)

    def off(self, server: str) -> Word | None:
        """The word that still holds."""
        return self.all().get(server)

    def all(self) -> dict[str, Word]:
        """Server → the word that still holds."""
        query = select(requests).where(
            requests.c.key.startswith(KEY, autoescape=True), requests.c.closed.is_(None)
        )
        with self._database.read() as conn:
            since = self._database.now(conn) - HOLDS
            return {
                row.server: Word(row.server, row.answered_by, row.answered, row.note)
                for row in conn.execute(query.order_by(requests.c.id))
                if row.answered >= since
            }

    def withdraw(self, server: str) -> None:
        """It may have power again; what was said stays in the store."""
        with self._database.write() as conn:
            conn.execute(
                update(requests)
                .where(requests.c.key == _key(server), requests.c.closed.is_(None))
                .values(closed=self._database.now(conn))
            )


def _key(server: str) -> str:
    return f"{KEY}{server}"
