"""How evenly the servers of a cluster are used: hbal's kind of score, and what moves do to it."""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

from metal.model.balance import BalancePolicy
from metal.schedule.capacity import Host
from metal.schedule.survival import Item, Node

Figures = tuple[float, ...]
"""Of one server: its share of memory, its vCPUs a thread, its number of VMs."""


class Sums(NamedTuple):
    """Of one figure over all servers: enough for its standard deviation, and quick to change."""

    total: float
    squares: float


class Scale:
    """The score of one cluster under a policy. Servers keep their size, so it is made once."""

    def __init__(self, hosts: Sequence[Host], policy: BalancePolicy) -> None:
        self._size = {h.name: (max(1, h.node.room), h.threads or 1) for h in hosts}
        # Where one server's threads are not known, nobody can say how its vCPUs compare.
        cpu = policy.cpu if all(h.threads for h in hosts) else 0
        self._weights = (policy.memory, cpu, policy.vms)
        self.policy = policy
        self._count = max(1, len(hosts))

    def figures(self, node: Node) -> Figures:
        room, threads = self._size[node.name]
        return node.used / room, node.vcpus / threads, float(len(node.guests))

    def sums(self, nodes: Sequence[Node]) -> tuple[Sums, ...]:
        of_all = [self.figures(n) for n in nodes]
        figures = ([figures[k] for figures in of_all] for k in range(len(self._weights)))
        return tuple(Sums(sum(f), sum(v * v for v in f)) for f in figures)

    def moved(
        self,
        sums: tuple[Sums, ...],
        item: Item,
        source: tuple[str, Figures],
        target: tuple[str, Figures],
    ) -> tuple[Sums, ...]:
        """The sums once the VMs are on the target. Both servers: (name, figures before)."""
        return tuple(
            Sums(
                was.total - less + more,
                was.squares - less * (2 * a - less) + more * (2 * b + more),
            )
            for was, less, more, a, b in zip(
                sums,
                self._adds(item, source[0]),
                self._adds(item, target[0]),
                source[1],
                target[1],
                strict=True,
            )
        )

    def _adds(self, item: Item, server: str) -> Figures:
        room, threads = self._size[server]
        return item.memory / room, item.vcpus / threads, float(len(item.guests))

    def score(self, sums: tuple[Sums, ...]) -> float:
        """0 is even. What a sum of floats leaves of nothing is nothing."""
        return round(
            sum(w * self._deviation(s) for w, s in zip(self._weights, sums, strict=True) if w), 9
        )

    def _deviation(self, sums: Sums) -> float:
        mean = sums.total / self._count
        return sqrt(max(0.0, sums.squares / self._count - mean * mean))


def score(hosts: Sequence[Host], policy: BalancePolicy) -> float:
    """Of a cluster as it is."""
    scale = Scale(hosts, policy)
    return scale.score(scale.sums([h.node for h in hosts]))
