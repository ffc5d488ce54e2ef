"""Stores on both engines, a throw-away PostgreSQL, a clock of our own, and real processes."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from metal.operations.database import Clock
from metal.operations.store import Store, open_store

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 30.0
"""Seconds after which a process that does not answer counts as stuck."""


@dataclass(frozen=True)
class Place:
    """Where a store is kept."""

    url: str
    state: Path

    @property
    def file(self) -> Path:
        return self.state / "metal.db"

    def open(self, lease_seconds: float = 15.0, clock: Clock | None = None) -> Store:
        return open_store(self.url, self.state, lease_seconds=lease_seconds, clock=clock)


class FakeTime:
    """Time that passes only when told, or when somebody waits on `stop`."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.waits: list[float] = []
        self.clock = Clock(wall=lambda: self.now, monotonic=lambda: self.now)
        self.stop = _Stop(self)


class _Stop(threading.Event):
    def __init__(self, time: FakeTime) -> None:
        super().__init__()
        self._time = time
        self.after: int | None = None
        """Set after so many waits: the process is told to end."""

    def wait(self, timeout: float | None = None) -> bool:
        self._time.waits.append(timeout or 0.0)
        self._time.now += timeout or 0.0
        if self.after is not None and len(self._time.waits) >= self.after:
            self.set()
        return self.is_set()


@pytest.fixture
def fake() -> FakeTime:
    return FakeTime()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place for a store, on each engine in turn."""
    if request.param == "sqlite":
        return Place("sqlite", tmp_path / "state")
    postgresql: Postgresql = request.getfixturevalue("postgresql")
    return Place(postgresql.database(), tmp_path / "state")


@pytest.fixture
def local(tmp_path: Path) -> Place:
    """An empty place for a store on SQLite."""
    return Place("sqlite", tmp_path / "state")


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as store:
        yield store


@dataclass
class Worker:
    """A process of worker.py: it tells what it does line by line, and goes on when told."""

    process: subprocess.Popen[str]
    heard: list[str] = field(default_factory=list)

    def hear(self, line: str) -> None:
        """Wait until it has said `line`, as the next or a later one."""
        while not self.heard or self.heard[-1] != line:
            assert self.process.stdout
            said = self.process.stdout.readline()
            assert said, f"ended without {line!r}: {self.heard} {self._complaint()}"
            self.heard.append(said.strip())

    def tell(self, line: str = "go") -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)

    def end(self) -> tuple[int, str]:
        """(exit code, last line) once it has ended."""
        rest, _ = self.process.communicate(timeout=PATIENCE)
        self.heard += rest.split("\n")[:-1]
        return self.process.returncode, self.heard[-1] if self.heard else ""

    def _complaint(self) -> str:
        assert self.process.stderr
        return self.process.stderr.read()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """start(place, what, *words): a worker process, killed at the end whatever it does."""
    workers: list[Worker] = []

    def run(place: Place, what: str, *words: object) -> Worker:
        command = [sys.executable, str(Path(__file__).with_name("worker.py"))]
        command += [place.url, str(place.state), str(tmp_path / "log"), what, *map(str, words)]
        pipe = subprocess.PIPE
        workers.append(
            Worker(
                subprocess.Popen(
                    command,
                    stdin=pipe,
                    stdout=pipe,
                    stderr=pipe,
                    text=True,
                    env={
                        **os.environ,
                        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path[1:]]),
                    },
                )
            )
        )
        return workers[-1]

    yield run
    for worker in workers:
        worker.process.kill()
        worker.process.communicate()


@pytest.fixture
def log(tmp_path: Path) -> Callable[[], list[str]]:
    """What the workers' steps did, in order: one line each time a step acts."""
    path = tmp_path / "log"
    return lambda: path.read_text().split() if path.exists() else []


class Postgresql:
    """A cluster of its own on a Unix socket, gone at the end of the tests."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._count = 0

    def database(self) -> str:
        """The URL of a new, empty database."""
        self._count += 1
        name = f"t{self._count}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql://metal@/{name}?host={self._socket}"

    def sql(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            conn.execute(statement.encode())


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    pytest.importorskip("psycopg")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed: no /usr/lib/postgresql/*/bin/initdb")
    # A socket's path may have 107 bytes at most, so not under pytest's own folder.
    folder = Path(tempfile.mkdtemp(prefix="metal-pg-"))
    try:
        yield from _cluster(found[-1].parent, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cluster(binaries: Path, folder: Path) -> Iterator[Postgresql]:
    data = folder / "data"
    init = [binaries / "initdb", "-D", data, "-U", "metal", "--auth=trust", "--no-sync"]
    made = subprocess.run(
        [*_as_nobody(folder), *init, "--no-locale", "-E", "UTF8"],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert made.returncode == 0, made.stderr
    serve = [binaries / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses="]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*_as_nobody(folder), *serve, "-c", "fsync=off", "-c", "max_connections=200"],
            stdout=log,
            stderr=log,
            cwd=folder,
        )
    try:
        cluster = Postgresql(folder)
        _await(cluster, server, folder / "log")
        yield cluster
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: nothing in it is worth keeping
        server.wait(PATIENCE)


def _as_nobody(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root. The server also ends should the tests be killed."""
    if os.getuid() != 0:
        return ["setpriv", "--pdeathsig", "INT"] if shutil.which("setpriv") else []
    if not shutil.which("setpriv"):
        pytest.skip("PostgreSQL does not run as root, and there is no setpriv to leave it")
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    user = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    return ["setpriv", *user, "--pdeathsig", "INT"]


def _await(cluster: Postgresql, server: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            cluster.sql("SELECT 1")
            return
        except psycopg.OperationalError:
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            threading.Event().wait(0.02)
