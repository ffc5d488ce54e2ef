"""Wait until something is what it was told to be, without asking it to death."""

import time
from collections.abc import Callable

FIRST, SLOWEST = 0.05, 5.0
"""Seconds between two looks: the first pause, and what it grows to."""
REST = 3.0
"""How many times as long as a look took the pause after it is at least: one that needs 2 s for an
answer is asked every 8 s."""


def became(reached: Callable[[], bool], seconds: float) -> bool:
    """Look until `reached` or `seconds` are over; ever more rarely, as old BMCs die of it.

    Always looks at least once, and once more at the end.
    """
    deadline, pause = time.monotonic() + seconds, FIRST
    while True:
        begun = time.monotonic()
        if reached():
            return True
        now = time.monotonic()
        if now >= deadline:
            return False
        time.sleep(min(max(pause, REST * (now - begun)), deadline - now))
        pause = min(pause * 2, SLOWEST)
