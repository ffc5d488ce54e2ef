"""The accepted plan. While one is open it is carried on, and none other is accepted."""

from dataclasses import dataclass

from sqlalchemy import insert, select, update

from metal.model.errors import Refused
from metal.operations.database import Database
from metal.operations.tables import plans


@dataclass(frozen=True)
class AcceptedPlan:
    fingerprint: str
    plan_json: str
    accepted: float
    """Seconds since the epoch."""


class Plans:
    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, plan_json: str, fingerprint: str) -> None:
        """Make this the plan that is carried out. Accepting the open one again changes nothing."""
        with self._database.write() as conn:
            row = conn.execute(_OPEN).first()
            if row is None:
                conn.execute(
                    insert(plans).values(
                        fingerprint=fingerprint,
                        body=plan_json,
                        status="open",
                        accepted=self._database.now(conn),
                    )
                )
            elif (row.fingerprint, row.body) != (fingerprint, plan_json):
                raise Refused(
                    f"another plan ({row.fingerprint[:12]}) was accepted and is not finished",
                    mend="metal apply carries it on; abandon it to make a new one",
                )

    def current(self) -> AcceptedPlan | None:
        """The open plan, if there is one."""
        with self._database.read() as conn:
            row = conn.execute(_OPEN).first()
            return AcceptedPlan(row.fingerprint, row.body, row.accepted) if row else None

    def done(self, fingerprint: str) -> None:
        """The open plan of that fingerprint was carried out. Another one open is left alone."""
        self._end("done", fingerprint)

    def abandon(self) -> None:
        """Give the open plan up; the operations it began stay as they are."""
        self._end("abandoned", None)

    def _end(self, status: str, fingerprint: str | None) -> None:
        query = update(plans).where(plans.c.status == "open")
        if fingerprint is not None:
            query = query.where(plans.c.fingerprint == fingerprint)
        with self._database.write() as conn:
            conn.execute(query.values(status=status, ended=self._database.now(conn)))


_OPEN = select(plans).where(plans.c.status == "open")
