"""Repair of broken clusters: the quick search beside the fewest moves there are (CP-SAT)."""

import time
from collections.abc import Iterator
from random import Random

from metal.lab.bench.balancing import SIZES, THREADS
from metal.model.balance import BalancePolicy
from metal.schedule.capacity import Host
from metal.schedule.even import State, ladder, standing, worth
from metal.schedule.repair import repair
from metal.schedule.solver import installed
from metal.schedule.spread import Scale
from metal.schedule.survival import Guest, Node, Verdict, verdict

CLUSTERS = 40
MOVES = 12


def repairing() -> None:
    """Print how often each finds a repair, with how many moves, in what CPU time."""
    if not installed():
        print("\nrepair: skipped, install the extra `solver` (OR-tools)")
        return
    dice = Random(11)
    quick, exact = [], []
    spent, hopeless = [0.0, 0.0], 0
    for nodes in _broken(dice):
        scale, movable, begun = Scale(_hosts(nodes), BalancePolicy()), _movable(nodes), _cpu()
        quick.append(_mended(nodes, movable))
        spent[0] += _cpu() - begun
        begun = _cpu()
        found = repair(_start(nodes, scale), movable, scale)
        spent[1] += _cpu() - begun
        exact.append(None if found.state is None else len(found.state.moves))
        hopeless += found.hopeless
    able = [(q, e) for q, e in zip(quick, exact, strict=True) if q is not None or e is not None]
    print(f"\n{f'{CLUSTERS} broken clusters of three to five':<34} {'mended':>8} {'cpu s':>8}")
    print(f"{'quick search':<34} {sum(q is not None for q, _ in able):8} {spent[0]:8.2f}")
    print(f"{'CP-SAT':<34} {sum(e is not None for _, e in able):8} {spent[1]:8.2f}")
    same = sum(q == e for q, e in able)
    print(f"  as few moves as CP-SAT: {same} of {len(able)} that can be mended")
    print(f"  proven to have no repair: {hopeless}")


def _broken(dice: Random) -> Iterator[list[Node]]:
    """Three to five servers, fairly full, that one failure breaks though the sums would do."""
    found = 0
    while found < CLUSTERS:
        rooms = [dice.choice((88, 120, 152)) * 8 for _ in range(dice.choice((3, 3, 4, 5)))]
        nodes = [Node(f"n{i}", room, cpus=4 * THREADS) for i, room in enumerate(rooms)]
        target = (sum(rooms) - max(rooms)) * dice.uniform(0.6, 0.9)
        serial = 0
        while sum(n.used for n in nodes) < target:
            guest = Guest(f"v{serial}", dice.choice(SIZES), vcpus=dice.choice((1, 2, 2, 4)))
            takes = [n for n in nodes if n.free >= guest.memory]
            if not takes:
                break
            dice.choice(takes).add(guest)
            serial += 1
        if verdict(nodes) is Verdict.NOT:
            found += 1
            yield nodes


def _cpu() -> float:
    return time.process_time()


def _hosts(nodes: list[Node]) -> list[Host]:
    return [Host(n, THREADS) for n in nodes]


def _movable(nodes: list[Node]) -> dict[str, list[str]]:
    return {vm: [n.name for n in nodes] for n in nodes for vm in sorted(n.guests)}


def _start(nodes: list[Node], scale: Scale) -> State:
    return standing({n.name: n for n in nodes}, scale)


def _mended(nodes: list[Node], movable: dict[str, list[str]]) -> int | None:
    """Moves after which the quick search has no broken server left."""
    policy = BalancePolicy()
    scale = Scale(_hosts(nodes), policy)
    rungs = ladder(_start(nodes, scale), movable, scale, MOVES)
    whole = [s for s in rungs if not s.fatal]
    return len(min(whole, key=lambda s: (len(s.moves), worth(s, policy))).moves) if whole else None
