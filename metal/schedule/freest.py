"""The freest server first, without looking at all of them for each of thousands of VMs."""

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush

from metal.schedule.capacity import Host, Room

Entry = tuple[float, str, int]
"""(minus the share of its memory that is free, server, how often it had changed by then)"""


class Freest:
    """A heap of servers. A server that changed is pushed again; its older entries are stale."""

    def __init__(self, hosts: Iterable[tuple[Room, Host]]) -> None:
        self._at = {host.name: (room, host) for room, host in hosts}
        self._changes = dict.fromkeys(self._at, 0)
        self._heap = [self._entry(name) for name in self._at]
        heapify(self._heap)

    def _entry(self, name: str) -> Entry:
        node = self._at[name][1].node
        return (-node.free / max(1, node.room), name, self._changes[name])

    def changed(self, name: str) -> None:
        self._changes[name] += 1
        heappush(self._heap, self._entry(name))

    def __iter__(self) -> Iterator[tuple[Room, Host]]:
        """Freest first, as of now. Whoever takes one and changes it ends the walk first."""
        walked: list[Entry] = []
        try:
            while self._heap:
                entry = heappop(self._heap)
                if entry[2] == self._changes[entry[1]]:
                    walked.append(entry)
                    yield self._at[entry[1]]
        finally:
            for entry in walked:
                heappush(self._heap, entry)
