"""What one run writes into the journal: every write fenced, in one transaction each."""

from typing import Any

from sqlalchemy import Connection, insert, select, update

from metal.model.life import Status
from metal.operations.database import Database
from metal.operations.events import write_event
from metal.operations.journal import close
from metal.operations.lease import Lease, write_fenced
from metal.operations.tables import steps


class Steps:
    """The steps of the operation that `lease` is for. Every method may raise LeaseLost."""

    def __init__(self, database: Database, lease: Lease) -> None:
        self._database = database
        self._lease = lease
        self._id = lease.operation

    def enter(self, number: int, name: str, seconds: float | None) -> Any:
        """The row the journal has for step `number`, whatever its name; a new one if none.

        A new row of a wait gets its deadline, `seconds` from now.
        """
        with self._database.write() as conn:
            row = self._row(conn, number)
            waits = seconds is not None and (row is None or row.result is None)
            now = self.guard(conn, status=Status.WAITING if waits else Status.RUNNING)
            if row is None:
                deadline = None if seconds is None else now + seconds
                row = self._add(conn, number, name, now, deadline)
            return row

    def finish(self, number: int, result: str) -> None:
        """Record the JSON text that step `number` returned; never over another one."""
        with self._database.write() as conn:
            now = self.guard(conn, status=Status.RUNNING)
            conn.execute(
                update(steps)
                .where(self._is(number), steps.c.result.is_(None))
                .values(result=result, ended=now)
            )

    def left(self, deadline: float) -> float:
        """Seconds until a deadline that the journal holds."""
        with self._database.read() as conn:
            return deadline - self._database.now(conn)

    def say(self, text: str, fraction: float | None = None) -> None:
        with self._database.write() as conn:
            write_event(conn, self._id, self.guard(conn), text, fraction)

    def end(self, number: int) -> str | None:
        """The operation is done after `number` steps; or the name of one more the journal holds."""
        with self._database.write() as conn:
            row = self._row(conn, number)
            if row is not None:
                return str(row.name)
            now = self.guard(conn, owner=None, lease_until=None)
            close(conn, self._id, Status.DONE, now)
            write_event(conn, self._id, now, "done", 1.0)
            return None

    def leave(self, status: Status, error: str) -> None:
        """Nobody runs the operation any more; it stays open."""
        with self._database.write() as conn:
            now = self.guard(conn, owner=None, lease_until=None, status=status, error=error)
            write_event(conn, self._id, now, f"{status}: {error}" if error else "stopped")

    def guard(self, conn: Connection, **values: Any) -> float:
        return write_fenced(self._database, conn, self._lease, **values)

    def _is(self, number: int) -> Any:
        return (steps.c.operation == self._id) & (steps.c.number == number)

    def _row(self, conn: Connection, number: int) -> Any:
        return conn.execute(select(steps).where(self._is(number))).first()

    def _add(
        self, conn: Connection, number: int, name: str, now: float, deadline: float | None
    ) -> Any:
        new = insert(steps).values(
            operation=self._id, number=number, name=name, began=now, deadline=deadline
        )
        return conn.execute(new.returning(*steps.c)).one()
