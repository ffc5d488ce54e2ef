"""Survival and placement of 1,020 servers and 15,000 VMs, with every kind of wish among them."""

import resource
import time
from collections.abc import Callable
from random import Random
from typing import TypeVar

from metal.lab.bench import ganeti
from metal.lab.bench.force import random_cluster, survives
from metal.lab.bench.worlds import fleet, world
from metal.model.fleet import Inventory
from metal.model.world import World
from metal.schedule.capacity import survey
from metal.schedule.orders import ORDERS
from metal.schedule.place import Attempt, place
from metal.schedule.survival import Guest, Node, Verdict, restart_plan, verdict
from metal.schedule.withdraw import relocate

T = TypeVar("T")
CLUSTERS, VMS, SITES = 340, 15_000, 50
RANDOM_CLUSTERS = 100_000


def surviving() -> None:
    print(f"\n{'1,020 servers, 15,000 VMs, all wishes':<46} {'cpu s':>8}  {'':<20}")
    inventory = fleet(CLUSTERS, VMS, sites=SITES)
    placed = _line("place all of them", lambda: place(inventory, world(inventory)))
    print(f"{'  without a home':<46} {len(placed.unplaced):8}")
    times = _one_by_one(inventory)
    for what, share in (("one placement, median", 0.5), ("one placement, 99th of 100", 0.99)):
        print(f"{what:<46} {times[int(len(times) * share)]:8.6f}")
    homes = {vm: (h.cluster, h.server) for vm, h in placed.homes.items()}
    _verdicts(inventory, world(inventory, homes))
    _tight()
    _by_force()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'most memory, MiB':<46} {peak:8.0f}")


def _one_by_one(inventory: Inventory) -> list[float]:
    attempt = Attempt(inventory, world(inventory), frozenset(inventory.clusters), ())
    times: list[float] = []
    settle = attempt.settle

    def timed(first: str) -> None:
        begun = time.process_time()
        settle(first)
        times.append(time.process_time() - begun)

    attempt.settle = timed  # type: ignore[method-assign]
    attempt.run(ORDERS[0])
    return sorted(times)


def _verdicts(inventory: Inventory, full: World) -> None:
    seen = survey(inventory, full, inventory.clusters, ())
    clusters = {r.name: [h.node for h in r.hosts.values()] for r in seen.rooms.values()}
    found = _line("verdict of survival", lambda: [verdict(c) for c in clusters.values()])
    if ganeti.installed():
        with ganeti.told(clusters) as file:
            words = ("-t", str(file), "--no-simulation", "--machine-readable")
            answer = ganeti.run("hcheck", *words)
        print(f"{'  hcheck, memory only':<46} {answer.seconds:8.3f}")
    assert all(v is Verdict.SURVIVABLE for v in found)
    plans = _line(
        "restart plans for every single failure",
        lambda: [restart_plan(c, n.name) for c in clusters.values() for n in c],
    )
    assert all(p is not None for p in plans)
    slowest = max(_timed(lambda s=s: relocate(inventory, full, s))[1] for s in inventory.sites)  # type: ignore[misc]
    print(f"{'the slowest of 50 sites lost, all of it planned':<46} {slowest:8.3f}")


def _tight() -> None:
    """Clusters filled to the brim at random: how many nodes may not die, and how many are said."""
    dice = Random(7)
    clusters = {f"c{c}": _full(dice, f"c{c}") for c in range(40)}
    broken = 0
    for nodes in clusters.values():
        broken += sum(restart_plan(nodes, n.name) is None for n in nodes)
    print(f"{'nodes that may not die, of 40 tight clusters':<46} {broken:8}")
    if ganeti.installed():
        with ganeti.told(clusters) as file:
            answer = ganeti.run("hcheck", "-t", str(file), "--no-simulation", "--machine-readable")
        said = ganeti.value(answer, "HCHECK_INIT_CLUSTER_GN1_FAIL")
        print(f"{'  hcheck says':<46} {said or '?':>8}")


def _full(dice: Random, name: str) -> list[Node]:
    rooms = [dice.choice((88, 120, 152)) * 8 for _ in range(3)]
    nodes = [Node(f"{name}n{i}", room) for i, room in enumerate(rooms)]
    budget, serial = sum(rooms) - max(rooms) - dice.randrange(8, 80), 0
    while budget > 0:
        guest = Guest(f"{name}v{serial}", dice.choice((8, 16, 32, 32, 64, 128)), vcpus=1)
        node = max(nodes, key=lambda n: n.free - dice.randrange(64))
        if guest.memory <= min(budget, node.free):
            node.add(guest)
        budget, serial = budget - guest.memory, serial + 1
    return nodes


def _by_force() -> None:
    dice, wrong = Random(11), 0
    for _ in range(RANDOM_CLUSTERS):
        nodes = random_cluster(dice)
        expected = all(survives(nodes, n) for n in nodes)
        wrong += verdict(nodes) is not (Verdict.SURVIVABLE if expected else Verdict.NOT)
    print(f"{'wrong verdicts in 100,000 clusters by force':<46} {wrong:8}")


def _line(what: str, act: Callable[[], T]) -> T:
    found, spent = _timed(act)
    print(f"{what:<46} {spent:8.3f}")
    return found


def _timed(act: Callable[[], T]) -> tuple[T, float]:
    begun = time.process_time()
    found = act()
    return found, time.process_time() - begun
