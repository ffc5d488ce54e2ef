"""Perform one action as a durable operation, and show its progress while it runs."""

import threading
from collections.abc import Callable
from typing import Any

from metal.controller.flows import flow_of, subjects
from metal.controller.progress import Progress
from metal.controller.workspace import Workspace
from metal.model.errors import MetalError
from metal.model.life import Status
from metal.model.plan import Action
from metal.operations.leading import Term
from metal.operations.run import perform

SHOW_SECONDS = 0.2
"""How often progress is read back from the journal."""


def carry_out(
    workspace: Workspace,
    action: Action,
    progress: Progress,
    *,
    plan: str | None = None,
    by: str | None = None,
    stop: threading.Event | None = None,
    term: Term | None = None,
) -> str:
    """Open (or go on with) the action's operation and perform it; "" or why it failed.

    Once `stop` is set the operation is left between two steps, to be resumed. `by`: who began
    it, for the record. `term`: only while that lasts is anything begun or written.
    """
    params: dict[str, Any] = {"action": action.model_dump(mode="json")}
    if plan is not None:
        params["plan"] = plan
    if by is not None:
        params["by"] = by

    def act() -> str:
        journal = workspace.store.journal
        operation = journal.open(action.kind, action.id, subjects(action), params, term=term)
        return perform_shown(workspace, operation.id, action, progress, stop, term=term)

    return _told(action, progress, act)


def go_on(
    workspace: Workspace,
    operation: int,
    action: Action,
    progress: Progress,
    *,
    stop: threading.Event | None = None,
    term: Term | None = None,
) -> str:
    """As `carry_out`, of an operation that is open already."""
    return _told(
        action,
        progress,
        lambda: perform_shown(workspace, operation, action, progress, stop, term=term),
    )


def _told(action: Action, progress: Progress, act: Callable[[], str]) -> str:
    """What `act` says of how it ended, or its error, between a beginning and an end."""
    progress.begin(action.id, action.what)
    try:
        why = act()
    except MetalError as error:
        why = str(error)
    progress.end(action.id, not why, why)
    return why


def perform_shown(
    workspace: Workspace,
    operation: int,
    action: Action,
    progress: Progress,
    stop: threading.Event | None = None,
    *,
    term: Term | None = None,
) -> str:
    """Perform an operation that is open; "" or why it failed. Refused when another runs it."""
    with Shown(workspace, operation, action.id, progress):
        flow = flow_of(workspace, action)
        outcome = perform(workspace.store, operation, flow, stop=stop, term=term)
    return "" if outcome.status is Status.DONE else outcome.error or str(outcome.status)


class Shown:
    """Reads an operation's events back from the journal and shows them while it runs."""

    def __init__(self, workspace: Workspace, operation: int, key: str, progress: Progress) -> None:
        self._events, self._operation = workspace.store.events, operation
        self._key, self._progress = key, progress
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        last, fraction = 0, 0.0
        while not self._over.wait(SHOW_SECONDS):
            for event in self._events.since(last, operation=self._operation):
                last, fraction = event.id, event.fraction or fraction
                self._progress.advance(self._key, fraction, event.text)
