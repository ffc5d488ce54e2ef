"""A watcher that leads goes on with evacuations that nobody runs: their terminal was closed."""

import logging
import threading

from metal.controller.incident_book import IncidentBook
from metal.controller.leaving import carry_out, left_behind
from metal.controller.progress import Progress
from metal.controller.workspace import Workspace
from metal.heal.leaving import Leaving
from metal.model.errors import MetalError
from metal.operations.leading import Term

log = logging.getLogger(__name__)


class Departures:
    """One at a time, beside the rounds. What it does when the watcher ends is left as a kill
    would leave it: resumable anywhere."""

    def __init__(self, workspace: Workspace, progress: Progress) -> None:
        self._workspace, self._progress = workspace, progress
        self._thread: threading.Thread | None = None

    def go_on(self, term: Term) -> None:
        """Go on with one that was left, if there is one; nothing is written once `term` is over.

        One that failed waits for a person: the command tries again those that did not go.
        """
        if self._thread is not None and self._thread.is_alive():
            return
        order = left_behind(self._workspace)
        if order is None:
            return
        self._thread = threading.Thread(
            target=self._perform, args=(order, term), name="evacuation", daemon=True
        )
        self._thread.start()

    def settle(self, seconds: float) -> bool:
        """Whether what was begun has ended within that time."""
        if self._thread is None:
            return True
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _perform(self, order: Leaving, term: Term) -> None:
        try:
            carry_out(self._workspace, order, self._progress, term=term)
        except MetalError as error:
            log.warning("leaving %s: %s", order.name, error)
            if left_behind(self._workspace) != order:  # else it is gone on with, by us or the next
                IncidentBook(self._workspace).stopped(order.name, str(error))
