"""How long to wait for what. One value, so that a lab with a fast clock can be impatient."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from metal.model.errors import Failed, MetalError, Unreachable

PROMPT = 0.8
"""Seconds between two looks: with the time that an answer takes, nothing that is ready waits for
us longer than a second."""


@dataclass(frozen=True)
class Patience:
    """Seconds. The defaults suit real clusters; measured times are in docs/design."""

    connect: float = 5.0
    """To open a connection: a dead node costs this much, once a look."""
    answer: float = 60.0
    """For one answer; a node's proxy to another gives up after 30."""
    poll: float = PROMPT
    task: float = 900.0
    """For a task: creating disks and daemons."""
    quorum: float = 180.0
    """For a node to be online and its cluster quorate after create or join."""
    start: float = 300.0
    """For a VM to run: the HA manager works in rounds of ten seconds."""
    migrate: float = 3600.0
    """For one live migration: memory over a slow network."""
    cross: float = 14 * 86_400.0
    """For all disks of a VM to go to another cluster, over an uplink that others need, too."""
    lock: float = 60.0
    """For a lock that another task holds on the same configuration."""

    def until(
        self,
        ready: Callable[[], bool],
        *,
        seconds: float,
        late: str,
        where: str = "",
        tolerate: tuple[type[MetalError], ...] = (Unreachable,),
    ) -> None:
        """Poll until `ready`; errors of kind `tolerate` count as "not yet" until time is up."""
        deadline = time.monotonic() + seconds
        while True:
            last: MetalError | None = None
            try:
                if ready():
                    return
            except tolerate as error:
                last = error
            if time.monotonic() >= deadline:
                raise last or Failed(f"{late} within {seconds:g} s", where=where)
            time.sleep(self.poll)
