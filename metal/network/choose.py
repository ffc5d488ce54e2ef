"""Who is served when a site has fewer addresses than wishes: the choice, and a proof of it.

Each VM that wants an address of its own takes one; those that share are packed into the rest
(metal/network/sharing.py). For every number of shared addresses a branch and bound looks for the
most weight that fits. Its bound lets each VM wait for one port only, its most wanted one: at most
as many VMs as there are addresses can have a port. Where that is too coarse for the steps allowed,
OR-tools' CP-SAT decides, if it is installed (the extra `solver`); else the gap is told.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from metal.network.sharing import Port, bins_of, bits, masks

FLOWS = 64_000
"""Connections to one place of the world that one address carries: its ports less the reserved."""
STEPS = 1_500
"""Of the search, a site."""


@dataclass(frozen=True)
class Want:
    """One that wants addresses: a VM, or the proxy with all its VMs."""

    name: str
    weight: int
    """What serving it is worth, above zero."""
    own: bool = False
    ports: frozenset[Port] = frozenset()
    """Of those who share."""
    flows: int = 0
    """Through NAT, of those who share."""


@dataclass(frozen=True)
class Choice:
    """Who is served, and how good that is."""

    served: frozenset[str]
    bins: dict[str, int]
    """Those served who share → the number of their address."""
    weight: int
    bound: int
    """No choice at all is worth more."""
    way_out: bool = True
    """Whether the gateways, where there are any, have an address to go out by."""

    @property
    def proven(self) -> bool:
        return self.weight == self.bound


def choose(wants: Sequence[Want], addresses: int, flows: int = 0) -> Choice:
    """The choice of most weight for that many addresses; deterministic.

    `flows` are of those that take no address but go out through the shared ones: they may take
    the room of others, and are served whatever it costs.
    """
    best, most = _searched(wants, addresses, flows)
    if best.proven:
        return best
    try:
        from metal.network.exact import choose_exactly
    except ImportError:
        return best
    exact = choose_exactly(wants, addresses, flows, most)
    if exact is None or exact.weight > best.weight:
        return exact or best
    # With more shared addresses than it was allowed nothing is worth more than the best.
    return replace(best, bound=max(best.weight, exact.bound))


def _searched(wants: Sequence[Want], addresses: int, flows: int) -> tuple[Choice, int]:
    """(the best found, the most shared addresses with which something could be worth more)."""
    owners = sorted((w for w in wants if w.own), key=lambda w: (-w.weight, w.name))
    worth = list(accumulate((w.weight for w in owners), initial=0))
    sharers = [w for w in wants if not w.own]
    search = _Search(sharers, STEPS)
    counts = range(min(addresses, len(sharers) + -(-flows // FLOWS)) + 1)
    own = {n: min(addresses - n, len(owners)) for n in counts}
    bounds = {n: worth[own[n]] + search.bound(n) for n in counts}
    best = Choice(frozenset(), {}, -1, -1)
    given_up: list[int] = []
    for shared in sorted(counts, key=lambda n: (-bounds[n], n)):
        if bounds[shared] <= best.weight:
            break
        room = FLOWS * shared - min(flows, FLOWS * shared)
        packing, weight, exact = search.best(shared, room, best.weight - worth[own[shared]])
        if not exact:
            given_up.append(bounds[shared])
        if worth[own[shared]] + weight > best.weight:
            served = frozenset(packing) | {w.name for w in owners[: own[shared]]}
            best = Choice(served, packing, worth[own[shared]] + weight, 0)
    bound = max([best.weight, *given_up])
    most = max((n for n in counts if bounds[n] > best.weight), default=0)
    return replace(best, bound=bound), most


@dataclass
class _Search:
    """Branch and bound over those who share, heaviest first."""

    sharers: Sequence[Want]
    steps: int
    order: list[Want] = field(init=False)
    mask: dict[str, int] = field(init=False)
    key: list[int] = field(init=False)
    """The port that each waits for in the bound; -1 for none."""

    def __post_init__(self) -> None:
        self.order = sorted(self.sharers, key=lambda w: (-w.weight, w.name))
        self.mask = masks({w.name: w.ports for w in self.order})
        wanted = Counter(bit for mask in self.mask.values() for bit in bits(mask))
        self.key = [
            max(bits(self.mask[w.name]), key=lambda b: (wanted[b], -b), default=-1)
            for w in self.order
        ]
        self._after = _Suffixes(self.order, self.key, self.mask)

    def bound(self, bins: int) -> int:
        """No packing into that many addresses is worth more."""
        return self._after.begin(bins) if bins else 0

    def best(self, bins: int, room: int, least: int) -> tuple[dict[str, int], int, bool]:
        """(packing, its weight, whether nothing better was left out), of more than `least`.

        An empty packing means that there is none of more than `least`; `room` is for flows.
        """
        taken = [0] * bins
        at: dict[str, int] = {}
        after = self._after
        left_out: list[tuple[int, int]] = []
        found: tuple[dict[str, int], int] = ({}, max(least, 0))
        exact = True

        def descend(depth: int, weight: int, room: int, rest: int) -> None:
            nonlocal found, exact
            if weight > found[1]:
                found = dict(at), weight
            if depth == len(self.order) or weight + rest <= found[1]:
                return
            if self.steps <= 0:
                exact = False
                return
            self.steps -= 1
            want, mask = self.order[depth], self.mask[self.order[depth].name]
            passed = rest + after.passed(depth)
            dominated = any(s & mask == s and f <= want.flows for s, f in left_out)
            if dominated:  # one left out is worth as much at least, and fits wherever it does
                descend(depth + 1, weight, room, passed)
                return
            tried: set[int] = set()
            served = rest + after.served(depth)
            for number in range(bins if want.flows <= room else 0):
                held = taken[number]
                if held & mask or held in tried:
                    continue
                tried.add(held)
                taken[number] = held | mask
                at[want.name] = number
                descend(depth + 1, weight + want.weight, room - want.flows, served)
                del at[want.name]
                taken[number] = held
            after.undo(depth)
            left_out.append((mask, want.flows))
            descend(depth + 1, weight, room, passed)
            left_out.pop()

        descend(0, 0, room, after.begin(bins))
        return (*found, exact) if found[0] else ({}, 0, exact)


class _Suffixes:
    """What those from a depth on can be worth, each waiting for one port.

    It follows the search down and up: one step changes it at the ports of one want alone.
    """

    def __init__(self, order: Sequence[Want], key: Sequence[int], mask: Mapping[str, int]) -> None:
        places: dict[int, list[int]] = {}
        for place, port in enumerate(key):
            places.setdefault(port, []).append(place)
        self._sums = {
            port: list(accumulate((order[p].weight for p in found), initial=0))
            for port, found in places.items()
        }
        self._from = {port: self._firsts(found, len(order)) for port, found in places.items()}
        self._key = key
        self._ports = [[b for b in bits(mask[w.name]) if b in places] for w in order]
        self._free: dict[int, int] = {}
        """Port → how many addresses have it free; a port that is none is never short."""

    def begin(self, bins: int) -> int:
        """At the top, with that many addresses."""
        self._free = {port: bins if port >= 0 else len(self._key) for port in self._sums}
        return sum(self._worth(port, 0) for port in self._sums)

    def passed(self, depth: int) -> int:
        """By how much it changes where the one at `depth` is not served."""
        port = self._key[depth]
        return self._worth(port, depth + 1) - self._worth(port, depth)

    def served(self, depth: int) -> int:
        """By how much it changes where it is; `undo` it before the next way is gone."""
        change = 0 if self._key[depth] >= 0 else self.passed(depth)
        for port in self._ports[depth]:
            change -= self._worth(port, depth)
            self._free[port] -= 1
            change += self._worth(port, depth + 1)
        return change

    def undo(self, depth: int) -> None:
        for port in self._ports[depth]:
            self._free[port] += 1

    def _worth(self, port: int, depth: int) -> int:
        sums, first = self._sums[port], self._from[port][depth]
        last = first + self._free[port]
        return (sums[last] if last < len(sums) else sums[-1]) - sums[first]

    @staticmethod
    def _firsts(places: Sequence[int], length: int) -> list[int]:
        """depth → how many of these places come before it."""
        firsts, seen = [], 0
        for depth in range(length + 1):
            while seen < len(places) and places[seen] < depth:
                seen += 1
            firsts.append(seen)
        return firsts


def addresses_of(choice: Choice, own: frozenset[str]) -> int:
    """Addresses that the choice takes; `own` are those who want one of their own."""
    return len(choice.served & own) + bins_of(choice.bins)
