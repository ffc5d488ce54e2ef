"""`ipmitool sel list` and `sel elist` → log entries."""

import re
from datetime import datetime

from metal.drivers.ipmi_judge import level_of
from metal.model.facts import Health, LogEntry

LAST = 1000
BEFORE_BMCS = 2004
LINE = re.compile(
    r"^\s*[0-9a-f]+\s*\|\s*(?:(\d\d/\d\d/\d{2,4})\s*\|\s*(\d\d:\d\d:\d\d(?: [AP]M)?)[^|]*"
    r"|\s*(Pre-Init[^|]*)\|\s*([^|]*?)\s*)\|\s*(.+)$",
    re.IGNORECASE,
)
FORMATS = ("%m/%d/%Y %H:%M:%S", "%m/%d/%y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%y %I:%M:%S %p")


def is_sel(text: str) -> bool:
    return any(map(LINE.match, text.splitlines())) or text.strip() == "SEL has no entries"


def read_sel(text: str) -> tuple[LogEntry, ...]:
    """In the order it was written in, which is the oldest first; the last LAST."""
    matches = filter(None, map(LINE.match, text.splitlines()))
    return tuple([_entry(match) for match in matches][-LAST:])


def _entry(match: re.Match[str]) -> LogEntry:
    day, clock, _, _, rest = match.groups()
    parts = [part.strip() for part in rest.split("|")]
    over = any(p.lower() == "deasserted" for p in parts)
    said = [p for p in parts if p and p.lower() not in ("asserted", "deasserted")]
    text = ": ".join([said[0], ", ".join(said[1:])] if said[1:] else said)
    return LogEntry(
        at=_moment(day, clock) if day else None,
        severity=_severity(text, over),
        text=text + (" (over)" if over else ""),
    )


def _severity(text: str, over: bool) -> Health:
    if over:
        return "ok"
    return level_of(text)


def _moment(day: str, clock: str) -> str | None:
    """ipmitool writes the BMC's own time, American fashion; None for a clock never set."""
    for form in FORMATS:
        try:
            at = datetime.strptime(f"{day} {clock.strip()}", form)
        except ValueError:
            continue
        return f"{at.isoformat()}+00:00" if at.year >= BEFORE_BMCS else None
    return None
