"""Run a program to its end; what cannot be run is an answer too."""

import json
import subprocess
import time
from collections.abc import Sequence
from typing import Any, NamedTuple


class Done(NamedTuple):
    code: int
    """127: it is not there. 124: it did not end in time."""
    out: str
    err: str

    @property
    def said(self) -> str:
        """The last line it said, for a message."""
        lines = [x.strip() for x in (self.err or self.out).splitlines() if x.strip()]
        return lines[-1][:200] if lines else f"it ended with {self.code} and said nothing"


SLOW_SECONDS = 3.0
"""What takes longer is told on the console: where an install's time went."""


def run(argv: Sequence[str], seconds: float = 60.0, stdin: str | None = None) -> Done:
    began = time.monotonic()
    done = _run(argv, seconds, stdin)
    if (took := time.monotonic() - began) > SLOW_SECONDS:
        print(f"metal: {took:.0f} s: {' '.join(argv[:3])}", flush=True)
    return done


def _run(argv: Sequence[str], seconds: float, stdin: str | None) -> Done:
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=seconds,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        return Done(127, "", f"{argv[0]} is not there")
    except subprocess.TimeoutExpired:
        return Done(124, "", f"{argv[0]} did not end within {seconds:g} s")
    return Done(done.returncode, done.stdout, done.stderr)


def run_json(argv: Sequence[str], seconds: float = 60.0) -> tuple[dict[str, Any], Done]:
    """Its JSON, {} where it printed none. smartctl's exit code tells much that is no failure."""
    done = run(argv, seconds)
    try:
        body = json.loads(done.out)
    except ValueError:
        body = {}
    return (body if isinstance(body, dict) else {}), done


class Failed(Exception):
    """A program that had to succeed did not."""


def must(argv: Sequence[str], seconds: float = 1800.0, stdin: str | None = None) -> Done:
    """As `run`; Failed, with what it said, unless it ended well."""
    done = run(argv, seconds, stdin)
    if done.code:
        raise Failed(f"{' '.join(argv[:3])}: {done.said}")
    return done
