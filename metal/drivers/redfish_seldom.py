"""What seldom changes in a server is read once a minute while all of it is well.

Of use to who stays logged in from look to look: a first look reads everything.
"""

import random
import time
from collections.abc import Callable

from metal.drivers.redfish_answer import Body
from metal.drivers.redfish_tree import Tree
from metal.drivers.redfish_words import complaint_of

SELDOM = 60.0
"""Seconds at most. docs/heal.md names it: so much later than the rest is the trouble of a drive
noticed where the BMC does not roll it up into the system's health."""


class Seldom:
    """Of one server. What complains, or could not be read whole, is read anew in every look."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[float, list[Body]]] = {}

    def forget(self) -> None:
        self._kept.clear()

    def read(self, key: str, tree: Tree, read: Callable[[], list[Body]]) -> list[Body]:
        """What `read` finds, or what it found less than SELDOM seconds ago."""
        until, found = self._kept.pop(key, (float("-inf"), []))
        if self._clock() >= until:
            lost = len(tree.lost)
            # Not all servers of a fleet in the same look, though all were first seen in one.
            until = self._clock() + SELDOM * random.uniform(0.5, 1)
            found = read()
            if len(tree.lost) > lost or any(map(complaint_of, found)):
                return found
        self._kept[key] = until, found
        return found
