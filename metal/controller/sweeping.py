"""Much at once, side by side, in a way that Ctrl-C ends soon.

Threads and not a pool: Python waits for the threads of a pool before it ends, and one of them
may be waiting half a minute for a BMC that is dead.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

GRACE = 5.0
"""Seconds that what runs has to come to its next step after Ctrl-C."""


def side_by_side(
    items: Sequence[T], act: Callable[[T], R], *, workers: int, stop: threading.Event
) -> list[R]:
    """`act` of every item, in the items' order, in at most `workers` threads.

    `act` must not raise. After Ctrl-C `stop` is set, nothing new begins, what runs has GRACE
    seconds to end well, and KeyboardInterrupt goes on.
    """
    left: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(len(items)):
        left.put(index)
    done: dict[int, R] = {}

    # Not join(): in Python 3.11 one that Ctrl-C interrupts takes the thread for ended.
    over = [threading.Event() for _ in range(min(workers, len(items)))]

    def work(ended: threading.Event) -> None:
        try:
            while not stop.is_set():
                try:
                    index = left.get_nowait()
                except queue.Empty:
                    return
                done[index] = act(items[index])
        finally:
            ended.set()

    try:
        for ended in over:
            threading.Thread(target=work, args=(ended,), daemon=True).start()
        for ended in over:
            ended.wait()
    except KeyboardInterrupt:
        stop.set()
        deadline = time.monotonic() + GRACE
        for ended in over:
            ended.wait(max(0.0, deadline - time.monotonic()))
        raise
    return [done[index] for index in range(len(items))]
