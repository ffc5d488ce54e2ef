"""The last world that was seen, for those who want to show it without looking again."""

from sqlalchemy import delete, insert, select

from metal.operations.database import Database
from metal.operations.tables import looks


class Looks:
    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, world_json: str) -> None:
        """Keep this one, forget the one before."""
        with self._database.write() as conn:
            conn.execute(delete(looks))
            conn.execute(insert(looks).values(id=1, at=self._database.now(conn), body=world_json))

    def last(self) -> tuple[float, str] | None:
        """(seconds since the epoch, world as JSON), or None before the first look."""
        with self._database.read() as conn:
            row = conn.execute(select(looks)).first()
            return (row.at, row.body) if row else None
