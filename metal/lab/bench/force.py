"""Survival by trying every way to restart: slow, short, and nothing shared with the planner."""

from itertools import product
from random import Random

from metal.model.cpus import offers
from metal.schedule.survival import Guest, Node

CHIPS = (offers("Haswell"), offers("Haswell"), offers("Westmere"), None)


def random_cluster(dice: Random) -> list[Node]:
    """Two to four servers, a few VMs each with all kinds of wishes, and little room."""
    nodes: list[Node] = []
    for n in range(dice.choice((2, 3, 3, 3, 4))):
        here: list[Guest] = []
        for v in range(dice.randrange(5)):
            apart = dice.choice((None, None, None, "db", "web"))
            if apart in [g.apart for g in here if g.apart]:
                apart = None
            pair = f"pair{n}" if dice.random() < 0.15 else None
            cpu = "x86-64-v3" if dice.random() < 0.1 else None
            here.append(
                Guest(f"{n}.{v}", dice.randint(1, 9), apart, dice.randint(0, 3), 0, pair, cpu)
            )
        used, busy = sum(g.memory for g in here), sum(g.vcpus for g in here)
        cpus = busy + dice.randrange(9) if dice.random() < 0.7 else None
        nodes.append(Node(f"n{n}", used + dice.randrange(18), here, cpus, dice.choice(CHIPS)))
    return nodes


def survives(nodes: list[Node], dead: Node) -> bool:
    """Whether any of all ways to restart keeps every law."""
    others = [n for n in nodes if n is not dead]
    sets: dict[str, list[Guest]] = {}
    for guest in dead.guests.values():
        sets.setdefault(guest.together or guest.name, []).append(guest)
    full = {g.apart for g in dead.guests.values() if g.apart}
    full = {a for a in full if all(a in [g.apart for g in n.guests.values()] for n in others)}
    moving = [those for those in sets.values() if full.isdisjoint({g.apart for g in those})]
    return any(
        all(
            _holds(n, [g for s, at in zip(moving, way, strict=True) if at is n for g in s])
            for n in others
        )
        for way in product(others, repeat=len(moving))
    )


def _holds(node: Node, new: list[Guest]) -> bool:
    every = [*node.guests.values(), *new]
    groups = [g.apart for g in every if g.apart]
    known = node.offers or frozenset({"x86-64-v2-AES"})
    return (
        sum(g.memory for g in every) <= node.room
        and (node.cpus is None or sum(g.vcpus for g in every) <= node.cpus)
        and len(set(groups)) == len(groups)
        and all((g.cpu or "x86-64-v2-AES") in known for g in new)
    )
