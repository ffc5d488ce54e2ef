"""Who runs an operation, and whether that process is provably gone.

A process is named by boot, process-id namespace, number and start time (field 22 of
/proc/PID/stat, proc(5)): numbers are used again, and two containers of one host share the boot
id but not the numbers. What cannot be proven counts as alive; its lease then has to run out.
"""

import json
import os
import socket
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Owner:
    host: str
    boot: str
    """Empty where there is no /proc: nothing can be proven then."""
    space: str
    """The process-id namespace, such as pid:[4026531836]."""
    pid: int
    start: int
    """Clock ticks between the boot and the process's start."""

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}"

    def dumps(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def loads(cls, text: str) -> "Owner":
        return cls(**json.loads(text))


@cache
def this_process() -> Owner:
    """The owner that the calling process is. It never changes, and each step asks for it."""
    return owner_of(os.getpid())


os.register_at_fork(after_in_child=this_process.cache_clear)


def owner_of(pid: int) -> Owner:
    """The owner that the living process `pid` is; it lives where the caller does."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        space = str((_PROC / "self/ns/pid").readlink())
        start = _stat(pid)[1]
    except OSError:
        return Owner(socket.gethostname(), "", "", pid, 0)
    return Owner(socket.gethostname(), boot, space, pid, start)


def gone(owner: Owner, here: Owner) -> bool:
    """True only if `owner` lived where `here` lives and is certainly dead."""
    if not here.boot or (owner.boot, owner.space) != (here.boot, here.space):
        return False
    try:
        state, start = _stat(owner.pid)
    except OSError:
        return not _exists(owner.pid)  # /proc may hide other users' processes
    return start != owner.start or (state in "ZX" and not _has_threads(owner.pid))


def _stat(pid: int) -> tuple[str, int]:
    """(state letter, start time). The name before them may hold spaces and parentheses."""
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _has_threads(pid: int) -> bool:
    """A leader that ended is a zombie while its other threads still run."""
    try:
        return len(list((_PROC / str(pid) / "task").iterdir())) > 1
    except OSError:
        return False
