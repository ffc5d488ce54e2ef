"""Zone files, for BIND and all that read its master files, and the named.conf that lists them."""

import hashlib
from collections.abc import Iterator, Sequence

from metal.network.zones import TTL, Zone

FOLDER = "/etc/bind/metal"
"""Of the primary name server."""
REFRESH, RETRY, EXPIRE, NEGATIVE = 7200, 900, 1_209_600, 900


def render_zone(zone: Zone, serial: int, *, own: str | None = None) -> str:
    """The whole zone. `own` is the text of records that people write beside it: included by its
    whole path, as BIND would look for another in the folder that it runs in, and named by its sum,
    so that what they change gets a new serial."""
    origin = f"{zone.name}."
    mailbox = f"hostmaster.{_parent(zone)}"
    lines = [
        f"; {zone.name}, rendered by metal: what is changed here by hand is lost.",
        f"$ORIGIN {origin}",
        f"$TTL {TTL}",
        f"@ IN SOA {zone.servers[0]} {mailbox} {serial} {REFRESH} {RETRY} {EXPIRE} {NEGATIVE}",
        *(f"@ IN NS {server}" for server in zone.servers),
        *_records(zone),
    ]
    if own is not None:
        digest = hashlib.sha256(own.encode()).hexdigest()
        lines.append(f"$INCLUDE {FOLDER}/{own_file(zone)} ; sha256 {digest[:16]}")
    return "\n".join(lines) + "\n"


def own_file(zone: Zone) -> str:
    """What metal does not know of, such as MX and TXT: written by people, included if there."""
    return f"{zone.file}.own"


def render_named(zones: Sequence[Zone]) -> str:
    """Statements for named.conf.local of the primary."""
    lines = ["// Rendered by metal: what is changed here by hand is lost."]
    for zone in zones:
        lines.append(f'zone "{zone.name}" {{ type primary; file "{FOLDER}/{zone.file}"; }};')
    return "\n".join(lines) + "\n"


def render_next(zone: Zone, there: str, *, running: int = 0, own: str | None = None) -> str:
    """What follows the file that is there; with its serial, as long as it says the same.

    `running`: the highest serial that others may have heard of. They take no zone whose serial is
    not above theirs, whatever it says.
    """
    before = serial_of(there)
    text = render_zone(zone, max(1, before), own=own)
    if text == there and running <= before:
        return text
    return render_zone(zone, max(before, running) + 1, own=own)


def serial_of(text: str) -> int:
    """The serial of a zone file that was rendered; 0 of anything else."""
    for line in text.splitlines():
        words = line.split()
        if words[:3] == ["@", "IN", "SOA"] and len(words) > 5 and words[5].isdigit():
            return int(words[5])
    return 0


def _records(zone: Zone) -> Iterator[str]:
    for record in zone.records:
        short = record.name.removesuffix(f".{zone.name}.")
        name = "@" if record.name == f"{zone.name}." else short
        yield f"{name} IN {record.kind} {record.value}"


def _parent(zone: Zone) -> str:
    """The domain of its first server: where mail about it goes."""
    return zone.servers[0].partition(".")[2]
