"""Wait until something is what it was told to be, without asking it to death."""

import time
from collections.abc import Callable

FIRST, SLOWEST = 0.05, 5.0
"""Seconds between two looks: the first pause, and what it grows to."""


def became(reached: Callable[[], bool], seconds: float) -> bool:
    """Look until `reached` or `seconds` are over; ever more rarely, as old BMCs die of it.

    Always looks at least once, and once more at the end.
    """
    deadline, pause = time.monotonic() + seconds, FIRST
    while not reached():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * 2, SLOWEST)
    return True
