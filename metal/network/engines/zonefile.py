"""Zone files, for BIND and all that read its master files, and the named.conf that lists them."""

from collections.abc import Iterator, Sequence

from metal.network.zones import TTL, Zone

REFRESH, RETRY, EXPIRE, NEGATIVE = 7200, 900, 1_209_600, 900


def render_zone(zone: Zone, serial: int, *, own: bool = False) -> str:
    """The whole zone. `own` includes the file of records that people write beside it."""
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
    if own:
        lines.append(f"$INCLUDE {own_file(zone)}")
    return "\n".join(lines) + "\n"


def own_file(zone: Zone) -> str:
    """What metal does not know of, such as MX and TXT: written by people, included if there."""
    return f"{zone.file}.own"


def render_named(zones: Sequence[Zone], folder: str = "/etc/bind/metal") -> str:
    """Statements for named.conf.local of the primary."""
    lines = ["// Rendered by metal: what is changed here by hand is lost."]
    for zone in zones:
        lines.append(f'zone "{zone.name}" {{ type primary; file "{folder}/{zone.file}"; }};')
    return "\n".join(lines) + "\n"


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
