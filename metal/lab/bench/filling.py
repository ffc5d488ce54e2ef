"""How much goes in: VMs of one size beside Ganeti's hspace, and more demand than there is room for
beside a bound that nobody can pass.

The bound is the sum rule's: the VMs of a cluster fit into what is left of it without its largest
server. CP-SAT fills that as full as can be; no VM has to fit any one server, nor has any wish or
address, so what metal places cannot be more.
"""

import time
from collections import Counter
from collections.abc import Sequence
from random import Random

from metal.lab.bench import ganeti
from metal.lab.bench.worlds import MEMORIES, RESERVED, fleet, world
from metal.model.fleet import Inventory
from metal.schedule.capacity import Fleet, Room
from metal.schedule.place import place
from metal.schedule.roomleft import most
from metal.schedule.solver import installed
from metal.schedule.survival import UNIT_MIB, Guest, Node, units

FREE_GIB = ([60] * 3, [128] * 12, [48, 96, 192] * 14)
"""Clusters, by what each server has free."""
FOUR_GIB = Guest("", units(4096), None, 1)
HSPACE_SECONDS = 60
OVERFULL, DEMAND = ((4, 20), (14, 5)), 1.1
SECONDS = 20.0


def filling() -> None:
    _of_one_size()
    if not installed():
        print("\nmore demand than room: skipped, install the extra `solver` (OR-tools)")
        return
    print(
        f"\n{'more demand than room':<32} {'fleets':>6} {'at bound':>9} {'worst':>8} {'cpu s':>8}"
    )
    for clusters, seeds in OVERFULL:
        _overfull(clusters, seeds)


def _of_one_size() -> None:
    print(
        f"\n{'VMs of 4 GiB, one cluster':<32} {'metal':>6} {'cpu s':>8} {'hspace':>8} {'cpu s':>8}"
    )
    for frees in FREE_GIB:
        nodes = [Node(f"n{i}", units(gib * 1024), cpus=4096) for i, gib in enumerate(frees)]
        begun = time.process_time()
        count = most(nodes, FOUR_GIB, sum(frees) // 4)
        spent = time.process_time() - begun
        theirs, seconds = _hspace(nodes) if ganeti.installed() else ("", "")
        what = f"{len(frees)} servers, {min(frees)} to {max(frees)} GiB free"
        print(f"{what:<32} {count:6} {spent:8.2f} {theirs:>8} {seconds:>8}")


def _hspace(nodes: Sequence[Node]) -> tuple[str, str]:
    words = ("--disk-template", "ext", "--standard-alloc", "1,4096,1", "--machine-readable")
    with ganeti.told({"c": nodes}) as file:
        answer = ganeti.run("hspace", "-t", str(file), *words, timeout=HSPACE_SECONDS)
    if not answer.ended:
        return "no end", f"{answer.seconds:.2f}"
    return ganeti.value(answer, "HTS_ALLOC_INSTANCES") or "?", f"{answer.seconds:.2f}"


def _overfull(clusters: int, seeds: int) -> None:
    """Fleets with every kind of wish, none of them more important than another; then what each
    seed that is not at its bound lacks, which may be too much: the bound knows no wishes."""
    shares, gaps, spent = [], [], 0.0
    for seed in range(seeds):
        inventory = _equal(_too_many(clusters, seed))
        begun = time.process_time()
        found = place(inventory, world(inventory))
        spent += time.process_time() - begun
        placed = sum(units(inventory.needs(vm).memory_mib) for vm in found.homes)
        bound = _bound(inventory, found.fleet)
        shares.append(placed / bound)
        if placed < bound:
            gaps.append(f"  seed {seed}: gap of {(bound - placed) * UNIT_MIB / 1024:g} GiB")
    at = seeds - len(gaps)
    print(f"{f'{3 * clusters} servers':<32} {seeds:6} {at:9} {min(shares):8.2%} {spent:8.2f}")
    for gap, share in zip(gaps, (s for s in shares if s < 1), strict=True):
        print(f"{gap:<49} {share:8.2%}")


def _too_many(clusters: int, seed: int) -> Inventory:
    """A quarter more than the mean fleet of so many clusters survives with."""
    gib = clusters * 2 * (sum(MEMORIES) / len(MEMORIES) - RESERVED)
    dice = Random(seed)
    return fleet(clusters, round(gib * DEMAND / 4.1), seed=dice.randrange(10**6), sites=clusters)


def _equal(inventory: Inventory) -> Inventory:
    vms = {vm: wish.model_copy(update={"priority": 0}) for vm, wish in inventory.vms.items()}
    return inventory.model_copy(update={"vms": vms})


def _bound(inventory: Inventory, full: Fleet) -> float:
    """Memory that goes in at the most, in units."""
    from ortools.sat.python import cp_model

    kinds = Counter(_kind(inventory, vm) for vm in inventory.vms)
    rooms = list(full.rooms.values())
    model = cp_model.CpModel()
    taken = {kind: [model.new_int_var(0, n, "") for _ in rooms] for kind, n in kinds.items()}
    for kind, count in kinds.items():
        model.add(sum(taken[kind]) <= count)
    for c, room in enumerate(rooms):
        for what, most_of_it in enumerate(_limits(room)):
            model.add(sum(kind[what] * of[c] for kind, of in taken.items()) <= most_of_it)
    model.maximize(sum(kind[0] * sum(of) for kind, of in taken.items()))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = SECONDS
    solver.parameters.num_workers = 2
    solver.solve(model)
    return solver.best_objective_bound


def _kind(inventory: Inventory, vm: str) -> tuple[int, int, int]:
    needs = inventory.needs(vm)
    return units(needs.memory_mib), needs.vcpus, needs.disk_gib


def _limits(room: Room) -> tuple[int, int, int]:
    """Of memory, processors and disks, as `_kind`."""
    nodes = [host.node for host in room.hosts.values()]
    memory, cpus = [n.room for n in nodes], [n.cpus or 0 for n in nodes]
    disk = int(room.disk_limit or 0)
    return sum(memory) - max(memory), sum(cpus) - max(cpus), disk
