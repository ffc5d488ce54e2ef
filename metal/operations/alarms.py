"""Alarms: messages to people, written with what they tell of and sent afterwards.

None is lost, and none goes out twice unless metal is killed between the sending and its record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from metal.operations.database import Database
from metal.operations.watch_tables import alarms

RETRY = 60.0
"""Seconds before an alarm that was not taken is sent again; then twice that, up to an hour."""
TRIES = 12
"""After which an alarm is given up, some eight hours later."""


@dataclass(frozen=True)
class Alarm:
    """One message to one hook."""

    id: int
    incident: int
    hook: str
    at: float
    subject: str
    body: str
    tries: int
    error: str
    """Why it did not go out the last time."""
    next: float | None
    """When it is tried (again); None once it was sent or given up."""


class Alarms:
    def __init__(self, database: Database) -> None:
        self._database = database

    def tell(self, incident: int, hooks: Sequence[str], subject: str, body: str) -> None:
        """Tell every hook of it: they are sent by whoever asks for what is `due`."""
        with self._database.write() as conn:
            now = self._database.now(conn)
            rows = [
                {
                    "incident": incident,
                    "hook": hook,
                    "at": now,
                    "subject": subject,
                    "body": body,
                    "tries": 0,
                    "next": now,
                    "error": "",
                }
                for hook in hooks
            ]
            if rows:
                conn.execute(insert(alarms), rows)

    def due(self) -> list[Alarm]:
        """What is to be sent now, oldest first."""
        with self._database.read() as conn:
            now = self._database.now(conn)
            query = select(alarms).where(alarms.c.next <= now).order_by(alarms.c.id)
            return [_alarm(row) for row in conn.execute(query)]

    def sent(self, alarm: Alarm) -> None:
        with self._database.write() as conn:
            self._settle(conn, alarm, None, "")

    def not_sent(self, alarm: Alarm, error: str) -> None:
        """It is tried again later; after TRIES it is given up, with its error kept."""
        with self._database.write() as conn:
            wait = min(RETRY * 2**alarm.tries, 3600.0)
            again = self._database.now(conn) + wait if alarm.tries + 1 < TRIES else None
            self._settle(conn, alarm, again, error)

    def about(self, incident: int) -> list[Alarm]:
        """Every alarm about one incident, oldest first."""
        with self._database.read() as conn:
            rows = conn.execute(
                select(alarms).where(alarms.c.incident == incident).order_by(alarms.c.id)
            )
            return [_alarm(row) for row in rows]

    def unsent(self) -> tuple[int, int]:
        """(how many wait to be sent, now or again; how many were given up)."""
        waiting = func.count(alarms.c.next)
        lost = func.count().filter(alarms.c.next.is_(None) & (alarms.c.error != ""))
        with self._database.read() as conn:
            row = conn.execute(select(waiting, lost)).one()
        return int(row[0]), int(row[1])

    def _settle(self, conn: Connection, alarm: Alarm, again: float | None, error: str) -> None:
        conn.execute(
            update(alarms)
            .where(alarms.c.id == alarm.id)
            .values(tries=alarm.tries + 1, next=again, error=error)
        )


def _alarm(row: Any) -> Alarm:
    return Alarm(
        row.id,
        row.incident,
        row.hook,
        row.at,
        row.subject,
        row.body,
        row.tries,
        row.error,
        row.next,
    )
