"""Which VMs may share one public address: each (protocol, port) meets an address once.

Addresses are colours, VMs that want a same port conflict. The highest multiplicity of a port is
a lower bound that first fit nearly always meets; when it does not, a bounded exact search tries.
"""

from collections import Counter
from collections.abc import Mapping

Port = tuple[str, int]
"""(protocol, port)."""
Claims = Mapping[str, frozenset[Port]]
"""Who wants which ports; a claim without ports still wants some address to share."""

SEARCH_STEPS = 5_000


def fewest(claims: Claims) -> int:
    """A lower bound of the addresses `claims` need."""
    if not claims:
        return 0
    counts = Counter(port for ports in claims.values() for port in ports)
    return max(counts.values(), default=1)


def share(claims: Claims, settled: Mapping[str, int] | None = None) -> dict[str, int]:
    """Owner → number of its shared address, from 0, as few as possible; deterministic.

    `settled` owners have their number already and keep it; they must not conflict.
    """
    settled = settled or {}
    order = sorted(claims, key=lambda o: (o not in settled, -len(claims[o]), o))
    first = _first_fit(claims, settled, order)
    used = _bins(first)
    bound = max(fewest(claims), _bins(settled))
    for bins in range(bound, used):
        better = _search(claims, settled, order, bins)
        if better is not None:
            return better
    return first


def _bins(packing: Mapping[str, int]) -> int:
    return max(packing.values(), default=-1) + 1


def _first_fit(claims: Claims, settled: Mapping[str, int], order: list[str]) -> dict[str, int]:
    bins: list[set[Port]] = [set() for _ in range(_bins(settled))]
    packing: dict[str, int] = {}
    for owner in order:
        ports = claims[owner]
        number = settled.get(owner)
        if number is None:
            number = next((n for n, b in enumerate(bins) if not b & ports), len(bins))
        if number == len(bins):
            bins.append(set())
        bins[number] |= ports
        packing[owner] = number
    return packing


def _search(
    claims: Claims, settled: Mapping[str, int], order: list[str], limit: int
) -> dict[str, int] | None:
    """A packing into `limit` addresses, or None: there is none, or the search was given up."""
    bins: list[set[Port]] = [set() for _ in range(limit)]
    packing: dict[str, int] = {}
    for owner, number in settled.items():
        bins[number] |= claims[owner]
        packing[owner] = number
    rest = [o for o in order if o not in settled]
    steps = 0

    def descend(depth: int) -> bool:
        nonlocal steps
        steps += 1
        if depth == len(rest):
            return True
        ports = claims[rest[depth]]
        tried_empty = False
        for number, taken in enumerate(bins):
            if steps > SEARCH_STEPS or taken & ports or (not taken and tried_empty):
                continue
            tried_empty = tried_empty or not taken
            bins[number] = taken | ports
            packing[rest[depth]] = number
            if descend(depth + 1):
                return True
            bins[number] = taken
        return False

    return packing if descend(0) else None
