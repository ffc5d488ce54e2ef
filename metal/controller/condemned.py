"""What is known of disks that somebody wants erased, for the moment before they are lost."""

from collections.abc import Iterator, Mapping, Sequence

from metal.controller.erasures import erased_on
from metal.controller.knowing import known
from metal.controller.workspace import Workspace
from metal.model.base import Frozen
from metal.model.burnin import DiskTest
from metal.model.facts import Drive

GIB = 2**30


class Condemned(Frozen):
    server: str
    serial: str
    model: str | None = None
    size_bytes: int | None = None
    erased: str | None = None
    """The day of a record that says it was erased already."""


def condemned(workspace: Workspace, disks: Mapping[str, Sequence[str]]) -> list[Condemned]:
    """`disks`: server → serial numbers. What its BMC told, the burn-in, and the inventory."""
    erased = erased_on(workspace)
    return [
        one.model_copy(update={"erased": erased.get(serial)})
        for server, serials in disks.items()
        for about in [dict(_known(workspace, server))]
        for serial in serials
        for one in [about.get(serial) or Condemned(server=server, serial=serial)]
    ]


def _known(workspace: Workspace, server: str) -> Iterator[tuple[str, Condemned]]:
    """(serial, disk), the surest last."""
    learned, told = workspace.inventory.servers[server].learned, known(workspace, server)
    for disk in learned.disks if learned else ():
        if disk.serial:
            size = disk.size_gib * GIB
            yield disk.serial, Condemned(server=server, serial=disk.serial, size_bytes=size)
    drives: tuple[Drive, ...] = (told.facts.drives if told.facts else None) or ()
    tested: tuple[DiskTest, ...] = (told.burnin.evidence.disks if told.burnin else None) or ()
    for serial, model, told_bytes in (*map(_told, drives), *map(_told, tested)):
        if serial and told_bytes:
            yield (
                serial,
                Condemned(server=server, serial=serial, model=model, size_bytes=told_bytes),
            )


def _told(seen: Drive | DiskTest) -> tuple[str | None, str | None, int | None]:
    return seen.serial, seen.model, seen.size_bytes
