"""What is wrong with which server, judged from looks alone. Pure.

Silent is not absent. "dead" needs a BMC that says off; what nobody says is unreachable and no
reason to act. Several servers of one site in trouble at once are the site's trouble (a switch,
a power feed, our own uplink) and no reason to act on any of them.
"""

from collections.abc import Sequence
from typing import Literal

from metal.model.base import Frozen
from metal.model.fleet import Inventory
from metal.model.life import Life, Status
from metal.model.world import SeenServer, World

State = Literal["healthy", "degrading", "suspect", "dead", "unreachable", "site-trouble"]

PATIENCE = 2
"""Looks in a row that must show a node offline before one whose BMC says "on" is fenced."""
AT_ONCE = 2
"""Servers of one site in trouble at once that make it the site's."""
_WATCHED = frozenset({Life.MEMBER, Life.DRAINING})


class Diagnosis(Frozen):
    state: State
    evidence: tuple[str, ...] = ()
    """What was seen, each a sentence; never a conclusion."""
    looks: int = 1
    """How many looks in a row, this one included, showed the node offline."""


def diagnose(
    inventory: Inventory, world: World, earlier: Sequence[World] = ()
) -> dict[str, Diagnosis]:
    """Server → diagnosis, of every server that is a member (or draining) and not held.

    `earlier`: the looks before this one, oldest first.
    """
    found = {
        name: _server(name, seen, world, earlier)
        for name, seen in world.servers.items()
        if name in inventory.servers and seen.life in _WATCHED and seen.status is not Status.HELD
    }
    return _site_trouble(inventory, found)


def _server(name: str, seen: SeenServer, world: World, earlier: Sequence[World]) -> Diagnosis:
    said = _said(name, seen, world)
    if seen.node == "online":
        # Its BMC may well be silent or even wrong about power: what answers is alive.
        state: State = "degrading" if seen.health == "critical" else "healthy"
        return Diagnosis(state=state, evidence=said, looks=0)
    if seen.power == "off":
        return Diagnosis(state="dead", evidence=said, looks=_looks(name, earlier))
    if seen.node == "offline" and seen.power == "on":
        return Diagnosis(state="suspect", evidence=said, looks=_looks(name, earlier))
    return Diagnosis(state="unreachable", evidence=said, looks=_looks(name, earlier))


def _looks(name: str, earlier: Sequence[World]) -> int:
    """How many looks in a row, this one included, show the node offline."""
    count = 1
    for world in reversed(earlier):
        if world.servers.get(name, SeenServer()).node != "offline":
            break
        count += 1
    return count


def _said(name: str, seen: SeenServer, world: World) -> tuple[str, ...]:
    node = {
        "online": "its cluster sees the node online",
        "offline": "its cluster sees the node offline",
        "unknown": "nobody says whether the node is online",
    }[seen.node]
    reader = "its plug" if f"bmc {name}" in world.silent else "its BMC"
    power = f"{reader} reads power {seen.power}"
    if seen.power == "unknown":
        power = "its BMC does not tell the power state"
    health = [f"its BMC calls its health {seen.health}"] if seen.health != "unknown" else []
    silent = [
        f"{who} is silent: {world.silent[who]}"
        for who in (f"bmc {name}", f"node {name}")
        if who in world.silent
    ]
    return (node, power, *health, *seen.reasons, *silent)


def _site_trouble(inventory: Inventory, found: dict[str, Diagnosis]) -> dict[str, Diagnosis]:
    """Outages count together, and so do BMC complaints (a power feed lost): each a cause."""
    result = dict(found)
    for kinds in (("dead", "suspect", "unreachable"), ("degrading",)):
        for site in inventory.sites:
            troubled = [
                name
                for name, diagnosis in found.items()
                if inventory.servers[name].site == site and diagnosis.state in kinds
            ]
            if len(troubled) >= AT_ONCE:
                others = f"in trouble at once at {site}: {', '.join(troubled)}"
                for name in troubled:
                    evidence = (*found[name].evidence, others)
                    result[name] = found[name].model_copy(
                        update={"state": "site-trouble", "evidence": evidence}
                    )
    return result
