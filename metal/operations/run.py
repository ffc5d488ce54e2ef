"""Perform an operation: run its flow, replay what is done, record what gets done.

A flow is an ordinary function of a `Run`. What it decides may rest on the operation's params and
on what its steps returned, on nothing else: so a replay takes the same way.
"""

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from sqlalchemy import Connection

from metal.model.errors import Failed, MetalError, Refused, Unreachable
from metal.model.life import Status
from metal.operations.database import Database
from metal.operations.journal import Operation
from metal.operations.leading import Term
from metal.operations.lease import Heartbeat, Lease, LeaseLost
from metal.operations.steps import Steps
from metal.operations.store import Store

log = logging.getLogger(__name__)

T = TypeVar("T")

_LONGEST_BACKOFF = 60.0


@dataclass(frozen=True)
class Outcome:
    """How a performance ended. RUNNING: it was stopped, and can be resumed."""

    status: Status
    error: str = ""
    exit_code: int = 0
    """What a command that did only this ends with."""


class CodeChanged(Refused):
    """The journal and the flow disagree: another version of metal began this operation."""


class _Stopped(BaseException):
    """The process is shutting down. Not an Exception: no flow may take it for a failure."""


class Run:
    """One performance of an operation, as its flow sees it.

    `step` and `wait` are for the flow's own thread, in order; `progress` and `guard` for any.
    """

    def __init__(
        self,
        database: Database,
        operation: Operation,
        lease: Lease,
        stop: threading.Event,
        lost: threading.Event,
    ) -> None:
        self.id = operation.id
        self.subject = operation.subject
        self.params = operation.params
        self._what = f"operation {operation.id} ({operation.kind} {operation.subject})"
        self._steps = Steps(database, lease)
        self._monotonic = database.clock.monotonic
        self._stop, self._lost = stop, lost
        self._number = 0
        self._inside = ""
        self._changed: CodeChanged | None = None

    def step(self, name: str, act: Callable[[], T], *, tries: int = 1, backoff: float = 1.0) -> T:
        """The result of `act`, called now or recorded before; as JSON holds it.

        `act` runs at least once, so it must be safe to repeat. Unreachable is tried again until
        `tries` are used up, `backoff` seconds later, then twice that, and so on.
        """
        row = self._enter(name)
        done: T
        if row.result is not None:
            done = json.loads(row.result)
        else:
            done = self._finish(row, self._attempt(name, act, tries, backoff))
        return done

    def wait(
        self,
        name: str,
        ready: Callable[[], T | None],
        *,
        seconds: float,
        every: float = 1.0,
        late: str = "",
    ) -> T:
        """What `ready` returns once it is not None; asked every `every` seconds.

        No answer (Unreachable) is "not yet". `seconds` after the wait first began, resumes or
        not, it fails saying `late`; but `ready` is always asked once more.
        """
        row = self._enter(name, seconds)
        done: T
        if row.result is not None:
            done = json.loads(row.result)
            return done
        end = self._monotonic() + self._steps.left(row.deadline or 0.0)
        while True:
            value, silence = self._ask(name, ready)
            if value is not None:
                done = self._finish(row, value)
                return done
            if (left := end - self._monotonic()) <= 0:
                raise Failed(
                    (late or f"{name}: nothing came of it in {seconds:g} s") + silence,
                    where=self.subject,
                    mend=f"see what it is doing, then metal run resume {self.id}",
                )
            self._pause(min(every, left))

    def progress(self, fraction: float, text: str) -> None:
        """Tell every face how far this is: `fraction` from 0 to 1, and a short line."""
        self._steps.say(text, min(1.0, max(0.0, fraction)))

    def say(self, text: str) -> None:
        """Tell every face something that says nothing of how far this is."""
        self._steps.say(text)

    def guard(self, conn: Connection) -> float:
        """Make the caller's transaction one of this run (else LeaseLost); returns the time."""
        return self._steps.guard(conn)

    def end(self) -> None:
        """The flow returned: the operation is done, unless the journal holds more than it asked."""
        if self._changed:
            raise self._changed
        more = self._steps.end(self._number)
        if more is not None:
            self._refuse(f"holds step “{more}” where this version asks for no more")

    def leave(self, status: Status, error: MetalError | None = None) -> Outcome:
        """The flow did not get to its end: the operation stays open, with nobody running it."""
        self._steps.leave(status, str(error) if error else "")
        if error:
            return Outcome(status, str(error), error.exit_code)
        return Outcome(status, f"{self._what} was stopped\n  → metal run resume {self.id}", 1)

    def ask_version(self, held: int, asked: int) -> None:
        """Refuse (CodeChanged) a flow of another version than the one that began this."""
        if held != asked:
            self._refuse(f"was begun by version {held} of this flow, and this is version {asked}")

    def _enter(self, name: str, seconds: float | None = None) -> Any:
        """The journal's row for the next step, which must be of that name."""
        if self._inside:
            raise Failed(f"step “{name}” began inside step “{self._inside}”", where=self._what)
        self._check()
        if self._changed:
            raise self._changed
        row = self._steps.enter(self._number, name, seconds)
        if row.name != name:
            self._refuse(f"holds step “{row.name}” where this version asks for “{name}”")
        self._number += 1
        return row

    def _finish(self, row: Any, value: Any) -> Any:
        """Record a step's result; what comes back is what a replay would give."""
        try:
            result = json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise Failed(
                f"step “{row.name}” returned what JSON cannot hold: {error}", where=self._what
            ) from error
        self._steps.finish(row.number, result)
        return json.loads(result)

    def _attempt(self, name: str, act: Callable[[], T], tries: int, backoff: float) -> T:
        for attempt in range(1, tries):
            try:
                return self._call(name, act)
            except Unreachable as error:
                delay = min(backoff * 2 ** (attempt - 1), _LONGEST_BACKOFF)
                self._steps.say(
                    f"{name}: {error.what}; try {attempt + 1} of {tries} in {delay:g} s"
                )
                self._pause(delay)
        return self._call(name, act)

    def _ask(self, name: str, ready: Callable[[], T | None]) -> tuple[T | None, str]:
        try:
            return self._call(name, ready), ""
        except Unreachable as error:
            return None, f" (last: {error.what})"

    def _call(self, name: str, act: Callable[[], T]) -> T:
        self._inside = name
        try:
            return act()
        finally:
            self._inside = ""

    def _pause(self, seconds: float) -> None:
        self._stop.wait(seconds)
        self._check()

    def _check(self) -> None:
        if self._stop.is_set():
            raise _Stopped
        if self._lost.is_set():
            raise LeaseLost(
                f"{self._what} was taken over or cancelled", mend=f"metal run show {self.id}"
            )

    def _refuse(self, how: str) -> NoReturn:
        self._changed = CodeChanged(
            f"the code changed under {self._what}: the journal {how}",
            where=self.subject,
            mend=f"resume it with the version that began it, or metal run cancel {self.id}",
        )
        raise self._changed


Flow = Callable[[Run], Any]


def perform(
    store: Store,
    operation: Operation | int,
    flow: Flow,
    *,
    version: int | None = None,
    stop: threading.Event | None = None,
    term: Term | None = None,
) -> Outcome:
    """Run `flow` for an open operation until it is done, failed, held or stopped.

    Raises Refused while another process may be running it, LeaseLost once another took it over
    or `term`, if given, is over.
    One that is done already stays so. `version`, if given, must be the one that began it.
    """
    held = store.journal.show(operation if isinstance(operation, int) else operation.id)
    if held.status is Status.DONE:
        return Outcome(Status.DONE)
    lease = store.journal.take(held.id, term)
    with Heartbeat(store.database, lease) as beat:
        run = Run(store.database, held, lease, stop or threading.Event(), beat.lost)
        try:
            run.ask_version(held.version, version or held.version)
            flow(run)
            run.end()
            return Outcome(Status.DONE)
        except LeaseLost:
            raise
        except CodeChanged as error:
            return run.leave(Status.HELD, error)
        except MetalError as error:
            return run.leave(Status.FAILED, error)
        except Exception as error:
            log.exception("operation %d (%s %s)", held.id, held.kind, held.subject)
            said = f"{type(error).__name__}: {error}"
            return run.leave(Status.FAILED, Failed(said, where=held.subject, mend=_REPORT))
        except _Stopped:
            return run.leave(Status.RUNNING)
        except BaseException:
            run.leave(Status.RUNNING)
            raise


_REPORT = "this is a bug in metal: report it with the log; the operation can be resumed"
