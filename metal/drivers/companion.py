"""A second process of metal beside this one: they live and end together.

It is in this process's group, so Ctrl-C and a service manager's signal reach both. It ends when
this one is killed; when it ends by itself, this one is told.
"""

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

from metal.model.errors import Failed

PATIENCE = 60.0
"""Seconds that it may take to leave its work between two steps; then it is killed."""


class Companion:
    """`metal WORDS…` while the `with` block lasts; it writes to our own stdout and stderr."""

    def __init__(
        self,
        what: str,
        words: Sequence[str],
        ended: Callable[[], None],
        *,
        patience: float = PATIENCE,
    ) -> None:
        """`what` it is, for messages; `ended` is called from a thread when it ends by itself."""
        self._what, self._words, self._ended = what, list(words), ended
        self._patience = patience
        self._leaving = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._code: int | None = None
        """How it ended, where it did so by itself."""
        self._thread = threading.Thread(target=self._wait, name=what, daemon=True)

    def __enter__(self) -> "Companion":
        self._process = subprocess.Popen(
            [*_with_us(), sys.executable, "-m", "metal", *self._words], stdin=subprocess.DEVNULL
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process
        self._leaving.set()
        self._process.terminate()
        try:
            self._process.wait(self._patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._thread.join()

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def check(self) -> None:
        """Failed once it has ended by itself, and not because somebody told it to."""
        code = self._code
        if code in (None, 0, -signal.SIGTERM, -signal.SIGINT):
            return
        assert code is not None
        how = f"with exit code {code}" if code > 0 else f"by {signal.Signals(-code).name}"
        raise Failed(
            f"{self._what} ended {how}",
            where=f"pid {self.pid}",
            mend="what it said stands above; start both again once that is mended",
        )

    def _wait(self) -> None:
        assert self._process
        code = self._process.wait()
        if not self._leaving.is_set():
            self._code = code
            self._ended()


def _with_us() -> list[str]:
    """It is told to end when this process is gone, however that came."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
