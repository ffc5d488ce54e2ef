"""Snapshots out of a workspace's state: the last look, the journal, the events."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from metal.model.world import SeenServer, World
from metal.tui.source import ErrandSeen, EventSeen, OperationSeen, Snapshot

if TYPE_CHECKING:
    from metal.controller.workspace import Workspace
    from metal.operations.events import Event
    from metal.operations.journal import Operation

ENDED = 20
"""How many operations that ended are shown."""
EVENTS = 300
"""How many of the newest events are read."""


class StoreSource:
    """Reads one workspace. Only `look` asks anything but state."""

    def __init__(self, workspace: "Workspace") -> None:
        self._workspace = workspace

    def snapshot(self) -> Snapshot:
        self._workspace.reload()
        world, looked_at = last_look(self._workspace) or (World(), None)
        return Snapshot(
            taken_at=datetime.now(UTC),
            inventory=self._workspace.inventory,
            world=_as_recorded(self._workspace, world),
            looked_at=looked_at,
            operations=_operations(self._workspace),
            events=_events(self._workspace),
            errands=_errands(self._workspace),
        )

    def look(self) -> None:
        from metal.controller.look import look

        look(self._workspace)

    def answer(self, request: int, done: bool) -> None:
        from metal.controller.errands import answer

        answer(self._workspace, request, "done" if done else "cannot")


def last_look(workspace: "Workspace") -> tuple[World, datetime] | None:
    """The last world seen and when; None if nobody looked yet."""
    seen = workspace.store.looks.last()
    if seen is None:
        return None
    at, world = seen
    return World.model_validate_json(world), _time(at)


def _as_recorded(workspace: "Workspace", world: World) -> World:
    """Where a server stands in its life we know ourselves: a look may be old, or none was made."""
    servers = dict(world.servers)
    for name, record in workspace.store.servers.all().items():
        seen = servers.get(name, SeenServer())
        own = {"life": record.life, "status": record.status, "note": record.note}
        servers[name] = seen.model_copy(update=own)
    return world.model_copy(update={"servers": servers})


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _operations(workspace: "Workspace") -> tuple[OperationSeen, ...]:
    every = workspace.store.journal.list()
    shown = [o for o in every if o.open] + [o for o in reversed(every) if not o.open][:ENDED]
    newest = workspace.store.events.last(o.id for o in shown)
    return tuple(_operation(o, newest.get(o.id)) for o in shown)


def _operation(operation: "Operation", event: "Event | None") -> OperationSeen:
    fraction = event.fraction if event and event.fraction is not None else 0.0
    text = operation.error or (event.text if event else "")
    if operation.open and not operation.error and not operation.alive:
        text = f"nobody runs it: metal run resume {operation.id}"
    return OperationSeen(
        id=operation.id,
        kind=operation.kind,
        subject=operation.subject,
        status=operation.status,
        fraction=1.0 if operation.status == "done" else fraction,
        text=text,
        servers=tuple(servers_of(operation.params)),
    )


def servers_of(params: dict[str, Any]) -> Iterable[str]:
    """The servers an operation is about, out of its parameters."""
    action = params.get("action", params)
    if isinstance(action, dict):
        yield from [action["server"]] if isinstance(action.get("server"), str) else []
        yield from [s for s in action.get("servers", ()) if isinstance(s, str)]


def _events(workspace: "Workspace") -> tuple[EventSeen, ...]:
    events = workspace.store.events
    seen = events.since(max(0, events.newest() - EVENTS), limit=EVENTS)
    return tuple(
        EventSeen(at=_time(e.at), operation=e.operation, subject=e.subject, text=e.text)
        for e in reversed(seen)
    )


def _errands(workspace: "Workspace") -> tuple[ErrandSeen, ...]:
    return tuple(
        ErrandSeen(
            request=r.id,
            server=r.server,
            wanted=r.wanted,
            what=r.what,
            why=r.why,
            asked_at=_time(r.asked),
        )
        for r in workspace.store.requests.waiting()
    )
