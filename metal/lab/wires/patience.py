"""Waiting for a condition, with an end."""

import time
from collections.abc import Callable

from metal.model.errors import Failed

SECONDS = 60.0
PAUSE = 0.05


def until(there: Callable[[], bool], late: str, seconds: float = SECONDS) -> float:
    """How long it took; Failed with `late` when it does not come in time."""
    begun = time.monotonic()
    while not there():
        if time.monotonic() - begun > seconds:
            raise Failed(late)
        time.sleep(PAUSE)
    return time.monotonic() - begun
