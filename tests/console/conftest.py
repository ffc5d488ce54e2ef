"""A process on a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable

import pytest


class Terminal:
    """A process on a real pseudo-terminal."""

    def __init__(self, *command: str) -> None:
        self.fd, end = pty.openpty()
        self.process = subprocess.Popen(command, stdin=end, stdout=end, stderr=end)
        os.close(end)
        self.screen = b""

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def until(self, holds: Callable[[bytes], bool]) -> None:
        deadline = time.monotonic() + 30
        while not holds(self.screen):
            assert time.monotonic() < deadline, self.screen
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.screen += os.read(self.fd, 4096)
                except OSError:  # it ended and took the terminal along
                    assert holds(self.screen), self.screen


@pytest.fixture
def on_terminal() -> type[Terminal]:
    return Terminal
