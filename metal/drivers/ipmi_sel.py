"""The system event log of an IPMI BMC. Source: IPMI 2.0 rev. 1.1, chapters 31 and 32."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyghmi.exceptions import IpmiException, PyghmiException
from pyghmi.ipmi.events import EventHandler

from metal.drivers.ipmi_ask import ask
from metal.drivers.ipmi_judge import level_of
from metal.model.errors import Failed
from metal.model.facts import Health, LogEntry

LAST = 1000
FIRST_ID, LAST_ID = 0x0000, 0xFFFF
EMPTY, CANCELLED = 0xCB, 0xC5
"""Completion codes: no such record, the reservation was cancelled by somebody's new one."""
BEFORE_BMCS = 2004
ENTRY = 16
"""Bytes of a record."""
ERASE, STATUS, DONE = 0xAA, 0x00, 1
PAUSE = 0.1


@dataclass(frozen=True)
class SelInfo:
    """Get SEL Info, 31.2."""

    entries: int
    free_bytes: int
    overflow: bool

    @property
    def full(self) -> bool:
        return self.overflow or self.free_bytes < ENTRY


def sel_info(command: Any) -> SelInfo:
    data = ask(command, 10, 0x40)
    entries, free = (int.from_bytes(data[i : i + 2], "little") for i in (1, 3))
    return SelInfo(entries, free, bool(data[13] & 0x80))


def read_log(command: Any) -> tuple[LogEntry, ...]:
    """Oldest first, the last LAST."""
    info = sel_info(command)
    if not info.entries:
        return ()
    return told(command, _records(command, _start(command, info.entries)))


def told(command: Any, records: Iterable[bytes]) -> tuple[LogEntry, ...]:
    """What these records say."""
    handler = EventHandler(_sensors(command), command)
    return tuple(_entry(handler, record) for record in records)


def ensure_log_empty(command: Any, where: str, settle: float) -> None:
    """Clear SEL (31.9): asked for, then waited for. That it was may be its first new entry."""
    if not sel_info(command).entries:
        return
    reservation = _erase(command)
    deadline = time.monotonic() + settle
    while ask(command, 10, 0x47, *reservation, *b"CLR", STATUS)[0] & 0x0F != DONE:
        if time.monotonic() > deadline:
            break
        time.sleep(PAUSE)
    if (left := sel_info(command).entries) > 1:
        raise Failed(
            f"the log was not cleared: it still has {left} entries",
            where=where,
            mend="clear it in the BMC's web page",
        )


def _erase(command: Any) -> bytes:
    """The reservation under which it began; made anew if somebody else made one meanwhile."""
    for last in (False, False, True):
        reservation = ask(command, 10, 0x42)[:2]
        try:
            ask(command, 10, 0x47, *reservation, *b"CLR", ERASE)
        except IpmiException as error:
            if error.ipmicode != CANCELLED or last:
                raise
        else:
            break
    return reservation


def _start(command: Any, entries: int) -> int:
    """The id to read from: long logs are read from near their end, if ids count up by one."""
    if entries > LAST:
        try:
            _, record = get_entry(command, LAST_ID)
            near = int.from_bytes(record[:2], "little") - LAST + 1
            if near > 0 and int.from_bytes(get_entry(command, near)[1][:2], "little") == near:
                return near
        except IpmiException:
            pass
    return FIRST_ID


def _records(command: Any, start: int) -> list[bytes]:
    """From `start` on; a chain that leads back to where it was ends there."""
    found: deque[bytes] = deque(maxlen=LAST)
    seen: set[int] = set()
    while start != LAST_ID and start not in seen:
        seen.add(start)
        try:
            start, record = get_entry(command, start)
        except IpmiException as error:
            if error.ipmicode == EMPTY:
                break
            raise
        found.append(record)
    return list(found)


def get_entry(command: Any, number: int) -> tuple[int, bytes]:
    """(id of the next, the record), 31.5; a record that is read whole needs no reservation."""
    data = ask(command, 10, 0x43, 0, 0, *number.to_bytes(2, "little"), 0, 0xFF)
    return int.from_bytes(data[:2], "little"), data[2:]


class _NoNames:
    """For a BMC whose sensor records cannot be read: the events stay, without names."""

    sensors: dict[Any, Any] = {}
    fru: dict[Any, Any] = {}


def _sensors(command: Any) -> Any:
    try:
        return command.init_sdr()
    except (PyghmiException, NotImplementedError, IndexError, KeyError):
        return _NoNames()


def _entry(handler: Any, record: bytes) -> LogEntry:
    event = handler._sel_decode(bytearray(record))
    said = (event.get("component") or event.get("component_type"), event.get("event"))
    told = ": ".join(str(text) for text in said if text)
    over = " (over)" if told and event.get("deassertion") else ""
    return LogEntry(
        at=moment(event.get("timecode")),
        severity=_severity(event),
        text=f"{told}{over}" if told else f"a record of its maker's own: {record[2:].hex()}",
    )


def _severity(event: dict[str, Any]) -> Health:
    """Of its words, as a sensor's state is judged; nothing to judge is unknown."""
    if event.get("event") is None:
        return "unknown"
    return "ok" if event.get("deassertion") else level_of(str(event["event"]))


def moment(seconds: int | None) -> str | None:
    """ISO 8601; None for a clock that was not set: it counts from its start or from 1970 (37)."""
    if seconds is None or seconds == 0xFFFFFFFF:
        return None
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="seconds") if at.year >= BEFORE_BMCS else None
