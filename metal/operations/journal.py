"""The journal: which operations there are, what they claim, how far they came."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from metal.model.errors import BadInput, Refused
from metal.model.life import Status
from metal.operations import installs, jobs, leading
from metal.operations.database import Database
from metal.operations.events import write_event
from metal.operations.leading import Term
from metal.operations.lease import OPEN, Lease, alive, refuse_closed, refuse_owned, take
from metal.operations.owner import Owner, this_process
from metal.operations.tables import claims as claims_table
from metal.operations.tables import operations, steps


@dataclass(frozen=True)
class Step:
    number: int
    name: str
    done: bool
    result: Any
    """What it returned, as JSON holds it; None until it is done."""
    deadline: float | None
    """Of a wait, seconds since the epoch."""
    began: float
    ended: float | None


@dataclass(frozen=True)
class Operation:
    """One operation as the journal held it when it was read. Times: seconds since the epoch."""

    id: int
    kind: str
    subject: str
    params: dict[str, Any]
    version: int
    """Of the flow that began it."""
    status: Status
    error: str
    """Why it is held or failed."""
    owner: str
    """"pid 12 on HOST" of who runs it; empty while nobody does."""
    alive: bool
    """False: nobody runs it; it may be resumed or cancelled at once."""
    lease_until: float | None
    fence: int
    created: float
    updated: float
    steps: tuple[Step, ...] = ()
    """Filled by `show` only."""

    @property
    def open(self) -> bool:
        return self.status in OPEN


class Journal:
    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._lease_seconds = lease_seconds

    def open(
        self,
        kind: str,
        subject: str,
        claims: Iterable[str],
        params: dict[str, Any],
        version: int = 1,
        term: Term | None = None,
    ) -> Operation:
        """The open operation of that kind, subject and params, or a new one.

        A new one claims every subject in `claims` (its own when that is empty) until it is done or
        cancelled. Refused while another open operation claims one of them.
        With `term`, Deposed once that is over.
        `version` is the flow's: one begun by another version is held when `perform` meets it.
        """
        wanted = _dumps(params)
        with self._database.write() as conn:
            if term:
                leading.guard(self._database, conn, term)
            now = self._database.now(conn)
            row = conn.execute(
                select(operations).where(
                    operations.c.kind == kind,
                    operations.c.subject == subject,
                    operations.c.params == wanted,
                    operations.c.status.in_(OPEN),
                )
            ).first()
            if row is None:
                row = _insert(conn, now, kind, subject, wanted, version)
                _claim(conn, row, set(claims) or {subject})
            return _operation(row, now, this_process())

    def take(self, id: int, term: Term | None = None) -> Lease:
        """The lease of an open operation. Refused while another process may be running it.

        With `term`, Deposed once that is over; so is every later write of the lease (LeaseLost).
        """
        self.show(id)
        return take(self._database, id, self._lease_seconds, this_process(), term)

    def list(self, *, open_only: bool = False, since: float = 0.0) -> list[Operation]:
        """Every operation, oldest first; those that were opened at `since` or later."""
        query = select(operations).order_by(operations.c.id)
        if open_only:
            query = query.where(operations.c.status.in_(OPEN))
        if since:
            query = query.where(operations.c.created >= since)
        here = this_process()
        with self._database.read() as conn:
            now = self._database.now(conn)
            return [_operation(row, now, here) for row in conn.execute(query)]

    def show(self, id: int) -> Operation:
        """One operation with its steps. BadInput if there is none of that number."""
        with self._database.read() as conn:
            row = _row(conn, id)
            done = conn.execute(
                select(steps).where(steps.c.operation == id).order_by(steps.c.number)
            )
            return _operation(row, self._database.now(conn), this_process(), map(_step, done))

    def holder(self, subject: str) -> int | None:
        """The open operation that claims `subject`, such as "server alba1"."""
        query = select(claims_table.c.operation).where(claims_table.c.subject == subject)
        with self._database.read() as conn:
            return conn.execute(query).scalar()

    def refuse_held(self, kind: str, subject: str, claims: Iterable[str]) -> None:
        """Refused where `open` would refuse a new operation; nothing is written."""
        with self._database.read() as conn:
            _refuse_held(conn, kind, subject, set(claims))

    def cancel(self, id: int) -> None:
        """End an operation for good and free what it claims. Refused while it may be running."""
        with self._database.write() as conn:
            now = self._database.now(conn)
            row = _row(conn, id)
            refuse_closed(row)
            refuse_owned(row, now, this_process())
            conn.execute(
                update(operations)
                .where(operations.c.id == id)
                .values(fence=row.fence + 1, owner=None, lease_until=None)
            )
            close(conn, id, Status.CANCELLED, now)
            write_event(conn, id, now, "cancelled")


def close(conn: Connection, id: int, status: Status, now: float) -> None:
    """End an operation as done or cancelled, with its claims, its open install and job."""
    conn.execute(update(operations).where(operations.c.id == id).values(status=status, updated=now))
    conn.execute(delete(claims_table).where(claims_table.c.operation == id))
    installs.close(conn, id, now)
    jobs.close(conn, id, now)


def _dumps(params: dict[str, Any]) -> str:
    try:
        return json.dumps(params, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadInput(f"the parameters of an operation must be JSON: {error}") from error


def _row(conn: Connection, id: int) -> Any:
    row = conn.execute(select(operations).where(operations.c.id == id)).first()
    if row is None:
        raise BadInput(f"there is no operation {id}", mend="metal run list")
    return row


def _insert(
    conn: Connection, now: float, kind: str, subject: str, params: str, version: int
) -> Any:
    return conn.execute(
        insert(operations)
        .values(
            kind=kind,
            subject=subject,
            params=params,
            version=version,
            status=Status.RUNNING,
            error="",
            fence=0,
            created=now,
            updated=now,
        )
        .returning(*operations.c)
    ).one()


def _refuse_held(conn: Connection, wanted: str, by: str, subjects: set[str]) -> None:
    held = conn.execute(
        select(claims_table.c.subject, operations.c.id, operations.c.kind, operations.c.subject)
        .join(operations, operations.c.id == claims_table.c.operation)
        .where(claims_table.c.subject.in_(subjects))
        .order_by(claims_table.c.subject)
    ).first()
    if held:
        claimed, id, kind, subject = held
        raise Refused(
            f"operation {id} ({kind} {subject}) is open and holds {claimed}, "
            f"which {wanted} {by} needs",
            where=claimed,
            mend=f"metal run show {id}; then metal run resume {id}, or metal run cancel {id}",
        )


def _claim(conn: Connection, row: Any, subjects: set[str]) -> None:
    _refuse_held(conn, row.kind, row.subject, subjects)
    conn.execute(
        insert(claims_table), [{"subject": s, "operation": row.id} for s in sorted(subjects)]
    )


def _operation(row: Any, now: float, here: Owner, done: Iterable[Step] = ()) -> Operation:
    return Operation(
        id=row.id,
        kind=row.kind,
        subject=row.subject,
        params=json.loads(row.params),
        version=row.version,
        status=Status(row.status),
        error=row.error,
        owner=str(Owner.loads(row.owner)) if row.owner else "",
        alive=alive(row, now, here),
        lease_until=row.lease_until,
        fence=row.fence,
        created=row.created,
        updated=row.updated,
        steps=tuple(done),
    )


def _step(row: Any) -> Step:
    return Step(
        number=row.number,
        name=row.name,
        done=row.result is not None,
        result=None if row.result is None else json.loads(row.result),
        deadline=row.deadline,
        began=row.began,
        ended=row.ended,
    )
