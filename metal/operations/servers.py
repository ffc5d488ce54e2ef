"""The record of each server: where it stands in its life, and what metal must not forget of it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, insert, select, update

from metal.model.errors import Refused
from metal.model.life import Life, Status, check_transition
from metal.operations.database import Database
from metal.operations.tables import servers


class Fence(Protocol):
    """A Run: what makes a write its own."""

    def guard(self, conn: Connection) -> float: ...


@dataclass(frozen=True)
class ServerRecord:
    life: Life = Life.FOUND
    status: Status = Status.DONE
    """How its last operation stands; HELD: nothing may be done with it."""
    note: str = ""
    """Why it is held or failed."""
    node_fingerprint: str | None = None
    """The pin of its Proxmox API's certificate, set when it was first seen installed."""


class Servers:
    """A server that was never written is `found`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> ServerRecord:
        with self._database.read() as conn:
            return _get(conn, name)

    def all(self, names: Collection[str] | None = None) -> dict[str, ServerRecord]:
        """Every server that was written, or those of `names` that were."""
        query = select(servers).order_by(servers.c.name)
        if names is not None:
            query = query.where(servers.c.name.in_(names))
        with self._database.read() as conn:
            return {row.name: _record(row) for row in conn.execute(query)}

    def move(self, name: str, life: Life, run: Fence | None = None) -> None:
        """On to `life`; Refused where the life table says no. With `run`, only while it owns."""
        with self._database.write() as conn:
            if run:
                run.guard(conn)
            check_transition(name, _get(conn, name).life, life)
            _set(conn, name, life=life)

    def mark(self, name: str, status: Status, note: str = "", run: Fence | None = None) -> None:
        """How its last operation stands."""
        with self._database.write() as conn:
            if run:
                run.guard(conn)
            _set(conn, name, status=status, note=note)

    def hold(self, name: str, note: str) -> None:
        """Nothing may be done with it until it is released."""
        self.mark(name, Status.HELD, note)

    def release(self, name: str) -> None:
        self.mark(name, Status.DONE)

    def pin(self, name: str, fingerprint: str) -> None:
        """Remember its node's certificate. Refused if another is pinned."""
        with self._database.write() as conn:
            pinned = _get(conn, name).node_fingerprint
            if pinned not in (None, fingerprint):
                raise Refused(
                    f"its certificate is {fingerprint}, and {pinned} is pinned",
                    where=name,
                    mend="find out why it changed; installing the server anew drops the pin",
                )
            _set(conn, name, node_fingerprint=fingerprint)

    def unpin(self, name: str, run: Fence | None = None) -> None:
        """Forget the pin: the server is installed anew and will show another certificate."""
        with self._database.write() as conn:
            if run:
                run.guard(conn)
            _set(conn, name, node_fingerprint=None)


def _get(conn: Connection, name: str) -> ServerRecord:
    row = conn.execute(select(servers).where(servers.c.name == name)).first()
    return _record(row) if row else ServerRecord()


def _record(row: Any) -> ServerRecord:
    return ServerRecord(Life(row.life), Status(row.status), row.note, row.node_fingerprint)


def _set(conn: Connection, name: str, **values: Any) -> None:
    done = conn.execute(update(servers).where(servers.c.name == name).values(**values))
    if done.rowcount == 0:
        new = {"life": Life.FOUND, "status": Status.DONE, "note": "", **values}
        conn.execute(insert(servers).values(name=name, **new))
