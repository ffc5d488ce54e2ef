"""Jobs of the live system: what an operation and the machine that boots it tell each other.

A job is opened by an operation and matched to the machine that boots, as an install is. The
machine gets a token with its boot script, takes the job with it exactly once, and tells with the
same token how far it is and what it found. Tokens are known here by hash only.
"""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from metal.model.errors import BadInput, Refused
from metal.operations.database import Database
from metal.operations.tables import evidence, jobs, operations

OPENED, BOOTED, TAKEN = "opened", "booting", "taken"
"""The first phases; the later ones are the live system's own."""


@dataclass(frozen=True)
class Job:
    id: int
    server: str
    operation: int
    body: dict[str, Any]
    """What is to be done, as the live system gets it."""
    phase: str
    fraction: float
    text: str
    beats: int
    """Grows with everything that is heard: the same twice is silence."""
    heard: float
    """When that was, the last time: seconds since the epoch."""
    taken: bool
    ended: dict[str, Any] | None
    """What it told at its end; None until then."""


class Jobs:
    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self,
        server: str,
        macs: tuple[str, ...],
        uuid: str | None,
        body: dict[str, Any],
        operation: int,
    ) -> None:
        """Let the machine do `body` once. The same operation may repeat it until it was taken.

        `macs`: the cards it may boot through; which of them it tries is its firmware's affair.
        Refused while another operation's job for the server is open.
        """
        cards = " ".join(map(_mac, macs))
        values = {"macs": cards, "uuid": uuid and uuid.lower(), "body": json.dumps(body)}
        with self._database.write() as conn:
            now = self._database.now(conn)
            mine = conn.execute(select(jobs).where(jobs.c.operation == operation)).first()
            if mine is None:
                _refuse_second(conn, server)
                _insert(conn, now, server, operation, values)
            elif mine.taken is None and mine.closed is None:
                conn.execute(update(jobs).where(jobs.c.id == mine.id).values(**values))

    def boot(self, mac: str, uuids: tuple[str, ...], token_hash: str) -> Job | None:
        """The job of the machine that asks what to boot; `token_hash` is its token from now on.

        None if there is none, or it was taken. Each of MAC and UUID that is known must match.
        """
        with self._database.write() as conn:
            query = select(jobs).where(jobs.c.closed.is_(None), jobs.c.taken.is_(None))
            fits = [row for row in conn.execute(query) if _fits(row, _mac(mac), uuids)]
            if len(fits) != 1:
                return None
            _heard(conn, self._database, fits[0], token_hash=token_hash, phase=BOOTED)
            return _job(conn, fits[0].id)

    def by_token(self, token_hash: str) -> Job | None:
        """The open job of that token, taken or not."""
        with self._database.read() as conn:
            row = _of_token(conn, token_hash)
            return _job(conn, row.id) if row else None

    def take(self, token_hash: str) -> Job | None:
        """The job, once; Refused the second time, None for a token nobody knows."""
        with self._database.write() as conn:
            row = _of_token(conn, token_hash)
            if row is None:
                return None
            if row.taken is not None:
                raise Refused("the job was handed out already", where=row.server)
            now = self._database.now(conn)
            _heard(conn, self._database, row, taken=now, phase=TAKEN)
            return _job(conn, row.id)

    def tell(self, token_hash: str, phase: str, fraction: float, text: str) -> bool:
        """It is that far; False for a token nobody knows, or a job that was not taken or ended."""
        values = {"phase": phase, "fraction": min(1.0, max(0.0, fraction)), "text": text}
        with self._database.write() as conn:
            row = _of_token(conn, token_hash)
            if row is None or row.taken is None or row.ended is not None:
                return False
            _heard(conn, self._database, row, **values)
            return True

    def note(self, token_hash: str, name: str, body: dict[str, Any]) -> bool:
        """It found that; the same name again takes the place of the one before."""
        with self._database.write() as conn:
            row = _of_token(conn, token_hash)
            if row is None or row.taken is None or row.ended is not None:
                return False
            mine = (evidence.c.job == row.id) & (evidence.c.name == name)
            values = {"at": self._database.now(conn), "body": json.dumps(body)}
            if conn.execute(update(evidence).where(mine).values(**values)).rowcount == 0:
                conn.execute(insert(evidence).values(job=row.id, name=name, **values))
            _heard(conn, self._database, row)
            return True

    def end(self, token_hash: str, said: dict[str, Any]) -> bool:
        """It is done; telling it twice changes nothing."""
        with self._database.write() as conn:
            row = _of_token(conn, token_hash)
            if row is None or row.taken is None:
                return False
            if row.ended is None:
                _heard(conn, self._database, row, ended=json.dumps(said), fraction=1.0)
            return True

    def of(self, operation: int) -> Job | None:
        """The operation's job, open or closed."""
        with self._database.read() as conn:
            row = conn.execute(select(jobs.c.id).where(jobs.c.operation == operation)).first()
            return _job(conn, row.id) if row else None

    def found(self, operation: int) -> dict[str, dict[str, Any]]:
        """name → what the operation's job told of it."""
        query = (
            select(evidence.c.name, evidence.c.body)
            .join(jobs, jobs.c.id == evidence.c.job)
            .where(jobs.c.operation == operation)
            .order_by(evidence.c.name)
        )
        with self._database.read() as conn:
            return {row.name: json.loads(row.body) for row in conn.execute(query)}

    def close(self, operation: int) -> None:
        """Nothing is handed out or heard for it any more. Ending the operation does the same."""
        with self._database.write() as conn:
            close(conn, operation, self._database.now(conn))


def close(conn: Connection, operation: int, now: float) -> None:
    """Close the operation's job, if it has one, in the caller's transaction."""
    mine = (jobs.c.operation == operation) & jobs.c.closed.is_(None)
    conn.execute(update(jobs).where(mine).values(closed=now))


def _mac(text: str) -> str:
    return text.lower().replace("-", ":")


def _fits(row: Any, mac: str, uuids: tuple[str, ...]) -> bool:
    return mac in row.macs.split() and (not uuids or row.uuid is None or row.uuid in uuids)


def _of_token(conn: Connection, token_hash: str) -> Any:
    query = select(jobs).where(jobs.c.token_hash == token_hash, jobs.c.closed.is_(None))
    return conn.execute(query).first()


def _heard(conn: Connection, database: Database, row: Any, **values: Any) -> None:
    values |= {"beats": jobs.c.beats + 1, "updated": database.now(conn)}
    conn.execute(update(jobs).where(jobs.c.id == row.id).values(**values))


def _refuse_second(conn: Connection, server: str) -> None:
    query = select(jobs.c.operation).where(jobs.c.server == server, jobs.c.closed.is_(None))
    other = conn.execute(query).scalar()
    if other is not None:
        raise Refused(
            f"operation {other} has an open job for it",
            where=server,
            mend=f"run the same command again, or metal run cancel {other}",
        )


def _insert(
    conn: Connection, now: float, server: str, operation: int, values: dict[str, Any]
) -> None:
    known = conn.execute(select(operations.c.id).where(operations.c.id == operation)).scalar()
    if known is None:
        raise BadInput(f"there is no operation {operation}", where=server)
    first = {"phase": OPENED, "fraction": 0.0, "text": "", "beats": 0}
    row = {"server": server, "operation": operation, "opened": now, "updated": now}
    conn.execute(insert(jobs).values(**row, **first, **values))


def _job(conn: Connection, id: int) -> Job:
    row = conn.execute(select(jobs).where(jobs.c.id == id)).one()
    return Job(
        id=row.id,
        server=row.server,
        operation=row.operation,
        body=json.loads(row.body),
        phase=row.phase,
        fraction=row.fraction,
        text=row.text,
        beats=row.beats,
        heard=row.updated,
        taken=row.taken is not None,
        ended=None if row.ended is None else json.loads(row.ended),
    )
