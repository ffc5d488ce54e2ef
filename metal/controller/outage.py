"""A watcher that cannot do its rounds calls somebody, once, and again when it can."""

import logging

from metal.controller.alarming import cry
from metal.controller.workspace import Workspace
from metal.model.errors import MetalError

log = logging.getLogger(__name__)
LASTING = 3
"""Rounds in a row that fail before anybody is called: a database may be started anew."""


class Outage:
    """Past the store, which is most often what is away: its disk is full, its server is down."""

    def __init__(self, workspace: Workspace, place: str) -> None:
        self._workspace, self._place = workspace, place
        self._failed = 0

    def failed(self, error: MetalError) -> None:
        """A round failed."""
        log.warning("this round failed, the next is tried all the same: %s", error)
        self._failed += 1
        if self._failed == LASTING:
            self._cry("nothing heals", f"{LASTING} rounds in a row failed, the last: {error}")

    def passed(self) -> None:
        """A round was done."""
        if self._failed >= LASTING:
            self._cry("it goes on", f"after {self._failed} rounds that failed")
        self._failed = 0

    def _cry(self, subject: str, body: str) -> None:
        where = f"the watcher at {self._place}"
        for hook, why in cry(self._workspace, f"{where}: {subject}", f"{where}: {body}").items():
            log.warning("alarm %s was not sent: %s", hook, why)
