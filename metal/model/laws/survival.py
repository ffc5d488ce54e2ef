"""The law of survival: any one server may die, and the others take its VMs.

Exact, by search: the verdict of a greedy rule would be wrong both ways. Sizes are divided by
their greatest common divisor, so that a cluster of a few nodes is a small subset-sum problem.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from math import gcd, inf
from typing import NamedTuple

from metal.model.cpus import offers, runs
from metal.model.laws.after import After, Resident
from metal.model.laws.breach import Breach
from metal.model.laws.capacity import room_mib, room_vcpus

LIMIT = 100_000
"""Partial packings looked at before the judge gives up. What it can't prove is not survivable."""


class TooHard(Exception):
    """The search was given up: neither proven nor disproven."""


class Item(NamedTuple):
    """What restarts as one: a VM, or VMs that stay together."""

    memory: int
    vcpus: int = 0
    groups: frozenset[str] = frozenset()
    cpus: frozenset[str | None] = frozenset()
    """The types of processor it needs."""


class Bin(NamedTuple):
    """What a survivor has left."""

    memory: int
    vcpus: float = inf
    groups: frozenset[str] = frozenset()
    """Those that have a replica there."""
    cpus: frozenset[str] | None = None


def survival_laws(after: After) -> Iterator[Breach]:
    """Judged where the plan chooses: a place must leave the cluster safe, a move no worse.

    A drain or a recovery does not choose to have a server less, so it is not held against it.
    """
    chosen = {p.cluster for p in after.places}
    moved = {m.cluster for m in after.lone_moves}
    for cluster, fleet in after.inventory.clusters.items():
        if not fleet.restarts or cluster not in chosen | moved:
            continue
        for dead in sorted(after.carrying[cluster]):
            what = fatal(dead, cluster, after.residents, after)
            if what and (cluster in chosen or not fatal(dead, cluster, after.earlier, after)):
                yield Breach(law="survival", subject=dead, what=what)


def fatal(dead: str, cluster: str, residents: Mapping[str, Resident], after: After) -> str | None:
    """What goes wrong when `dead` dies; None when all of its VMs can be restarted."""
    survivors = sorted(after.carrying[cluster] - {dead})
    here = [r for r in residents.values() if r.cluster == cluster]
    bins = [_bin(s, [r for r in here if r.server == s], after) for s in survivors]
    # Also what sits on a server that is down already, and is still to be restarted.
    lost = [r for r in here if r.server not in survivors and not _template(r.name, after)]
    items = _restarting(lost, bins)
    names = ", ".join(survivors)
    try:
        if fits(items, bins):
            return None
    except TooHard:
        return f"if {dead} dies: too many VMs to prove that {names} can take them"
    cannot = f"{names} cannot" if names else "there is no other server to"
    return f"if {dead} dies, {cannot} take its VMs ({sum(i.memory for i in items)} MiB)"


def _template(name: str, after: After) -> bool:
    """It never runs, so nothing of it is to be restarted."""
    return name in after.world.vms and after.world.vms[name].kind == "template"


def _bin(server: str, settled: list[Resident], after: After) -> Bin:
    vcpus = room_vcpus(server, after)
    return Bin(
        memory=max(0, (room_mib(server, after) or 0) - sum(r.memory_mib or 0 for r in settled)),
        vcpus=inf if vcpus is None else max(0, vcpus - sum(r.vcpus for r in settled)),
        groups=frozenset(r.group for r in settled if r.group),
        cpus=offers(after.inventory.cpu_of(server)),
    )


def _restarting(victims: list[Resident], bins: list[Bin]) -> list[Item]:
    """Sets as one item each, without the replicas that wait: where every survivor has one of a
    group, one more of it has no place, and the group lives on without. First by name, first served.
    """
    sets: dict[frozenset[str], list[Resident]] = {}
    for victim in victims:
        sets.setdefault(victim.together or frozenset({victim.name}), []).append(victim)
    order = sorted(sets.values(), key=lambda those: min(r.name for r in those))
    places = Counter[str]()
    for group in {r.group for r in victims if r.group}:
        places[group] = sum(group not in b.groups for b in bins)
    dropped: set[int] = set()
    for group in sorted(places):
        for n, those in enumerate(order):
            if n not in dropped and any(r.group == group for r in those):
                places[group] -= 1
                if bins and places[group] < 0:
                    dropped.add(n)
    return [_item(those) for n, those in enumerate(order) if n not in dropped]


def _item(those: list[Resident]) -> Item:
    return Item(
        memory=sum(r.memory_mib or 0 for r in those),
        vcpus=sum(r.vcpus for r in those),
        groups=frozenset(r.group for r in those if r.group),
        cpus=frozenset(r.cpu for r in those),
    )


def fits(items: list[Item], bins: list[Bin]) -> bool:
    """True if and only if all items go into the bins, no two of a group into one.

    Raises TooHard when LIMIT partial packings did not settle it.
    """
    unit = gcd(*(i.memory for i in items)) or 1
    # The largest first, and of one size those of a group: what is hard to place fails early.
    order = sorted(
        (i._replace(memory=i.memory // unit) for i in items),
        key=lambda i: (i.memory, sorted(i.groups), i.vcpus),
        reverse=True,
    )
    rest = [sum(i.memory for i in order[k:]) for k in range(len(order) + 1)]
    vcpus = [sum(i.vcpus for i in order[k:]) for k in range(len(order) + 1)]
    # A group is only worth remembering while one of its members is still to be placed.
    later = [frozenset(g for i in order[k + 1 :] for g in i.groups) for k in range(len(order))]
    dead_ends: set[tuple[int, tuple[Bin, ...]]] = set()

    def search(k: int, state: tuple[Bin, ...]) -> bool:
        if k == len(order):
            return True
        if rest[k] > sum(b.memory for b in state) or vcpus[k] > sum(b.vcpus for b in state):
            return False
        if (k, state) in dead_ends:
            return False
        item = order[k]
        # Best fit first; bins that look the same are tried once.
        for b in sorted({b: b for b in state}, key=lambda b: b.memory):
            if not _takes(b, item):
                continue
            left = list(state)
            left.remove(b)
            left.append(
                b._replace(
                    memory=b.memory - item.memory,
                    vcpus=b.vcpus - item.vcpus,
                    groups=b.groups | (item.groups & later[k]),
                )
            )
            if search(k + 1, tuple(sorted(left, key=_key))):
                return True
        if len(dead_ends) >= LIMIT:
            raise TooHard
        dead_ends.add((k, state))
        return False

    start = (b._replace(memory=b.memory // unit) for b in bins)
    return search(0, tuple(sorted(start, key=_key)))


def _takes(b: Bin, item: Item) -> bool:
    return (
        item.memory <= b.memory
        and item.vcpus <= b.vcpus
        and not item.groups & b.groups
        and all(runs(cpu, b.cpus) for cpu in item.cpus)
    )


def _key(b: Bin) -> tuple[int, float, list[str], list[str]]:
    return b.memory, b.vcpus, sorted(b.groups), sorted(b.cpus or ())
