"""Who watches: which watcher leads, and what every place reaches."""

from metal.controller.post import POST
from metal.controller.workspace import Workspace
from metal.model.base import Frozen


class Place(Frozen):
    """One place that somebody watches from."""

    name: str
    age: float
    """Seconds since it looked."""
    reaches: int
    of: int
    """Servers whose hosts answer there, of those it asked."""


class Watchers(Frozen):
    leader: str | None
    """Where the leading watcher is; None when nobody leads."""
    process: str = ""
    term: int = 0
    seconds: float = 0.0
    """Since when it leads."""
    places: tuple[Place, ...] = ()


def watchers(workspace: Workspace) -> Watchers:
    store = workspace.store
    leader, now = store.leading.who(POST), store.now()
    places = tuple(
        Place(
            name=name,
            age=round(seen.age, 1),
            reaches=sum(seen.reaches.values()),
            of=len(seen.reaches),
        )
        for name, seen in store.sightings.all().items()
    )
    if leader is None:
        return Watchers(leader=None, places=places)
    return Watchers(
        leader=leader.place,
        process=leader.process,
        term=leader.term,
        seconds=round(now - leader.since, 1),
        places=places,
    )
