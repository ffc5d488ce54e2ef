"""The one door to the database: short transactions, one writer at a time, errors in clear words.

Both engines are used alike: a write transaction first takes the single write lock (SQLite:
BEGIN IMMEDIATE; PostgreSQL: an advisory lock), so what it reads stays true until it commits and
ids are handed out in the order of commits. Nothing slow ever happens inside one.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, TimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from metal.model.errors import BadInput, Failed, MetalError, Unreachable

FILE = "metal.db"
_BUSY_SECONDS = 30
LEAP = 30.0
"""Seconds: what was written so far in the future was written before the clock was set back. A lease
of then is believed no more, or whoever stalls would hold it for as long as the clock jumped."""
_LOCK = 0x6D6574616C  # "metal": the advisory lock every writer takes on PostgreSQL


@dataclass(frozen=True)
class Clock:
    """This machine's time; tests bring their own."""

    wall: Callable[[], float] = time.time
    """Seconds since the epoch."""
    monotonic: Callable[[], float] = time.monotonic
    """Seconds that never jump, for measuring how long something took."""


class Database:
    """An opened database. All methods may be called from any thread."""

    def __init__(self, engine: Engine, where: str, clock: Clock) -> None:
        self.where = where
        self.clock = clock
        self._engine = engine
        self._writer = engine.execution_options(metal_write=True)
        self._postgresql = engine.dialect.name == "postgresql"
        # SQLite's waiters poll and the unlucky starve; threads of one process queue here.
        self._turn = nullcontext() if self._postgresql else threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, and sees one state throughout on SQLite."""
        with self._in_words(), self._engine.begin() as conn:
            yield conn

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock; an exception undoes it whole. Never nest."""
        with self._turn, self._in_words(), self._writer.begin() as conn:
            if self._postgresql:
                conn.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            yield conn

    def now(self, conn: Connection) -> float:
        """Seconds since the epoch: the server's clock where several hosts share one."""
        if self._postgresql:
            return float(
                conn.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one()
            )
        return self.clock.wall()

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Turn what the database says into an error a person can act on."""
        try:
            yield
        except DBAPIError as error:
            raise _explain(error.orig or error, self.where) from error
        except TimeoutError as error:
            raise Unreachable(
                "no free connection to the state database",
                where=self.where,
                mend="run fewer operations at once, then try again",
            ) from error


def connect(url: str, state: Path, clock: Clock) -> Database:
    """Open (SQLite: make) the database that `url` names; its tables are not looked at."""
    if url == "sqlite":
        return _sqlite(state, clock)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = URL.create("unknown")
    if parsed.drivername not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise BadInput(
            "the state setting names no database metal knows",
            where="fleet.state",
            mend='write "sqlite" or "postgresql://USER@HOST/NAME"',
        )
    return _postgresql(parsed.set(drivername="postgresql+psycopg"), clock)


def _sqlite(state: Path, clock: Clock) -> Database:
    path = state / FILE
    _make_private(state, path)
    _use_wal(path)
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": _BUSY_SECONDS},
        max_overflow=-1,  # readers do not wait for each other; writers queue elsewhere
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return Database(engine, str(path), clock)


def _make_private(state: Path, path: Path) -> None:
    """The folder 0700 and the file 0600; SQLite gives its -wal and -shm the file's mode."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        for entry, mode in ((state, 0o700), (path, 0o600)):
            if entry.stat().st_mode & 0o077:
                entry.chmod(mode)
    except OSError as error:
        raise BadInput(
            f"the state cannot be kept here: {error.strerror}",
            where=str(path),
            mend="run metal as the user who owns this workspace, on a disk that is writable",
        ) from error


def _set_up_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says, not later
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(conn: Connection) -> None:
    writes = conn.get_execution_options().get("metal_write", False)
    conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _use_wal(path: Path) -> None:
    """Switch to write-ahead logging. SQLite does not wait for others here, so this does."""
    deadline = time.monotonic() + _BUSY_SECONDS
    pause = threading.Event()
    while True:
        try:
            with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.Error as error:
            if _code(error) != "SQLITE_BUSY" or time.monotonic() > deadline:
                raise _explain(error, str(path)) from error
            pause.wait(0.02)


def _postgresql(url: URL, clock: Clock) -> Database:
    try:
        engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
    except ModuleNotFoundError as error:
        raise BadInput(
            "the state is kept in PostgreSQL, and its driver is not installed",
            where="fleet.state",
            mend="pip install 'metal[postgresql]'",
        ) from error
    event.listen(engine, "connect", _set_up_postgresql)
    return Database(engine, url.render_as_string(hide_password=True), clock)


def _set_up_postgresql(connection: Any, _entry: ConnectionPoolEntry) -> None:
    # A stopped process must not hold the write lock for ever, nor others wait for it so long.
    connection.execute("SET idle_in_transaction_session_timeout = '10s'")
    connection.execute(f"SET lock_timeout = '{_BUSY_SECONDS}s'")
    connection.commit()


_DISK = "free some space, then run the same again; what was written before is kept"
_BROKEN = "put the last good copy of it back; metal must not guess what its servers were doing"

# By SQLite's error names (sqlite.org/rescode.html) and PostgreSQL's SQLSTATE classes.
_WORDS: tuple[tuple[str, type[MetalError], str, str], ...] = (
    ("SQLITE_FULL", Failed, "the disk of the state is full", _DISK),
    ("SQLITE_IOERR", Failed, "the state could not be read or written", _DISK),
    ("SQLITE_BUSY", Unreachable, "another process holds the state", "wait for it, then try again"),
    ("SQLITE_NOTADB", BadInput, "this is not a database of metal", _BROKEN),
    ("SQLITE_CORRUPT", Failed, "the state is damaged", _BROKEN),
    (
        "SQLITE_READONLY",
        BadInput,
        "the state may not be written",
        "run metal as the user who owns this workspace",
    ),
    (
        "SQLITE_CANTOPEN",
        BadInput,
        "the state cannot be opened",
        "run metal as the user who owns this workspace",
    ),
    ("53", Failed, "the database server has no room left", _DISK),
    ("55P03", Unreachable, "another process holds the state", "wait for it, then try again"),
    ("28", BadInput, "the database refused the login", "correct fleet.state"),
    ("3D", BadInput, "there is no such database", "create it, or correct fleet.state"),
    ("42501", BadInput, "the database user may not do this", "make it the database's owner"),
    ("08", Unreachable, "the connection to the database broke", "try again"),
    ("57", Unreachable, "the database server ended the connection", "try again"),
    ("25P03", Unreachable, "the database gave up on a process that slept", "try again"),
)


def _explain(error: BaseException, where: str) -> MetalError:
    """The error of a driver (sqlite3, psycopg) as one of ours."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    code = _code(error)
    for prefix, kind, what, mend in _WORDS:
        if code.startswith(prefix):
            return kind(f"{what} ({said})", where=where, mend=mend)
    if not code and type(error).__name__ in ("OperationalError", "InterfaceError"):
        if "does not exist" in said or "authentication failed" in said:
            return BadInput(
                f"the database refused: {said}", where=where, mend="correct fleet.state"
            )
        return Unreachable(
            f"the state database does not answer: {said}",
            where=where,
            mend="see that its server runs and can be reached, then try again",
        )
    return Failed(
        f"the state database failed: {said}",
        where=where,
        mend="run the same again; report it if it stays",
    )


def _code(error: BaseException) -> str:
    """SQLite's error name or PostgreSQL's SQLSTATE; empty when there is none."""
    return str(getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None) or "")
