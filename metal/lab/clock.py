"""A clock that can run fast: doubles wait in its seconds, so that two minutes can pass in six."""

import threading
import time


class Clock:
    """Lab seconds since it was made; `speed` of them pass in a real one."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._start = time.monotonic()

    def now(self) -> float:
        return (time.monotonic() - self._start) * self.speed

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:
        """Let lab seconds pass; True when `stop` was set meanwhile."""
        real = max(0.0, seconds) / self.speed
        if stop is None:
            time.sleep(real)
            return False
        return stop.wait(real)
