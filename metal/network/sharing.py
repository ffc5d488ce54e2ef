"""Which VMs may share one public address: each (protocol, port) meets an address once.

Addresses are colours, VMs that want a same port conflict. The highest multiplicity of a port is
a lower bound that first fit nearly always meets; when it does not, a bounded exact search tries.

Ports come as spans, which may be wide (a video conference's 10,000). All ends of all spans cut
the ports into atoms, so a claim is an integer with a bit for each atom, and a clash is an `&`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

Port = tuple[str, int, int]
"""(protocol, first, last)."""
Claims = Mapping[str, frozenset[Port]]
"""Who wants which ports; a claim without ports still wants some address to share."""

SEARCH_STEPS = 5_000


def masks(claims: Claims) -> dict[str, int]:
    """Owner → its ports as bits: two owners clash if and only if they have a bit in common."""
    cuts: dict[str, set[int]] = {}
    for ports in claims.values():
        for protocol, first, last in ports:
            cuts.setdefault(protocol, set()).update((first, last + 1))
    numbers: dict[tuple[str, int], int] = {}
    for protocol in sorted(cuts):
        for cut in sorted(cuts[protocol]):
            numbers[protocol, cut] = len(numbers)
    return {
        owner: _ored((1 << numbers[p, last + 1]) - (1 << numbers[p, first]) for p, first, last in c)
        for owner, c in claims.items()
    }


def bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def fewest(claims: Claims) -> int:
    """A lower bound of the addresses `claims` need."""
    if not claims:
        return 0
    counts = Counter(bit for mask in masks(claims).values() for bit in bits(mask))
    return max(counts.values(), default=1)


def share(claims: Claims, settled: Mapping[str, int] | None = None) -> dict[str, int]:
    """Owner → number of its shared address, from 0, as few as possible; deterministic.

    `settled` owners have their number already and keep it; they must not conflict.
    """
    settled = settled or {}
    wanted = masks(claims)
    order = sorted(claims, key=lambda o: (o not in settled, -wanted[o].bit_count(), o))
    first = _first_fit(wanted, settled, order)
    used = bins_of(first)
    bound = max(fewest(claims), bins_of(settled))
    for bins in range(bound, used):
        better = _search(wanted, settled, order, bins)
        if better is not None:
            return better
    return first


def bins_of(packing: Mapping[str, int]) -> int:
    """Addresses that a packing takes."""
    return max(packing.values(), default=-1) + 1


def _ored(parts: Iterator[int]) -> int:
    whole = 0
    for part in parts:
        whole |= part
    return whole


def _first_fit(
    wanted: Mapping[str, int], settled: Mapping[str, int], order: list[str]
) -> dict[str, int]:
    bins = [0] * bins_of(settled)
    packing: dict[str, int] = {}
    for owner in order:
        ports = wanted[owner]
        number = settled.get(owner)
        if number is None:
            number = next((n for n, b in enumerate(bins) if not b & ports), len(bins))
        if number == len(bins):
            bins.append(0)
        bins[number] |= ports
        packing[owner] = number
    return packing


def _search(
    wanted: Mapping[str, int], settled: Mapping[str, int], order: list[str], limit: int
) -> dict[str, int] | None:
    """A packing into `limit` addresses, or None: there is none, or the search was given up."""
    bins = [0] * limit
    packing: dict[str, int] = {}
    for owner, number in settled.items():
        bins[number] |= wanted[owner]
        packing[owner] = number
    rest = [o for o in order if o not in settled]
    steps = 0

    def descend(depth: int) -> bool:
        nonlocal steps
        steps += 1
        if depth == len(rest):
            return True
        ports = wanted[rest[depth]]
        tried: set[int] = set()
        for number, taken in enumerate(bins):
            if steps > SEARCH_STEPS or taken & ports or taken in tried:
                continue
            tried.add(taken)
            bins[number] = taken | ports
            packing[rest[depth]] = number
            if descend(depth + 1):
                return True
            bins[number] = taken
        return False

    return packing if descend(0) else None
