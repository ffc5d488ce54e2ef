"""Balance of nearly full clusters beside Ganeti's hbal: both are judged by hbal's own score.

What hbal cannot see is survival where disks are shared: its moves are walked one by one, and so
are metal's, by brute force.
"""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from metal.lab.bench import ganeti
from metal.lab.bench.force import survives
from metal.model.balance import BalancePolicy
from metal.schedule.capacity import Host
from metal.schedule.climb import climb, settle
from metal.schedule.even import Move
from metal.schedule.spread import Scale
from metal.schedule.survival import Guest, Node, Verdict, verdict

CLUSTERS = 40
THREADS = 64
SIZES = (32, 64, 64, 128, 128, 256)
"""4 to 32 GiB: few enough that every way to restart can be tried."""
MOVES = 60
EQUAL = 1e-6
"""Less than the last digit that hbal prints."""


@dataclass(frozen=True)
class Run:
    """What one tool made of one cluster."""

    moves: Sequence[Move]
    score: float
    broken: bool
    """After one of its moves some server may not die that might before."""
    seconds: float = 0


def balancing() -> None:
    """Print the comparison; only metal's part where htools is not installed."""
    dice = Random(7)
    clusters = [full_cluster(dice, f"c{c}") for c in range(CLUSTERS)]
    print(f"\n{f'{CLUSTERS} nearly full clusters of three':<34} ", end="")
    print(f"{'score':>8} {'moves':>6} {'broken':>7} {'cpu s':>8}")
    before = [_hbal_score(nodes) for nodes in clusters] if ganeti.installed() else []
    peer = [_hbal(nodes) for nodes in clusters] if ganeti.installed() else []
    if peer:
        print(f"{'as they are':<34} {sum(before):8.2f}")
        _print("hbal", peer)
    _print("metal balance", ours := [_metal(nodes, BalancePolicy()) for nodes in clusters])
    if peer:
        _compare("  against hbal", ours, peer)
        eager = BalancePolicy(gain=0.001, start=0)
        capped = [
            _metal(nodes, eager, len(p.moves)) for nodes, p in zip(clusters, peer, strict=True)
        ]
        _print("metal, no more moves than hbal", capped)
        _compare("  against hbal", capped, peer)
        whole = [(a, p) for a, p in zip(capped, peer, strict=True) if not p.broken]
        _compare("  where hbal breaks nothing", [a for a, _ in whole], [p for _, p in whole])


def full_cluster(dice: Random, name: str) -> list[Node]:
    """Three servers of unlike size, filled until nothing more survives."""
    rooms = [dice.choice((88, 120, 152)) * 8 for _ in range(3)]
    nodes = [Node(f"{name}n{i}", room, cpus=4 * THREADS) for i, room in enumerate(rooms)]
    serial = missed = 0
    while missed < 12:
        guest = Guest(f"{name}v{serial}", dice.choice(SIZES), vcpus=dice.choice((1, 2, 2, 4)))
        node = max(nodes, key=lambda n: n.free - dice.randrange(512))
        sums = node.sums
        node.add(guest)
        if verdict(nodes) is Verdict.SURVIVABLE:
            serial += 1
        else:
            node.undo(guest, sums)
            missed += 1
    return nodes


def _metal(nodes: Sequence[Node], policy: BalancePolicy, budget: int = MOVES) -> Run:
    begun = time.process_time()
    names = [n.name for n in nodes]
    movable = {vm: names for n in nodes for vm in sorted(n.guests)}
    scale = Scale([Host(n, THREADS) for n in nodes], policy)
    best = settle(climb({n.name: n for n in nodes}, movable, scale, budget), budget).state
    spent = time.process_time() - begun
    last = list(best.nodes.values())
    told = _hbal_score(last) if ganeti.installed() else best.score
    assert abs(told - best.score) < 1e-4, "metal's score is not hbal's any more"
    return Run(best.moves, best.score, _breaks(nodes, best.moves), spent)


def _hbal(nodes: Sequence[Node]) -> Run:
    with ganeti.told({nodes[0].name[:-2]: nodes}) as file:
        answer = ganeti.run("hbal", "-t", str(file), "-vv")
    moves = re.findall(r"^\s*\d+\. (\S+)\s+(\S+)\s+=> (\S+)", answer.out, re.MULTILINE)
    return Run(moves, _overall(answer.out), _breaks(nodes, moves), answer.seconds)


def _hbal_score(nodes: Sequence[Node]) -> float:
    with ganeti.told({nodes[0].name[:-2]: nodes}) as file:
        return _overall(ganeti.run("hbal", "-t", str(file), "-l", "0", "-vv").out)


def _overall(said: str) -> float:
    """The last of them, which it prints before and after."""
    return float(re.findall(r"coefficients:\s+overall ([\d.]+)", said)[-1])


def _breaks(nodes: Sequence[Node], moves: Iterable[Move]) -> bool:
    now = {n.name: n.copy() for n in nodes}
    for vm, source, target in moves:
        now[target].add(now[source].remove(vm))
        if not all(survives(list(now.values()), n) for n in now.values()):
            return True
    return False


def _print(what: str, runs: Sequence[Run]) -> None:
    score, moves = sum(r.score for r in runs), sum(len(r.moves) for r in runs)
    broken, spent = sum(r.broken for r in runs), sum(r.seconds for r in runs)
    print(f"{what:<34} {score:8.2f} {moves:6} {broken:7} {spent:8.2f}")


def _compare(what: str, ours: Sequence[Run], peer: Sequence[Run]) -> None:
    pairs = list(zip(ours, peer, strict=True))
    better = sum(a.score < b.score - EQUAL for a, b in pairs)
    worse = sum(a.score > b.score + EQUAL for a, b in pairs)
    more = sum(len(a.moves) > len(b.moves) for a, b in pairs)
    text = f"of {len(pairs)}: {better} better, {worse} worse, {more} with more moves"
    print(f"{what:<34} {text:>8}")
