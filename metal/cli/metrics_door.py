"""`--metrics` of the commands that stay: opens the door that Prometheus scrapes, and says so."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from metal.cli.face import Face

if TYPE_CHECKING:
    from metal.controller.metering import Meter
    from metal.controller.workspace import Workspace


@contextmanager
def metrics_door(
    face: Face, workspace: "Workspace", listen: str | None
) -> Iterator["Meter | None"]:
    """Open while the block lasts; None where nobody asked for one."""
    if listen is None:
        yield None
        return
    from metal.controller.metering import Meter, MetricsDoor

    meter = Meter(workspace)
    door = MetricsDoor(meter, listen)
    with door:
        face.say(f"metrics at {door.url}")
        if door.open_to_all:
            face.say("whoever reaches that address reads them: names, sites, what is broken")
        yield meter
