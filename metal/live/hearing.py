"""What is heard of a machine at work, and what its silence means. Silent is not absent.

Silence is a sign of death only from a machine that was heard while somebody listened, and fell
silent while somebody listened. What became of it in any other time nobody knows.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from metal.operations.jobs import Job

SLEPT = 300.0
"""Seconds between two looks; asking a BMC that is slow to answer takes less."""


class Hearing:
    """Looks at one job, from when it is made: what was said before, another may have heard.

    It counts looks, so that time in which nobody ran this does not count. Between two of them
    more than `slept` seconds mean that this very machine slept, or was stopped.
    """

    def __init__(
        self,
        job: Job,
        listening: Callable[[], bool],
        slept: float = SLEPT,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._listening, self._slept, self._wall = listening, slept, wall
        self.quiet = self.stuck = 0
        self._looked = wall()
        self._last, self._phase = job.beats, job.phase
        self._deaf(job)

    def look(self, job: Job) -> bool:
        """Whether it said anything since the last look."""
        spoke, awake = job.beats != self._last, self._wall() - self._looked < self._slept
        if spoke or (awake and self._listening()):
            self.quiet = 0 if spoke else self.quiet + 1
            self.stuck = self.stuck + 1 if job.phase == self._phase else 0
        else:
            self._deaf(job)
        self._last, self._phase, self._looked = job.beats, job.phase, self._wall()
        return spoke

    @property
    def heard(self) -> bool:
        """Whether it spoke since somebody listens without a gap."""
        return self._last > self._before

    def gap(self, job: Job) -> str:
        """From its last word to when somebody listened again, for a machine that was not heard."""
        return (
            f"nothing was heard of it after {_time(job.heard)}, and until {_time(self._since)} "
            "nobody may have listened"
        )

    def _deaf(self, job: Job) -> None:
        self._before, self._since = job.beats, self._wall()
        self.quiet = self.stuck = 0


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
