"""What is wrong with which server, judged from looks alone. Pure.

Silent is not absent. "dead" needs a BMC that says off and a host that answers nowhere; what nobody
says is unreachable and no reason to act. Several servers of one site in trouble at once are the
site's trouble (a switch, a power feed), several sites at once are ours (we are cut off): no reason
to act on any of them.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Literal

from metal.heal.past import Look, Sense, unbroken
from metal.heal.signs import SLOW_DISK, signs
from metal.heal.slow import Slow, slow
from metal.model.base import Frozen
from metal.model.fleet import Inventory
from metal.model.life import Life, Status
from metal.model.world import SeenServer, World

State = Literal[
    "healthy", "degrading", "suspect", "cut-off", "dead", "unreachable", "site-trouble", "blind"
]
OUT: frozenset[State] = frozenset({"dead", "suspect", "cut-off", "unreachable"})
"""States in which a server's VMs may be down."""
PATIENCE = 2
"""Looks in a row that must show it before one whose BMC says "on" is fenced, or one with a
warning is emptied: a single look is no proof."""
AT_ONCE = 2
"""Servers of one site in trouble at once that make it the site's."""
_WATCHED = frozenset({Life.MEMBER, Life.DRAINING})


class Diagnosis(Frozen):
    state: State
    alone: State | None = None
    """What it would be by itself, where others make it the site's or our own trouble."""
    evidence: tuple[str, ...] = ()
    """What was seen, each a sentence; never a conclusion."""
    looks: int = 1
    """How many looks in a row, this one included, showed the node offline."""
    seconds: float = 0.0
    """How long ago the first of those was."""
    unseen: int = 0
    """How many looks in a row, this one included, did not show the node online."""
    mute: bool = False
    """Its BMC said nothing of its health: healthy then means only that it runs."""
    signs: tuple[str, ...] = ()
    """Kinds of failure that announce themselves: "power supply", "memory"."""
    remedy: str = ""
    """What only a person can do about it, beside what metal does."""


def diagnose(
    inventory: Inventory, world: World, past: Sequence[Look] = (), sense: Sense | None = None
) -> dict[str, Diagnosis]:
    """Server → diagnosis, of every server that is a member (or draining) and not held.

    `past`: the looks before this one, oldest first.
    """
    known = sense or Sense()
    past = unbroken(past, known.gap)
    found = {
        name: _server(
            name, seen, slow(inventory.cluster_of(name), name, world, past), world, past, known
        )
        for name, seen in world.servers.items()
        if name in inventory.servers and seen.life in _WATCHED and seen.status is not Status.HELD
    }
    return _blind(inventory, found, _site_trouble(inventory, found))


def _server(
    name: str,
    seen: SeenServer,
    disks: Slow,
    world: World,
    past: Sequence[Look],
    sense: Sense,
) -> Diagnosis:
    said = (*_said(name, seen, world), *disks.said, *_answers(name, sense))
    if seen.node == "online":
        # Its BMC may well be silent or even wrong about power: what answers is alive.
        return _alive(name, seen, disks, past, sense, said)
    looks, seconds = _lost(name, past)
    unseen = 1 + _unseen(name, past)
    answers = any(view.get(name) for view in sense.views.values())
    state: State = "unreachable"
    if answers and (seen.node == "offline" or seen.power == "off"):
        state = "cut-off"
    elif seen.power == "off":
        state = "dead"
    elif seen.node == "offline" and seen.power == "on":
        state = "suspect"
    return Diagnosis(state=state, evidence=said, looks=looks, seconds=seconds, unseen=unseen)


def _alive(
    name: str,
    seen: SeenServer,
    disks: Slow,
    past: Sequence[Look],
    sense: Sense,
    said: tuple[str, ...],
) -> Diagnosis:
    """Failing: its BMC says critical, or names the same new trouble twice in a row; or its disks
    have long been slow."""
    known = frozenset(sense.known.get(name, ()))
    new = frozenset(signs(seen.reasons)) - known
    before = past[-1].world.servers.get(name, SeenServer()) if past else SeenServer()
    lasting = tuple(
        sign for sign in signs(seen.reasons) if sign in new & set(signs(before.reasons))
    )
    if disks.lasts and SLOW_DISK not in {*lasting, *known}:
        lasting = (*lasting, SLOW_DISK)
    failing = seen.health == "critical" or bool(lasting)
    return Diagnosis(
        state="degrading" if failing else "healthy",
        evidence=said,
        looks=0,
        mute=seen.health == "unknown",
        signs=lasting,
        remedy=disks.remedy if SLOW_DISK in lasting and disks.osds else "",
    )


def _lost(name: str, past: Sequence[Look]) -> tuple[int, float]:
    """(how many looks in a row, this one included, show the node offline; for how many seconds)."""
    count, seconds = 1, 0.0
    for look in reversed(past):
        if look.world.servers.get(name, SeenServer()).node != "offline":
            break
        count, seconds = count + 1, look.ago
    return count, seconds


def _unseen(name: str, past: Sequence[Look]) -> int:
    """How many of the last looks in a row did not show the node online."""
    missed = takewhile(
        lambda look: look.world.servers.get(name, SeenServer()).node != "online", reversed(past)
    )
    return sum(1 for _ in missed)


def _said(name: str, seen: SeenServer, world: World) -> tuple[str, ...]:
    node = {
        "online": "its cluster sees the node online",
        "offline": "its cluster sees the node offline",
        "unknown": "nobody says whether the node is online",
    }[seen.node]
    reader = seen.power_by or ("its plug" if f"bmc {name}" in world.silent else "its BMC")
    reads = "reads power" if reader in ("its plug", "its BMC") else "says that power is"
    power = f"{reader} {reads} {seen.power}"
    if seen.power == "unknown":
        power = "its BMC does not tell the power state"
    health = [f"its BMC calls its health {seen.health}"] if seen.health != "unknown" else []
    silent = [
        f"{who} is silent: {world.silent[who]}"
        for who in (f"bmc {name}", f"node {name}")
        if who in world.silent
    ]
    return (node, power, *health, *seen.reasons, *silent)


def _answers(name: str, sense: Sense) -> tuple[str, ...]:
    """From where its host answers, where anybody looked."""
    looked = {place: view[name] for place, view in sense.views.items() if name in view}
    seen = sorted(place for place, answers in looked.items() if answers)
    if seen:
        return (f"its host answers {', '.join(seen)}",)
    return (f"its host answers nobody at {', '.join(sorted(looked))}",) if looked else ()


def _site_trouble(inventory: Inventory, found: dict[str, Diagnosis]) -> dict[str, Diagnosis]:
    """Outages count together, and so do BMC complaints (a power feed lost): each a cause."""
    result = dict(found)
    for kinds in (OUT, frozenset({"degrading"})):
        for site in inventory.sites:
            troubled = [
                name
                for name, diagnosis in found.items()
                if inventory.servers[name].site == site and diagnosis.state in kinds
            ]
            if len(troubled) >= AT_ONCE:
                others = f"in trouble at once at {site}: {', '.join(troubled)}"
                for name in troubled:
                    result[name] = _worse(found[name], "site-trouble", others)
    return result


def _blind(
    inventory: Inventory, found: dict[str, Diagnosis], judged: dict[str, Diagnosis]
) -> dict[str, Diagnosis]:
    """Every server of several sites silent at once: it is we who see nothing.

    A site where one server answers is seen, whatever else is wrong there.
    """
    sites = {inventory.servers[name].site for name in found}
    dark = [
        site
        for site in inventory.sites
        if site in sites
        and all(found[n].state == "unreachable" for n in found if inventory.servers[n].site == site)
    ]
    if len(dark) < AT_ONCE:
        return judged
    text = f"nothing answers at {', '.join(dark)}: it may be this watcher that is cut off"
    return {
        name: _worse(d, "blind", text) if inventory.servers[name].site in dark else d
        for name, d in judged.items()
    }


def _worse(diagnosis: Diagnosis, state: State, text: str) -> Diagnosis:
    alone = diagnosis.alone or diagnosis.state
    return diagnosis.model_copy(
        update={"state": state, "alone": alone, "evidence": (*diagnosis.evidence, text)}
    )
