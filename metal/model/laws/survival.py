"""The law of survival: any one server may die, and the others take its VMs.

Exact, by search: the verdict of a greedy rule would be wrong both ways. Sizes are divided by
their greatest common divisor, so that a cluster of a few nodes is a small subset-sum problem.
"""

from collections.abc import Iterator, Mapping
from math import gcd

from metal.model.laws.after import After, Resident
from metal.model.laws.breach import Breach
from metal.model.laws.capacity import room_mib

LIMIT = 100_000
"""Partial packings looked at before the judge gives up. What it can't prove is not survivable."""


class TooHard(Exception):
    """The search was given up: neither proven nor disproven."""


def survival_laws(after: After) -> Iterator[Breach]:
    """Judged where the plan chooses: a place must leave the cluster safe, a move no worse.

    A drain or a recovery does not choose to have a server less, so it is not held against it.
    """
    chosen = {p.cluster for p in after.places}
    moved = {m.cluster for m in after.lone_moves}
    for cluster, fleet in after.inventory.clusters.items():
        if len(fleet.servers) == 1 or cluster not in chosen | moved:
            continue
        for dead in sorted(after.carrying[cluster]):
            what = _fatal(dead, cluster, after.residents, after)
            if what and (cluster in chosen or not _fatal(dead, cluster, after.earlier, after)):
                yield Breach(law="survival", subject=dead, what=what)


def _fatal(dead: str, cluster: str, residents: Mapping[str, Resident], after: After) -> str | None:
    """What goes wrong when `dead` dies; None when all of its VMs can be restarted."""
    survivors = sorted(after.carrying[cluster] - {dead})
    here = [r for r in residents.values() if r.cluster == cluster]
    # Also what sits on a server that is down already, and is still to be restarted.
    victims = [r for r in here if r.server not in survivors]
    settled = [r for r in here if r.server in survivors]
    free = {s: room_mib(s, after) or 0 for s in survivors}
    for r in settled:
        free[r.server] -= r.memory_mib or 0
    crowded = _crowded(here, len(survivors))
    wanted = [(v.memory_mib or 0, v.group) for v in victims if v.name in after.inventory.vms]
    wanted = [(size, None if group in crowded else group) for size, group in wanted]
    held = {s: {r.group for r in settled if r.server == s and r.group} for s in survivors}
    bins = [(max(0, free[s]), frozenset(held[s] - crowded)) for s in survivors]
    try:
        if fits(wanted, bins):
            return None
    except TooHard:
        return f"if {dead} dies: too many VMs to prove that {', '.join(survivors)} can take them"
    names = ", ".join(survivors) or "no server"
    return f"if {dead} dies, {names} cannot take its VMs ({sum(s for s, _ in wanted)} MiB)"


def _crowded(residents: list[Resident], servers: int) -> set[str]:
    """Groups of more replicas than survivors: they can't be kept apart, so need not be."""
    groups = [r.group for r in residents if r.group]
    return {g for g in groups if groups.count(g) > servers}


Item = tuple[int, str | None]
"""(memory, apart group or None)"""
Bin = tuple[int, frozenset[str]]
"""(free memory, groups that have a replica there)"""


def fits(items: list[Item], bins: list[Bin]) -> bool:
    """True if and only if all items go into the bins, no two of a group into one.

    Raises TooHard when LIMIT partial packings did not settle it.
    """
    unit = gcd(*(size for size, _ in items)) or 1
    # The largest first, and of one size those of a group: what is hard to place fails early.
    order = sorted(((s // unit, g or "") for s, g in items), reverse=True)
    rest = [sum(s for s, _ in order[i:]) for i in range(len(order) + 1)]
    # A group is only worth remembering while one of its members is still to be placed.
    later = [{g for _, g in order[i + 1 :] if g} for i in range(len(order))]
    dead_ends: set[tuple[int, tuple[Bin, ...]]] = set()

    def search(i: int, state: tuple[Bin, ...]) -> bool:
        if i == len(order):
            return True
        if rest[i] > sum(free for free, _ in state) or (i, state) in dead_ends:
            return False
        size, group = order[i]
        # Best fit first; bins that look the same are tried once.
        for k in sorted({b: k for k, b in enumerate(state)}.values(), key=lambda k: state[k][0]):
            free, groups = state[k]
            if size > free or group in groups:
                continue
            there = (free - size, groups | ({group} & later[i]))
            if search(i + 1, tuple(sorted((*state[:k], there, *state[k + 1 :]), key=_key))):
                return True
        if len(dead_ends) >= LIMIT:
            raise TooHard
        dead_ends.add((i, state))
        return False

    start = ((free // unit, groups) for free, groups in bins)
    return search(0, tuple(sorted(start, key=_key)))


def _key(one: Bin) -> tuple[int, list[str]]:
    return one[0], sorted(one[1])
