"""How many connections are open at once: few enough for firewalls, switches and this machine.

A Redfish session is a token, not a connection, so a connection need only be open while it is
used. Where all of them are, those who want one queue, and who has most left to ask goes first; who
had one for a while then makes room after its next answer, unless it has more left than all of them.
So a slow machine, or a large one, begins at once instead of behind all the others, and does not end
long after them.
"""

import os
import resource
import threading
import time
from collections import OrderedDict
from typing import Protocol
from weakref import WeakKeyDictionary

MOST = 64
TURN = 2.0
"""Seconds that a connection is kept while others wait: a handshake costs an old BMC half a
second, so not after every answer."""
FORGOTTEN = 0.05
"""Seconds without a request after which somebody who waits is served instead."""


class Closable(Protocol):
    @property
    def left(self) -> float:
        """Seconds that it will still be used, as far as that can be told."""

    def close(self) -> None: ...


class Connections:
    """At most `most` of them. A connection says when it opens, rests, is used again and ends.

    All methods may be called from any thread. `lock` may be held around getting a resting
    connection and calling `used`, so that it is not closed in between.
    """

    def __init__(self, most: int = MOST, turn: float = TURN) -> None:
        self.lock = threading.RLock()
        self._most, self._turn = most, turn
        # Weak: a connection that somebody dropped without closing it holds no place for ever.
        self._since: WeakKeyDictionary[Closable, float] = WeakKeyDictionary()
        self._resting: OrderedDict[Closable, float] = OrderedDict()
        self._waiting: list[tuple[threading.Event, Closable]] = []

    def allow(self, most: int) -> None:
        """That many from now on; what is open already stays so until it rests or ends."""
        with self.lock:
            self._most = most
            self._serve()

    def opening(self, connection: Closable) -> None:
        """Returns once there is room for it. First come, first served, among those that have as
        much left."""
        turn = threading.Event()
        with self.lock:
            self._waiting.append((turn, connection))
            self._serve()
        while not turn.wait(1.0):
            with self.lock:
                self._serve()

    def ended(self, connection: Closable) -> None:
        """It is closed; more than once does no harm."""
        with self.lock:
            self._resting.pop(connection, None)
            if self._since.pop(connection, None) is not None:
                self._serve()

    def rests(self, connection: Closable) -> None:
        """Its answer was read. It is closed if others wait and it had its turn."""
        with self.lock:
            if connection not in self._since:
                return
            self._resting[connection] = time.monotonic()
            if self._had_its_turn(connection) and self._most_left() >= connection.left:
                connection.close()  # calls `ended`
            self._serve()

    def used(self, connection: Closable) -> None:
        """A resting one is asked something again."""
        with self.lock:
            self._resting.pop(connection, None)

    def __len__(self) -> int:
        with self.lock:
            return len(self._since)

    def _had_its_turn(self, connection: Closable) -> bool:
        """And somebody waits."""
        return bool(self._waiting) and time.monotonic() - self._since[connection] >= self._turn

    def _most_left(self) -> float:
        """Of those who wait."""
        return max(waits.left for _, waits in self._waiting)

    def _serve(self) -> None:
        """Give room to those who wait, from those who forgot theirs if need be."""
        while self._waiting and (len(self._since) < self._most or self._close_forgotten()):
            place = max(range(len(self._waiting)), key=lambda i: self._waiting[i][1].left)
            turn, connection = self._waiting.pop(place)
            self._since[connection] = time.monotonic()
            turn.set()

    def _close_forgotten(self) -> bool:
        if not self._resting:
            return False
        longest, since = next(iter(self._resting.items()))
        if time.monotonic() - since < FORGOTTEN:
            return False
        del self._resting[longest]
        self._since.pop(longest, None)  # before it says so itself: we are serving already
        longest.close()
        return True


OPEN = Connections(int(os.environ.get("METAL_CONNECTIONS") or MOST))
"""Those of this process. Who knows that the network bears more sets METAL_CONNECTIONS, or says
`metal enroll --connections N`."""

FILES = 512
"""Open files that everything else may need."""


def room_to_rest(many: int) -> None:
    """So many connections may stay open between two looks, beside those that are used, as far as
    this process may open files. METAL_CONNECTIONS holds."""
    if os.environ.get("METAL_CONNECTIONS"):
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < many + FILES:
        soft = min(many + FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    OPEN.allow(MOST + max(0, min(many, soft - FILES)))
