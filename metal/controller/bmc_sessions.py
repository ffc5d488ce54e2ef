"""The BMC sessions that a watcher keeps between two looks: at most one a BMC, on one machine.

A log-in, a log-out and the handshake cost more than what is read in a look. But BMCs have few
sessions, so each kept one is freed at the watcher's end and when it leads no more; what a killed
watcher left is ended by whoever keeps next; and a command that finds none free asks for it. None is
kept where sessions do not last, where one BMC has several servers, and over IPMI, whose log-in is a
few datagrams.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from metal.controller.pace import Pace
from metal.drivers.connections import room_to_rest
from metal.drivers.ports import Bmc
from metal.model.errors import MetalError, Unreachable
from metal.model.fleet import BmcAccess

if TYPE_CHECKING:
    from metal.controller.workspace import Workspace

PARTING = 20.0
"""Seconds that all log-outs at a watcher's end may take together."""
WORKERS = 64
PATIENT = 30.0
"""Seconds that a command waits for a session that it asked for."""
YIELDED = 300.0
"""Seconds for which none is kept at a BMC once somebody found all its sessions taken."""
PAUSE = 0.2
KEEPER = "keeper"
"""The file whose lock says which process keeps sessions here."""


@dataclass
class Session:
    """One that is kept."""

    bmc: Bmc
    since: float
    """Of the wall clock: files tell what happened since."""


class BmcSessions:
    """Every method may be called from any thread."""

    def __init__(self, workspace: "Workspace") -> None:
        self._workspace = workspace
        self._resting: dict[BmcAccess, Session] = {}
        self._lock = threading.Lock()
        self._keeps = False
        self._file: int | None = None

    def keep(self) -> None:
        """From now on, unless another process of this machine does."""
        self._keeps = True

    def take(self, server: str) -> Bmc:
        """A Bmc that is logged in; its `close` gives it back."""
        if not self._is_keeper():
            return self._workspace.bmc_by(server)[0]
        access = self._workspace.inventory.servers[server].bmc
        with self._lock:
            kept = self._resting.pop(access, None)
        if kept and self._workspace.pace.changed_since(access, kept.since):
            self._end(access, kept)  # its password may be another one now
            kept = None
        lent = kept or self._opened(server, access)
        return cast(Bmc, _Lent(lent, lambda trouble: self._back(access, lent, trouble)))

    def let_go(self) -> None:
        """Free all that is kept, and keep none."""
        self._keeps = False
        with self._lock:
            resting, self._resting = self._resting, {}
            file, self._file = self._file, None
        if resting:
            crew = ThreadPoolExecutor(min(WORKERS, len(resting)))
            wait([crew.submit(self._end, *one) for one in resting.items()], PARTING)
            crew.shutdown(wait=False, cancel_futures=True)
        if file is not None:
            os.close(file)

    def _is_keeper(self) -> bool:
        if not self._keeps:
            return False
        with self._lock:
            if self._file is None:
                self._file = _locked(self._workspace.pace.folder / KEEPER)
                if self._file is not None:
                    room_to_rest(len(self._workspace.inventory.servers))
            return self._file is not None

    def _opened(self, server: str, access: BmcAccess) -> Session:
        since, bmc = time.time(), self._workspace.bmc_by(server)[0]
        mark = Mark(self._workspace.pace, access)
        if left := mark.left():
            with contextlib.suppress(AttributeError):  # it is spoken to over IPMI now
                cast(Any, bmc).end(left)
            mark.clear()
        return Session(bmc, since)

    def _back(self, access: BmcAccess, kept: Session, trouble: MetalError | None) -> None:
        """Kept for the next look, or ended. `trouble` came of what it was asked."""
        mark, path = Mark(self._workspace.pace, access), getattr(kept.bmc, "session", "")
        if path and isinstance(trouble, Unreachable):
            with contextlib.suppress(OSError):
                mark.put(path)  # ended once it answers again: now it would be waited for in vain
            cast(Any, kept.bmc).leave()
            return
        if path and not trouble and access.node is None and not mark.is_wanted():
            with self._lock, contextlib.suppress(OSError):  # a full disk: then none is kept
                if self._keeps and access not in self._resting:
                    mark.put(path)
                    self._resting[access] = kept
                    return
        self._end(access, kept)

    def _end(self, access: BmcAccess, kept: Session) -> None:
        kept.bmc.close()
        Mark(self._workspace.pace, access).clear()


def _locked(path: Path) -> int | None:
    """The open file, locked until it is closed; None while another has it, or none can be made."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


@dataclass(frozen=True)
class Mark:
    """What other processes see of a kept session: its path, which opens nothing to anybody."""

    pace: Pace
    access: BmcAccess

    def put(self, session: str) -> None:
        if self.left() != session:
            self._kept.write_text(session)

    def left(self) -> str:
        """The path of a session that is kept, or was when its watcher was killed."""
        try:
            return self._kept.read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    def clear(self) -> None:
        with contextlib.suppress(OSError):
            self._kept.unlink(missing_ok=True)

    def is_wanted(self) -> bool:
        try:
            return time.time() - self._wanted.stat().st_mtime < YIELDED
        except OSError:
            return False

    def want(self, patient: float = PATIENT) -> bool:
        """Ask for the session that is kept; whether it was freed within `patient` seconds."""
        if not self.left():
            return False
        self._wanted.touch(mode=0o600)
        os.utime(self._wanted)
        until = time.monotonic() + patient
        while self.left() and time.monotonic() < until:
            time.sleep(PAUSE)
        return not self.left()

    @property
    def _kept(self) -> Path:
        return self.pace.file(self.access, "kept")

    @property
    def _wanted(self) -> Path:
        return self.pace.file(self.access, "wanted")


class _Lent:
    """Passes every call on, and remembers what went wrong."""

    def __init__(self, kept: Session, back: Callable[[MetalError | None], None]) -> None:
        self._kept, self._back = kept, back
        self._trouble: MetalError | None = None
        self._over = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._kept.bmc, name)
        if not callable(found):
            return found

        def call(*args: Any, **more: Any) -> Any:
            try:
                return found(*args, **more)
            except MetalError as error:
                self._trouble = error
                raise

        return call

    def close(self) -> None:
        if not self._over:
            self._over = True
            self._back(self._trouble)
