"""Watching without end: rounds at a steady pace, alarms sent beside them, errors survived."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from metal.controller.alarming import Callers
from metal.controller.departures import Departures
from metal.controller.outage import Outage
from metal.controller.post import Post
from metal.controller.progress import Progress
from metal.controller.watching import Watcher, WatchReport
from metal.controller.workspace import Workspace
from metal.model.errors import MetalError

if TYPE_CHECKING:
    from metal.controller.metering import Meter

PARTING = 5.0
"""Seconds that alarms under way are given when the watcher ends; the next one sends the rest."""


class WatchLoop:
    """`act`: seek the post and heal; otherwise only look and tell."""

    def __init__(
        self,
        workspace: Workspace,
        progress: Progress,
        *,
        act: bool,
        every: float | None = None,
        place: str = "",
        meter: "Meter | None" = None,
    ) -> None:
        """`meter` is told of each round."""
        self._workspace, self._meter = workspace, meter
        self._every = every or workspace.inventory.watch.every
        self._watcher = Watcher(workspace, progress, place=place, every=self._every)
        self._departures = Departures(workspace, progress)
        self._callers = Callers(workspace)
        self._outage = Outage(workspace, self._watcher.place)
        self._act = act

    def rounds(self, end: threading.Event) -> Iterator[WatchReport]:
        """A report a round, until `end` is set.

        A round that fails (the database is away, the disk is full) is told and tried again: a
        watcher that ends at the first trouble is not there for the second. Nothing is acted on
        meanwhile, as nothing can be written down.
        """
        with ExitStack() as stack:
            stack.callback(self._callers.settle, PARTING)
            stack.callback(self._watcher.close)
            post = stack.enter_context(self._post()) if self._act else None
            while not end.is_set():
                began = time.monotonic()
                try:
                    report = self._round(post)
                    if post and post.term:
                        self._callers.go_on()
                        self._departures.go_on(post.term)
                except MetalError as error:
                    self._outage.failed(error)
                else:
                    self._outage.passed()
                    yield report
                end.wait(max(0.0, self._every - (time.monotonic() - began)))

    def _round(self, post: Post | None) -> WatchReport:
        if self._meter is None:
            return self._watcher.round(post)
        try:
            with self._meter.round():
                return self._watcher.round(post)
        finally:
            self._meter.leads(bool(post and post.term))

    def _post(self) -> Post:
        seconds = self._workspace.inventory.watch.lease_seconds
        return Post(self._workspace.store, self._watcher.place, seconds)
