"""Run a program, here or (metal.drivers.ssh) on a server: what drivers of tools ask for.

What is secret goes through stdin: arguments are in every process list.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from metal.model.errors import Failed, Refused, Unreachable


@dataclass(frozen=True)
class Result:
    """How a program ended."""

    code: int
    """Its exit code."""
    out: bytes
    err: str

    @property
    def said(self) -> str:
        """The last line it complained with, for a message to a person."""
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        return lines[-1] if lines else f"it ended with {self.code} and said nothing"


class Runner(Protocol):
    """Somewhere that programs can be run."""

    where: str
    """For messages: a host's name."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        """Run to its end; any exit code is an answer. Unreachable when there is none in time."""


def must(
    runner: Runner,
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    what: str = "",
    timeout: float = 60.0,
) -> bytes:
    """What it printed; Failed where it did not end well. `what` is said in place of its name."""
    done = runner.run(argv, stdin=stdin, timeout=timeout)
    if done.code:
        raise Failed(
            f"{what or f'{argv[0]} failed'}: {done.said}",
            where=runner.where,
            mend="log in there as root and see why",
        )
    return done.out


class Here:
    """This machine."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.where = "this machine"
        self._environment = {**os.environ, "LC_ALL": "C", **(environment or {})}

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        """Its own session, so that whatever it started ends with it when time is up."""
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise Refused(
                f"{argv[0]} is not installed", where=self.where, mend=f"install {argv[0]}"
            ) from None
        except OSError as error:
            raise Failed(f"{argv[0]} cannot be run: {error.strerror}", where=self.where) from None
        try:
            out, err = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            end_all(process)
            raise Unreachable(
                f"{argv[0]} gave no answer within {timeout:g} s", where=self.where
            ) from None
        except BaseException:
            end_all(process)
            raise
        return Result(process.returncode, out, err.decode(errors="replace"))


def end_all(process: "subprocess.Popen[Any]") -> None:
    """Kill it and what it started, in the session it was given; it may have ended, and what it
    started hold its output open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
        with contextlib.suppress(OSError):
            pipe.close()
