"""What will happen, in lab seconds. Nothing runs by itself: whoever looks lets time catch up.

Events run in order, each at exactly its own time, however late somebody looks. So the double
has no threads of its own, and the same calls at the same times give the same end.
"""

import heapq
import itertools
from collections.abc import Callable

from metal.lab.clock import Clock


class Timeline:
    """Not thread-safe: the Datacenter's lock guards it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.now = clock.now()
        """The lab second that is being lived through."""

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), act))

    def catch_up(self) -> None:
        """Live through all that is due by now."""
        until = self._clock.now()
        while self._events and self._events[0][0] <= until:
            at, _, act = heapq.heappop(self._events)
            self.now = max(self.now, at)
            act()
        self.now = max(self.now, until)
