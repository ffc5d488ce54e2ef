"""What a watcher knows besides its look: who reaches whom from where, and what was there before."""

import socket
from collections.abc import Sequence

from metal.controller.workspace import Workspace
from metal.heal.fallen import fell
from metal.heal.past import History, Sense
from metal.heal.signs import SLOW_DISK, signs
from metal.heal.slow import slow
from metal.heal.storm import HOUR
from metal.model.life import Life
from metal.model.world import World
from metal.operations.journal import Operation

HEALING = frozenset({"recover", "drain"})
BY = "watch"
"""In the params of what a watcher began: a person's own drains count for nothing here."""
FELL = "fell"
"""The kind of record, by VM, of what a server ran when it was lost."""
WORKERS = 64
FRESH = 1.5
"""Looks after which what another place saw is too old to count."""
_USED = frozenset({Life.MEMBER, Life.DRAINING})


def this_place() -> str:
    """What a watcher is called unless it is told."""
    return socket.gethostname().partition(".")[0] or "here"


def see(workspace: Workspace, place: str) -> None:
    """Tell every watcher which hosts answer here."""
    records, servers = workspace.store.servers.all(), workspace.inventory.servers
    hosts = [name for name in servers if name in records and records[name].life in _USED]
    with workspace.crew(max(1, min(WORKERS, len(hosts)))) as crew:
        reached = dict(zip(hosts, crew.map(workspace.answers, hosts), strict=True))
    workspace.store.sightings.put(place, reached)


LOOKING = 60.0
"""Seconds that a look may take where BMCs are silent."""


def sense(workspace: Workspace, world: World, every: float) -> Sense:
    """What every place saw a moment ago, and what each server complained of from the start."""
    seen = workspace.store.sightings.all()
    suspect = workspace.inventory.fleet.suspect_seconds
    return Sense(
        views={place: s.reaches for place, s in seen.items() if s.age <= FRESH * every},
        known=_known(workspace, world),
        fell=frozenset(workspace.store.records.all(FELL)) if _alone(workspace) else frozenset(),
        suspect_seconds=suspect,
        gap=suspect + FRESH * every + LOOKING,
    )


def _known(workspace: Workspace, world: World) -> dict[str, tuple[str, ...]]:
    """A server that is seen for the first time is taken as it is: a pulled cord is no failure."""
    records = workspace.store.records.all("signs")
    known = {name: tuple(record.body) for name, record in records.items()}
    for name, seen in world.servers.items():
        if name not in known and seen.life is Life.MEMBER and seen.node == "online":
            disks = slow(workspace.inventory.cluster_of(name), name, world)
            known[name] = (*signs(seen.reasons), *((SLOW_DISK,) if disks.osds else ()))
            workspace.store.records.put(name, "signs", list(known[name]))
    return known


def remember_fallen(workspace: Workspace, world: World, past: Sequence[World]) -> None:
    """What lost servers ran is in the store, for whoever leads once they are back."""
    if not _alone(workspace):
        return
    records = workspace.store.records
    known = set(records.all(FELL))
    now = fell(workspace.inventory, world, past, known)
    for vm in now - known:
        records.put(vm, FELL, True)
    for vm in known - now:
        records.forget(vm, FELL)


def _alone(workspace: Workspace) -> bool:
    """Whether any cluster has no HA of its own."""
    return not all(cluster.has_ha for cluster in workspace.inventory.clusters.values())


def history(workspace: Workspace) -> History:
    """What was done within an hour, and what failed within the policy's flap_hours."""
    store, policy = workspace.store, workspace.inventory.watch
    now = store.now()
    since = now - policy.flap_hours * HOUR
    failures: dict[str, int] = {}
    released = {name: record.at for name, record in store.records.all("released").items()}
    for incident in store.incidents.list(since=since):
        kind, _, name = incident.subject.partition(" ")
        if kind == "server" and incident.began > released.get(name, 0.0):
            failures[name] = failures.get(name, 0) + 1
    acted = tuple(now - o.created for o in store.journal.list(since=now - HOUR) if by_watch(o))
    return History(acted=acted, failures=failures)


def by_watch(operation: Operation) -> bool:
    return operation.kind in HEALING and operation.params.get("by") == BY
