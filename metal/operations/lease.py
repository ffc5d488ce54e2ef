"""The right to run one operation: a lease that runs out, and a fence that grows.

Whoever takes an operation over makes `fence` one larger, in the transaction that decides that
the owner before is gone. Every write of a run names its fence, in the transaction that writes:
a process that slept through its lease finds another number there and changes nothing.
"""

import logging
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, select, update

from metal.model.errors import MetalError, Refused
from metal.model.life import Status
from metal.operations import leading
from metal.operations.database import LEAP, Database
from metal.operations.leading import Term
from metal.operations.owner import Owner, gone
from metal.operations.tables import operations

log = logging.getLogger(__name__)

OPEN = (Status.RUNNING, Status.WAITING, Status.HELD, Status.FAILED)
"""An operation of these may be run again, and keeps its claims."""


class LeaseLost(MetalError):
    """Another process took the operation over (or cancelled it); nothing was written."""


@dataclass(frozen=True)
class Lease:
    operation: int
    fence: int
    seconds: float
    term: Term | None = None
    """Where only a leader may act: each write is one of this term, too."""


def take(
    database: Database, operation: int, seconds: float, me: Owner, term: Term | None = None
) -> Lease:
    """Make `me` the owner of an open operation. Refused while its owner may be alive."""
    with database.write() as conn:
        if term:
            leading.guard(database, conn, term)
        now = database.now(conn)
        row = conn.execute(select(operations).where(operations.c.id == operation)).one()
        refuse_closed(row)
        refuse_owned(row, now, me)
        fence = row.fence + 1
        conn.execute(
            update(operations)
            .where(operations.c.id == operation)
            .values(
                owner=me.dumps(),
                taken=now,
                lease_until=now + seconds,
                fence=fence,
                status=Status.RUNNING,
                error="",
                updated=now,
            )
        )
    return Lease(operation, fence, seconds, term)


def alive(row: Any, now: float, here: Owner) -> bool:
    """Whether the owner in an `operations` row may still be at work."""
    if row.owner is None or row.lease_until is None or row.lease_until <= now:
        return False
    if row.updated > now + LEAP:
        return False
    return not gone(Owner.loads(row.owner), here)


def refuse_closed(row: Any) -> None:
    if row.status not in OPEN:
        raise Refused(
            f"operation {row.id} ({row.kind} {row.subject}) is {row.status}: it is over",
            mend=f"metal run show {row.id}",
        )


def refuse_owned(row: Any, now: float, here: Owner) -> None:
    if alive(row, now, here):
        raise Refused(
            f"operation {row.id} ({row.kind} {row.subject}) is being run by "
            f"{Owner.loads(row.owner)} since {_local(row.taken)}",
            mend=f"wait for it (metal run show {row.id}), or end that process first",
        )


def _local(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def write_fenced(database: Database, conn: Connection, lease: Lease, **values: Any) -> float:
    """Renew the lease and set `values` in its operation's row; returns the time.

    Raises LeaseLost if the fence has moved on; the caller's transaction is then undone whole.
    """
    if lease.term:
        try:
            leading.guard(database, conn, lease.term)
        except leading.Deposed as error:
            raise LeaseLost(error.what, mend=error.mend) from error
    now = database.now(conn)
    done = conn.execute(
        update(operations)
        .where(
            operations.c.id == lease.operation,
            operations.c.fence == lease.fence,
            operations.c.owner.is_not(None),
        )
        .values({"lease_until": now + lease.seconds, "updated": now, **values})
    )
    if done.rowcount != 1:
        raise LeaseLost(
            f"operation {lease.operation} was taken over or cancelled: nothing was written",
            mend=f"metal run show {lease.operation}",
        )
    return now


class Heartbeat:
    """Renews a lease at a third of its length, from a thread, until the block ends."""

    def __init__(self, database: Database, lease: Lease) -> None:
        self.lost = threading.Event()
        """Set once another process has taken over."""
        self._database, self._lease = database, lease
        self._end = threading.Event()
        self._thread = threading.Thread(
            target=self._beat, name=f"lease-{lease.operation}", daemon=True
        )

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._end.wait(self._lease.seconds / 3):
            try:
                with self._database.write() as conn:
                    write_fenced(self._database, conn, self._lease)
            except LeaseLost:
                self.lost.set()
                return
            except MetalError as error:
                # Not fatal by itself: if it lasts, the lease runs out and the fence decides.
                log.warning("lease of operation %d not renewed: %s", self._lease.operation, error)
