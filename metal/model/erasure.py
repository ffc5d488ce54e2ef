"""What is handed to a donor when a disk was erased: a record, as data and as text."""

import textwrap
from typing import Any, Literal

from pydantic import field_validator

from metal.model.base import Frozen
from metal.model.visible import on_one_line


class Erasure(Frozen):
    """One disk, erased or not."""

    fleet: str
    donor: str
    contact: str
    site: str
    server: str
    server_model: str
    """Vendor and model; "" where nobody told."""
    server_serial: str | None
    disk_model: str | None
    disk_serial: str
    disk_bytes: int | None
    result: Literal["erased", "not erased"]
    method: str | None = None
    verified: str | None = None
    """zeros, ones, or changed (other noise than before: its key was replaced)."""
    samples: int | None = None
    """Blocks of 1 MiB that were read to verify it, spread over the disk."""
    given_up: int | None = None
    """Sectors that the disk had set aside, or could not read, by its SMART before the erasure."""
    began: str | None = None
    ended: str | None = None
    """ISO 8601 UTC, by the clock of the server that was erased."""
    recorded: str
    """ISO 8601 UTC, by the controller's clock."""
    why: str = ""
    """Why not, or what was tried before."""
    by: str
    """Who asked for it."""
    operation: int

    @field_validator("*", mode="before")
    @classmethod
    def _writable(cls, value: Any) -> Any:
        """Half a character, which no file can hold, is a question mark."""
        return value.encode(errors="replace").decode() if isinstance(value, str) else value


WIDTH = 80
LABEL = 20
VERIFIED = {
    "zeros": "every one of them held zeros",
    "ones": "every one of them held ones",
    "changed": "none of them held what it held before (the disk replaced its key)",
}


def text_of(record: Erasure) -> str:
    """The record for people. Ends with a newline.

    Only labels of ours begin a line: serials, models and reasons are what a machine told, and
    what it tells must not read as a result. The data beside it has them as they were told.
    """
    size = "unknown" if record.disk_bytes is None else f"{record.disk_bytes:,} bytes"
    pairs = [
        ("Result", record.result.upper()),
        ("Disk", record.disk_model or "its model was not told"),
        ("Serial number", record.disk_serial),
        ("Size", size),
        ("Method", record.method or "none"),
        ("Verified", _verified(record)),
        ("Given up", _given_up(record)),
        ("Began", record.began or "unknown"),
        ("Ended", record.ended or "unknown"),
        ("Notes", record.why),
        ("Server", " ".join(filter(None, (record.server, record.server_model)))),
        ("Its serial number", record.server_serial or "unknown"),
        ("Donor", f"{record.donor}, {record.contact}"),
        ("Site", record.site),
        ("Asked for by", f"{record.by} ({record.fleet}, operation {record.operation})"),
        ("Recorded", record.recorded),
    ]
    lines = [_folded(f"{label}:", on_one_line(value)) for label, value in pairs if value]
    return "\n".join(["Record of the erasure of a disk", "", *lines, ""])


def _folded(label: str, value: str) -> str:
    """Folded here: a terminal that folds would begin the line with what was told."""
    lines = textwrap.wrap(value, WIDTH - LABEL, break_on_hyphens=False)
    return f"{label:<{LABEL}}" + f"\n{'':<{LABEL}}".join(lines)


def _verified(record: Erasure) -> str:
    if record.verified is None:
        return "no"
    return f"{record.samples} blocks of 1 MiB were read: {VERIFIED[record.verified]}"


def _given_up(record: Erasure) -> str:
    if not record.given_up:
        return ""
    return f"{record.given_up} sectors that nobody can read; if it matters, destroy it"
