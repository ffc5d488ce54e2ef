"""Stores on both engines, a throw-away PostgreSQL, a clock of our own, and real processes."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    postgresql: Any = request.getfixturevalue("postgresql")
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
