"""Which of several watchers leads: a lease on the post, and a term that grows.

A lock that a database session holds would stay with a process that was stopped, as long as its
connection lives. So the post is a row with a lease, taken and renewed under the database's own
write lock and by its clock: whoever stalls loses it, and every action of a deposed leader is
refused by `guard`, in the transaction that would begin it.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from metal.model.errors import MetalError
from metal.operations.database import LEAP, Database
from metal.operations.owner import Owner, gone, this_process
from metal.operations.watch_tables import leaders


class Deposed(MetalError):
    """This process does not lead any more; nothing was written."""


@dataclass(frozen=True)
class Term:
    """One uninterrupted time in office."""

    post: str
    number: int
    place: str


@dataclass(frozen=True)
class Leader:
    """Who holds a post. Times: seconds since the epoch by the store's clock."""

    place: str
    process: str
    """ "pid 12 on HOST"."""
    term: int
    since: float
    until: float


class Leading:
    """The posts. Every method may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def seek(self, post: str, place: str, seconds: float, me: Owner | None = None) -> Term | None:
        """The post for `seconds` from now, newly taken or renewed; None while another holds it.

        A holder whose process is provably gone on this host is followed at once.
        """
        me = me or this_process()
        with self._database.write() as conn:
            now = self._database.now(conn)
            row = conn.execute(select(leaders).where(leaders.c.post == post)).first()
            if row is not None and not _mine(row, me):
                set_back = row.until > now + seconds + LEAP
                if not set_back and not _lapsed(row, now, me):
                    return None
            keeps = row is not None and _mine(row, me) and row.until > now
            term = _next(row, keeps)
            values = {
                "place": place,
                "owner": me.dumps(),
                "term": term,
                "since": row.since if keeps and row is not None else now,
                "until": now + seconds,
            }
            if row is None:
                conn.execute(insert(leaders).values(post=post, **values))
            else:
                conn.execute(update(leaders).where(leaders.c.post == post).values(**values))
        return Term(post, term, place)

    def check(self, term: Term) -> None:
        """Deposed once the term is over."""
        with self._database.read() as conn:
            guard(self._database, conn, term)

    def resign(self, term: Term) -> None:
        """Leave the post free at once. The number of the term is never used again."""
        mine = (leaders.c.post == term.post) & (leaders.c.term == term.number)
        with self._database.write() as conn:
            conn.execute(update(leaders).where(mine).values(until=self._database.now(conn)))

    def who(self, post: str) -> Leader | None:
        """Who holds it now; None when nobody does."""
        with self._database.read() as conn:
            now = self._database.now(conn)
            row = conn.execute(select(leaders).where(leaders.c.post == post)).first()
        if row is None or _lapsed(row, now, this_process()):
            return None
        return Leader(row.place, str(Owner.loads(row.owner)), row.term, row.since, row.until)


def guard(database: Database, conn: Connection, term: Term) -> None:
    """Make the caller's transaction one of this term. Deposed once it is over."""
    row = conn.execute(select(leaders).where(leaders.c.post == term.post)).first()
    over = row is None or row.until <= database.now(conn)
    if row is None or over or row.term != term.number:
        now = "nobody" if row is None or over else f"the watcher at {row.place}"
        raise Deposed(
            f"the watcher at {term.place} does not lead any more, {now} does: nothing was done",
            mend="metal watch --who",
        )


def _next(row: Any, keeps: bool) -> int:
    if row is None:
        return 1
    return int(row.term) if keeps else int(row.term) + 1


def _mine(row: Any, me: Owner) -> bool:
    return Owner.loads(row.owner) == me


def _lapsed(row: Any, now: float, here: Owner) -> bool:
    return row.until <= now or gone(Owner.loads(row.owner), here)
