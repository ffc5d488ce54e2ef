"""No BMC is looked at more often than it bears, by all processes of this machine together.

A look that comes too soon waits if it is nearly its turn. Else the last reading stands, and its
age is told: a fleet must not be seen as rarely as its slowest BMC bears it. Once something was
changed at a BMC its reading is worth nothing, as what was true before a power-off is not true
after it: then the look waits, however long.

One file a BMC: its lock is the turn, its time when it was last looked at, its text the reading.
"""

import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from metal.model.errors import Failed
from metal.model.fleet import BmcAccess

T = TypeVar("T")

PATIENT = 5.0
"""Seconds: BMCs that answer within a quarter of a second are always asked anew."""
CHANGING = ("ensure_", "cycle")
"""How the calls of a Bmc begin that change something."""


@dataclass(frozen=True)
class Reading:
    """What a BMC told, as JSON, and how many seconds ago."""

    body: Any
    age: float


class Pace:
    """`folder`: a place below state/. Every method may be called from any thread and process."""

    def __init__(self, folder: Path, patient: float = PATIENT) -> None:
        """`patient`: seconds that a look waits for its turn rather than take an old reading."""
        self._folder, self._patient = folder, patient

    @property
    def folder(self) -> Path:
        self._there()
        return self._folder

    def file(self, access: BmcAccess, kind: str) -> Path:
        """Of what else is noted of a BMC."""
        return self._folder / f"{_name(access)}.{kind}"

    def changed_since(self, access: BmcAccess, at: float) -> bool:
        """Whether any process of this machine changed something at that BMC."""
        return _time_of(self._changed(access)) >= at

    def read(self, access: BmcAccess, seconds: float, ask: Callable[[], Any]) -> Reading:
        """What `ask` tells now, or the last reading where that is not `seconds` old yet.

        What `ask` raises is raised; it does not count, as a silent BMC is not busy with us.
        """
        with self._turn(access) as file:
            left = self._left(file, seconds)
            body = self._told(file, access) if left > self._patient else None
            if body is not None:
                return Reading(body, seconds - left)
            time.sleep(left)
            begun = time.time()
            body = ask()
            text = json.dumps({"at": begun, "node": access.node, "told": body})
            os.ftruncate(file, 0)
            os.pwrite(file, text.encode(), 0)
            return Reading(body, 0.0)

    def forget(self, access: BmcAccess) -> None:
        """Something was changed there: no reading that was begun before is used any more."""
        self._there()
        file, now = self._changed(access), time.time()
        file.touch(mode=0o600)
        os.utime(file, (now, now))  # the kernel's own times lag by a few milliseconds

    def minded(self, access: BmcAccess, through: T) -> T:
        """The Bmc (or another power switch), after whose every change the reading is forgotten."""
        return cast(T, _Minded(through, lambda: self.forget(access)))

    def _there(self) -> None:
        """Never makes what it lies in: a workspace that was removed under a watcher is gone."""
        try:
            self._folder.mkdir(exist_ok=True)
        except FileNotFoundError as error:
            raise Failed(
                "the workspace is gone",
                where=str(self._folder.parent),
                mend="end what still runs in it",
            ) from error

    @contextmanager
    def _turn(self, access: BmcAccess) -> Iterator[int]:
        self._there()
        file = os.open(self._folder / _name(access), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)

    def _left(self, file: int, seconds: float) -> float:
        """Seconds until its turn; never more than a whole round, whatever the clock did."""
        said = os.fstat(file)
        if said.st_size == 0:
            return 0.0
        return min(seconds, max(0.0, said.st_mtime + seconds - time.time()))

    def _told(self, file: int, access: BmcAccess) -> Any:
        """The last reading; None where there is none that holds."""
        try:
            kept = json.loads(os.pread(file, os.fstat(file).st_size, 0))
            changed = self._changed(access)
            if kept["node"] != access.node:
                return None
            return kept["told"] if kept["at"] > _time_of(changed) else None
        except (ValueError, KeyError, TypeError):
            return None  # half written when its process was killed

    def _changed(self, access: BmcAccess) -> Path:
        return self.file(access, "changed")


def _name(access: BmcAccess) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "_", f"{access.address}-{access.port or 0}")


def _time_of(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return 0.0


class _Minded:
    """Passes every call on."""

    def __init__(self, bmc: Any, changed: Callable[[], None]) -> None:
        self._bmc, self._forget = bmc, changed

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._bmc, name)
        if not name.startswith(CHANGING):
            return found

        def call(*args: Any, **more: Any) -> Any:
            try:
                return found(*args, **more)
            finally:
                self._forget()

        return call
