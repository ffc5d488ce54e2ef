"""What the store knows of the fleet at one moment, read once: what metrics are told from."""

from collections.abc import Mapping
from dataclasses import dataclass

from metal.controller.post import POST
from metal.controller.workspace import Workspace
from metal.model.world import World
from metal.operations.incidents import Incident
from metal.operations.journal import Operation
from metal.operations.leading import Leader
from metal.operations.sightings import Sighting

VERDICTS = ("*", "verdicts")
"""The record in which the leading watcher keeps what it made of its last look: no server's name
is "*"."""


@dataclass(frozen=True)
class FleetState:
    """Times: seconds since the epoch by the store's clock."""

    now: float
    looked: float | None
    """When somebody last looked; None before the first look."""
    world: World
    judged: float | None
    """When a watcher last judged what it saw."""
    verdicts: Mapping[str, str]
    """Server → its state as heal.diagnosis says, of those that are watched."""
    leader: Leader | None
    places: Mapping[str, Sighting]
    incidents: tuple[Incident, ...]
    """All there ever were."""
    operations: tuple[Operation, ...]
    waiting: int
    """Requests that people at the rack have not answered."""
    unsent: int
    """Alarms that nobody took yet."""
    lost: int
    """Alarms that were given up."""


def read_state(workspace: Workspace) -> FleetState:
    """Asks the store only: no BMC, no cluster. Raises what the store does when it is away."""
    store = workspace.store
    look, verdicts = store.looks.last(), store.records.get(*VERDICTS)
    unsent, lost = store.alarms.unsent()
    return FleetState(
        now=store.now(),
        looked=look[0] if look else None,
        world=World.model_validate_json(look[1]) if look else World(),
        judged=verdicts.at if verdicts else None,
        verdicts=verdicts.body if verdicts else {},
        leader=store.leading.who(POST),
        places=store.sightings.all(),
        incidents=tuple(store.incidents.list()),
        operations=tuple(store.journal.list()),
        waiting=len(store.requests.waiting()),
        unsent=unsent,
        lost=lost,
    )
