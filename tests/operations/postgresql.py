"""A throw-away PostgreSQL on a Unix socket, for whichever tests need one."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 30.0


class Postgresql:
    """A cluster of its own on a Unix socket, gone at the end of the tests."""

    def __init__(self, socket: Path, command: list[Any]) -> None:
        self._socket, self._command = socket, command
        self._count = 0
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it answers."""
        with (self._socket / "log").open("a") as log:
            self._server = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self._socket)
        _await(self, self._server, self._socket / "log")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Every connection is broken; what was committed is there when it starts again."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(PATIENCE)
            self._server = None

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


def throw_away() -> Iterator[Postgresql]:
    """One cluster, ended when it is let go of; skips, saying why, where there is none."""
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
    settings = ["-c", "fsync=off", "-c", "max_connections=200"]
    cluster = Postgresql(folder, [*_as_nobody(folder), *serve, *settings])
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop(signal.SIGQUIT)  # at once: nothing in it is worth keeping


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
