"""Which sockets have something to read: by poll(2), as select(2) ends at the 1024th open file.

`select.select` raises ValueError for a socket whose number is 1024 or higher, however few it is
asked about: a sweep, or a watcher with its store, logs and consoles, gets there.
"""

import math
import select
import socket
from collections.abc import Iterable


def readable(sockets: Iterable[socket.socket], seconds: float | None) -> list[socket.socket]:
    """Those that can be read, or that have an error to tell, as soon as one can; [] when the time
    is over. None waits for ever. ValueError: one of them is closed."""
    poll, by_number = select.poll(), {}
    for one in sockets:
        poll.register(one, select.POLLIN)
        by_number[one.fileno()] = one
    # Rounded up: a wait of less than a millisecond must not become a loop without one.
    wait = None if seconds is None else math.ceil(max(0.0, seconds) * 1000)
    return [by_number[number] for number, _ in poll.poll(wait)]
