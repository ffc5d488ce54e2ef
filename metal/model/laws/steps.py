"""The law of steps: VMs that are moved about leave their cluster lawful after each single move.

A plan may be stopped between any two of its moves, and a server may die there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from metal.model.laws.after import After, Resident
from metal.model.laws.breach import Breach
from metal.model.laws.capacity import room_mib, room_vcpus
from metal.model.laws.survival import fatal
from metal.model.plan import MigrateVm


def step_laws(after: After) -> Iterator[Breach]:
    """Moves of one cluster come one after the other; none overfills its target, joins what is
    apart, or makes a server one that may not die."""
    for cluster in sorted({m.cluster for m in after.lone_moves}):
        moves = [m for m in after.lone_moves if m.cluster == cluster]
        order = sorted(moves, key=lambda m: len(after.before[m.id]))
        loose = [b for a, b in pairwise(order) if a.id not in after.before[b.id]]
        for move in loose:
            what = "does not wait for the other moves of its cluster: each was planned after those"
            yield Breach(law="steps", subject=move.vm, what=what)
        if not loose:
            yield from _walk(cluster, order, after)


def _walk(cluster: str, order: list[MigrateVm], after: After) -> Iterator[Breach]:
    """What the last of them leaves is the plan's end, which the other laws judge."""
    here = {n: r for n, r in after.earlier.items() if r.cluster == cluster}
    for number, move in enumerate(order[:-1], start=1):
        if move.vm not in here:
            continue  # it is elsewhere, which another law says
        then = here | {move.vm: replace(here[move.vm], server=move.target)}
        for subject, what in _step(move, here, then, after):
            said = f"{what} after move {number} of {len(order)} ({move.vm} to {move.target})"
            yield Breach(law="steps", subject=subject, what=said)
        here = then


def _step(
    move: MigrateVm, here: Mapping[str, Resident], then: Mapping[str, Resident], after: After
) -> Iterator[tuple[str, str]]:
    guests = [r for r in then.values() if r.server == move.target]
    room, cpus = room_mib(move.target, after), room_vcpus(move.target, after)
    if room is None or any(g.memory_mib is None for g in guests):
        yield move.target, "has VMs of a size, or memory, that nobody knows"
    elif (taken := sum(g.memory_mib or 0 for g in guests)) > room:
        yield move.target, f"has promised {taken} MiB and has {room}"
    if cpus is not None and sum(g.vcpus for g in guests) > cpus:
        yield move.target, f"has promised more than {cpus:g} vCPUs"
    group = then[move.vm].group
    mates = [g.name for g in guests if g.group == group and g.name != move.vm] if group else []
    if mates:
        yield move.vm, f"shares {move.target} with {', '.join(mates)} of its group"
    for dead in sorted(after.carrying[move.cluster]):
        what = fatal(dead, move.cluster, then, after)
        if what and not fatal(dead, move.cluster, here, after):
            yield dead, what
