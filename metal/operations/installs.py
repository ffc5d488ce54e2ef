"""The open installs: what the install flow and the boot service tell each other.

An install is one authorised wipe of one server. It is opened by an operation, matched to the
machine that boots, its preseed is taken exactly once, and it is closed with its operation.
Tokens are known here by hash only.
"""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from metal.model.errors import BadInput, Refused
from metal.operations.database import Database
from metal.operations.tables import installs, operations

PHASES = ("opened", "script", "preseed", "partitioned", "base", "finished", "up")
"""In this order; `preseed` is the moment the wipe is authorised and used up."""
AGAIN = "again"


@dataclass(frozen=True)
class Install:
    server: str
    mac: str
    """Lower case, colons."""
    uuid: str | None
    """Of the machine, lower case; None if the BMC did not tell it."""
    operation: int
    phase: str
    details: dict[str, Any]
    """What came with the phase's report."""
    taken: bool
    closed: bool


class Installs:
    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self, server: str, mac: str, uuid: str | None, token_hash: str, operation: int
    ) -> None:
        """Authorise one wipe of `server`. The same operation may repeat it until it was taken.

        Refused while another operation's install of the server is open, or once taken.
        """
        machine = {"server": server, "mac": _mac(mac), "uuid": uuid and uuid.lower()}
        with self._database.write() as conn:
            now = self._database.now(conn)
            mine = conn.execute(select(installs).where(installs.c.operation == operation)).first()
            if mine is None:
                _refuse_second(conn, server)
                _insert(conn, now, operation, token_hash=token_hash, **machine)
            elif (mine.token_hash, mine.closed) != (token_hash, None):
                _refuse_taken(mine)
                values = {**machine, "token_hash": token_hash, "updated": now}
                conn.execute(update(installs).where(installs.c.id == mine.id).values(**values))

    def for_machine(self, mac: str | None, uuid: str | None) -> str | None:
        """The server that boots, if an install is open for it and not yet taken.

        Each of `mac` and `uuid` that is given must match (a UUID only where one is known).
        """
        if mac is None and uuid is None:
            return None
        query = select(installs).where(installs.c.closed.is_(None), installs.c.taken.is_(None))
        with self._database.read() as conn:
            fits = [row.server for row in conn.execute(query) if _fits(row, mac, uuid)]
        return fits[0] if len(fits) == 1 else None

    def came_back(self, mac: str | None, uuid: str | None) -> None:
        """Noted where the machine's open install was taken already: it boots from the network
        again, though that was for one boot. `details["again"]` says so from now on."""
        query = select(installs).where(installs.c.closed.is_(None), installs.c.taken.is_not(None))
        with self._database.write() as conn:
            for row in [row for row in conn.execute(query) if _fits(row, mac, uuid)]:
                details = json.dumps({**json.loads(row.details), AGAIN: True})
                changed = update(installs).where(installs.c.id == row.id)
                conn.execute(changed.values(details=details))

    def by_token(self, token_hash: str) -> Install | None:
        """The open install of that token, taken or not."""
        query = select(installs).where(
            installs.c.token_hash == token_hash, installs.c.closed.is_(None)
        )
        with self._database.read() as conn:
            row = conn.execute(query).first()
            return _install(row) if row else None

    def take(self, token_hash: str) -> str:
        """The server whose disk may now be wiped. Once per install: after that, Refused."""
        with self._database.write() as conn:
            now = self._database.now(conn)
            row = _of_token(conn, token_hash)
            _refuse_taken(row)
            phase = max(row.phase, "preseed", key=PHASES.index)
            conn.execute(
                update(installs)
                .where(installs.c.id == row.id, installs.c.taken.is_(None))
                .values(taken=now, phase=phase, updated=now)
            )
            return str(row.server)

    def report(self, token_hash: str, phase: str, details: dict[str, Any] | None = None) -> None:
        """The machine came to `phase`. One that is not later than the last is a duplicate.

        Refused for a token nobody knows. After the install is closed it changes nothing.
        """
        if phase not in PHASES:
            raise BadInput(f"there is no phase {phase!r}", mend=f"one of {', '.join(PHASES)}")
        with self._database.write() as conn:
            now = self._database.now(conn)
            row = _of_token(conn, token_hash)
            if row.closed is None and PHASES.index(phase) > PHASES.index(row.phase):
                kept = {key: told for key, told in json.loads(row.details).items() if key == AGAIN}
                conn.execute(
                    update(installs)
                    .where(installs.c.id == row.id)
                    .values(
                        phase=phase, details=json.dumps({**kept, **(details or {})}), updated=now
                    )
                )

    def phase(self, server: str) -> tuple[str, dict[str, Any]] | None:
        """(phase, its details) of the server's newest install, open or closed; None if none."""
        install = self.latest(server)
        return (install.phase, install.details) if install else None

    def latest(self, server: str) -> Install | None:
        """The server's newest install, open or closed."""
        query = select(installs).where(installs.c.server == server).order_by(installs.c.id.desc())
        with self._database.read() as conn:
            row = conn.execute(query).first()
            return _install(row) if row else None

    def close(self, operation: int) -> None:
        """Nothing is handed out for it any more. Ending the operation does the same."""
        with self._database.write() as conn:
            close(conn, operation, self._database.now(conn))


def close(conn: Connection, operation: int, now: float) -> None:
    """Close the operation's install, if it has one, in the caller's transaction."""
    conn.execute(
        update(installs)
        .where(installs.c.operation == operation, installs.c.closed.is_(None))
        .values(closed=now)
    )


def _mac(text: str) -> str:
    return text.lower().replace("-", ":")


def _fits(row: Any, mac: str | None, uuid: str | None) -> bool:
    same_mac = mac is None or _mac(mac) == row.mac
    if uuid is None or row.uuid is None:
        return same_mac and mac is not None
    return same_mac and bool(uuid.lower() == row.uuid)


def _of_token(conn: Connection, token_hash: str) -> Any:
    row = conn.execute(select(installs).where(installs.c.token_hash == token_hash)).first()
    if row is None:
        raise Refused("no install has this token", mend="boot the machine anew")
    return row


def _refuse_taken(row: Any) -> None:
    if row.taken is None and row.closed is None:
        return
    why = "was handed out already" if row.closed is None else "is closed"
    raise Refused(
        f"the install of operation {row.operation} {why}: a disk is wiped at most once",
        where=row.server,
        mend=f"metal run cancel {row.operation}, then plan a new install"
        if row.closed is None
        else "plan a new install",
    )


def _refuse_second(conn: Connection, server: str) -> None:
    other = conn.execute(
        select(installs.c.operation).where(installs.c.server == server, installs.c.closed.is_(None))
    ).scalar()
    if other is not None:
        raise Refused(
            f"operation {other} has an open install of it",
            where=server,
            mend=f"metal run resume {other}, or metal run cancel {other}",
        )


def _insert(conn: Connection, now: float, operation: int, **values: Any) -> None:
    known = conn.execute(select(operations.c.id).where(operations.c.id == operation)).scalar()
    if known is None:
        raise BadInput(f"there is no operation {operation}", where=values["server"])
    conn.execute(
        insert(installs).values(
            operation=operation, phase=PHASES[0], details="{}", opened=now, updated=now, **values
        )
    )


def _install(row: Any) -> Install:
    return Install(
        server=row.server,
        mac=row.mac,
        uuid=row.uuid,
        operation=row.operation,
        phase=row.phase,
        details=json.loads(row.details),
        taken=row.taken is not None,
        closed=row.closed is not None,
    )
