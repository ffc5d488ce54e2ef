"""What stands in the way of a restart, as small as can be shown, and what would mend it."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from math import comb

from metal.schedule.packing import pack_exactly
from metal.schedule.survival import UNIT_MIB, Guest, Node, Verdict

TRIES = 2_000
"""Sets of one size that are tried for a smaller counter-example."""
DIMMS_GIB = (4, 8, 16, 32, 64, 128, 256)
GIB = 1024 // UNIT_MIB


def fits(guests: list[Guest], nodes: list[Node]) -> bool:
    return pack_exactly(guests, nodes)[0] is Verdict.SURVIVABLE


def smallest(victims: list[Guest], nodes: list[Node]) -> tuple[str, ...]:
    """VMs that do not fit together: none can be left out, and fewest where that can be tried."""
    kept = sorted(victims, key=lambda g: (g.memory, g.vcpus, g.name))
    for guest in list(kept):
        rest = [g for g in kept if g is not guest]
        if not fits(rest, nodes):
            kept = rest
    largest = sorted(victims, key=lambda g: (-g.memory, g.name))
    for size in range(1, len(kept)):
        if comb(len(largest), size) > TRIES:
            break
        for few in combinations(largest, size):
            if not fits(list(few), nodes):
                return tuple(sorted(g.name for g in few))
    return tuple(sorted(g.name for g in kept))


def mends(dead: str, survivors: list[Node], victims: list[Guest]) -> tuple[str, ...]:
    """The cheapest of each kind that makes this one failure survivable."""
    kinds = (
        _move(dead, survivors, victims),
        _smaller(survivors, victims),
        _dimm(survivors, victims),
    )
    return tuple(text for kind in kinds if (text := next(kind, None)))


def _dimm(survivors: list[Node], victims: list[Guest]) -> Iterator[str]:
    for gib in DIMMS_GIB:
        for node in sorted(survivors, key=lambda n: n.name):
            larger = node.copy()
            larger.room += gib * GIB
            if fits(victims, [larger if n is node else n for n in survivors]):
                yield f"a DIMM of {gib} GiB for {node.name}"


def _move(dead: str, survivors: list[Node], victims: list[Guest]) -> Iterator[str]:
    """One VM moved beforehand: between survivors, or out of the cluster."""
    nodes = {n.name: n for n in survivors}
    for source in survivors:
        for guest in sorted(source.guests.values(), key=lambda g: (g.memory, g.name)):
            for target in (n for n in survivors if n is not source and fits([guest], [n])):
                less, more = source.copy(), target.copy()
                more.add(less.remove(guest.name))
                changed = nodes | {less.name: less, more.name: more}
                if fits(victims, list(changed.values())):
                    yield f"move {guest.name} from {source.name} to {target.name}"
    for guest in sorted(victims, key=lambda g: (g.memory, g.name)):
        if fits([g for g in victims if g is not guest], survivors):
            yield f"move {guest.name} from {dead} to another cluster"


def _smaller(survivors: list[Node], victims: list[Guest]) -> Iterator[str]:
    """The largest size of one victim that would do, in whole GiB: none that no survivor has free
    is tried, or a VM of a petabyte would take a million tries."""
    best: list[tuple[int, str, str]] = []
    most = max((n.spare for n in survivors), default=0)
    for guest in victims:
        for gib in range(min(guest.memory, most) // GIB, 0, -1):
            less = replace(guest, memory=gib * GIB)
            if less.memory < guest.memory and fits(
                [less if g is guest else g for g in victims], survivors
            ):
                text = f"{guest.name} with {gib} GiB instead of {guest.memory / GIB:g}"
                best.append((guest.memory - less.memory, guest.name, text))
                break
    for _, _, text in sorted(best):
        yield text
