"""Progress of many operations of this process, read back from the journal by one thread."""

import threading

from metal.controller.progress import Progress
from metal.operations.store import Store

SECONDS = 0.3
"""How often it reads: one query for all of them."""


class Followed:
    """While it is entered, events of operations that were `add`ed are shown."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self._events, self._progress = store.events, progress
        self._keys: dict[int, tuple[str, float]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._last = store.events.newest()

    def __enter__(self) -> "Followed":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def add(self, operation: int, key: str) -> None:
        """Show that operation's events as progress of `key`."""
        self._keys[operation] = key, 0.0

    def _follow(self) -> None:
        while not self._over.wait(SECONDS):
            for event in self._events.since(self._last):
                self._last = event.id
                if event.operation in self._keys:
                    key, fraction = self._keys[event.operation]
                    fraction = event.fraction or fraction
                    self._keys[event.operation] = key, fraction
                    self._progress.advance(key, fraction, event.text)
