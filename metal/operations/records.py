"""What is known of a server besides its place in life: the last of each kind, as JSON.

Kinds in use: `facts` (model.facts.Facts of the last look), `findings` (a list of
model.findings.Finding), `unexamined` (id of a finding → why nobody knows whether it is there),
`passport` (model.passport.Passport), and what a burn-in and a wipe leave.
"""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update

from metal.operations.database import Database
from metal.operations.servers import Fence
from metal.operations.tables import records


@dataclass(frozen=True)
class Record:
    at: float
    """When it was written, in seconds since the epoch by the store's clock."""
    body: Any
    """What was put, as JSON holds it."""


class Records:
    """One body a server and kind: a new one takes the place of the one before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, server: str, kind: str, body: Any, run: Fence | None = None) -> None:
        """Keep `body` (of JSON types). With `run`, only while it owns its operation."""
        text = json.dumps(body, allow_nan=False)
        mine = (records.c.server == server) & (records.c.kind == kind)
        with self._database.write() as conn:
            at = run.guard(conn) if run else self._database.now(conn)
            done = conn.execute(update(records).where(mine).values(at=at, body=text))
            if done.rowcount == 0:
                conn.execute(insert(records).values(server=server, kind=kind, at=at, body=text))

    def get(self, server: str, kind: str) -> Record | None:
        """The last of that kind; None if there never was one."""
        query = select(records).where(records.c.server == server, records.c.kind == kind)
        with self._database.read() as conn:
            row = conn.execute(query).first()
            return Record(row.at, json.loads(row.body)) if row else None

    def all(self, kind: str) -> dict[str, Record]:
        """server → its last record of that kind, by name."""
        query = select(records).where(records.c.kind == kind).order_by(records.c.server)
        with self._database.read() as conn:
            return {r.server: Record(r.at, json.loads(r.body)) for r in conn.execute(query)}

    def forget(self, server: str, kind: str) -> None:
        """It is no longer true, and nothing takes its place."""
        mine = (records.c.server == server) & (records.c.kind == kind)
        with self._database.write() as conn:
            conn.execute(delete(records).where(mine))
