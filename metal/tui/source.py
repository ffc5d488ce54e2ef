"""What the TUI shows, as one value, and where it comes from. The TUI reads nothing else."""

from datetime import datetime
from typing import Protocol

from metal.model.base import Frozen
from metal.model.fleet import Inventory
from metal.model.life import Status
from metal.model.world import World


class OperationSeen(Frozen):
    """One operation of the journal."""

    id: int
    kind: str
    """install, form, place, …"""
    subject: str
    status: Status
    fraction: float = 0.0
    """0 to 1 of its work."""
    text: str = ""
    """What it said last; why it failed."""
    servers: tuple[str, ...] = ()
    """The servers it is about."""


class EventSeen(Frozen):
    """Something an operation said."""

    at: datetime
    operation: int
    subject: str
    text: str


class ErrandSeen(Frozen):
    """Something that a person at the rack is asked to do, and nobody answered yet."""

    request: int
    server: str
    wanted: str
    """on, off"""
    what: str
    """ "press the power button of alba1 (rack L2, U10) until its light is off"."""
    why: str
    asked_at: datetime


class Snapshot(Frozen):
    """Everything the TUI shows at one moment. A file of this shape is a recorded snapshot."""

    taken_at: datetime
    inventory: Inventory
    world: World = World()
    looked_at: datetime | None = None
    """When `world` was seen; None if nobody looked yet."""
    operations: tuple[OperationSeen, ...] = ()
    """Open ones first, then the last that ended."""
    events: tuple[EventSeen, ...] = ()
    """Newest first."""
    errands: tuple[ErrandSeen, ...] = ()
    """Oldest first."""

    @property
    def age(self) -> str:
        """How old the look is, in words."""
        if self.looked_at is None:
            return "never looked"
        return f"seen {ago((self.taken_at - self.looked_at).total_seconds())} ago"


def ago(seconds: float) -> str:
    """ "5 s", "3 min", "2 h", "4 d"."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


class Source(Protocol):
    """Where snapshots come from. Its methods are called in a worker thread and may block."""

    def snapshot(self) -> Snapshot:
        """What is known now, out of state: asks no server. May raise MetalError."""

    def look(self) -> None:
        """Ask every server and cluster; the next snapshot shows it. May raise MetalError."""

    def answer(self, request: int, done: bool) -> None:
        """Record what the person at the rack says of an errand. May raise MetalError."""


class Recorded:
    """A source that never changes: tests, screenshots and the demo."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def look(self) -> None:
        pass

    def answer(self, request: int, done: bool) -> None:
        """There is nobody to tell: the errand stays in sight."""
