"""Rebuild what burnt: each of its VMs from its backup, elsewhere, the most important first.

Nothing is brought back while anything of the old place answers. One that cannot be brought keeps
nobody; asked again (resumed), it is tried again, and what is there already stays as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from metal.model.base import Frozen
from metal.model.errors import Failed, MetalError
from metal.operations.lease import LeaseLost
from metal.operations.run import Run

VERSION = 1


class Piece(Frozen):
    """One VM, as it was planned and agreed to."""

    vm: str
    called: str
    """Its name in the backup."""
    vmid: int
    priority: int
    cluster: str
    server: str
    disks: str
    """The storage that its disks come to."""
    gib: int
    storage: str
    """Of the backup, as the cluster calls it."""
    backup: str
    made: float
    """When, in seconds since 1970."""


class Rebuilding(Frozen):
    """Chosen beforehand, shown, and kept with the operation."""

    name: str
    """The site or the cluster that is gone."""
    servers: tuple[str, ...]
    """Its servers, which are set aside."""
    why: str
    """What says that nothing of it runs any more."""
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class RebuildingPorts:
    hold: Callable[[str, str], None]
    """(server, note): nothing may be done with the server until a person releases it."""
    bring: Callable[[Piece], dict[str, Any]]
    """Look whether anything of the old place answers (Refused) and whether the VM runs anywhere
    (then nothing is done); else restore it and start it. What it says of where it is then."""


def rebuild(run: Run, order: Rebuilding, ports: RebuildingPorts) -> dict[str, Any]:
    """What became of each VM; Failed naming those that are not back, after all others are."""
    note = f"lost with {order.name}: {order.why}"
    for server in order.servers:
        run.step(f"hold {server}", partial(ports.hold, server, note))
    back: dict[str, Any] = {}
    failed: dict[str, str] = {}
    total = len(order.pieces)
    for number, piece in enumerate(order.pieces):
        run.progress(number / (total + 1), f"bring {piece.vm} back on {piece.server}")
        try:
            back[piece.vm] = run.step(f"bring {piece.vm} back", partial(ports.bring, piece))
        except LeaseLost:
            raise
        except MetalError as error:
            run.say(f"{piece.vm} is not back: {error}")
            failed[piece.vm] = str(error)
    if failed:
        whys = "\n".join(f"  {vm}: {why}" for vm, why in failed.items())
        raise Failed(f"{len(failed)} of {total} VMs are not back\n{whys}", where=order.name)
    return {"name": order.name, "vms": back}
