"""How long to wait for what."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Seconds."""

    connect: float = 2.0
    """To open a connection: a dead host costs this much, once a look."""
    answer: float = 30.0
    """For one answer."""
    alive: int = 1
    """Between two signs of life on an open connection; three that are missed break it."""
    poll: float = 0.5
    start: float = 60.0
    migrate: float = 3600.0
    """For one live migration: memory, and disks that are not shared, over a slow network."""
