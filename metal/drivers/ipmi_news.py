"""What an IPMI BMC logged since the last look: two questions where that is nothing.

Source: IPMI 2.0 rev. 1.1, chapter 31. No clock and no time stamp of a BMC is believed.
"""

from typing import Any

from pyghmi.exceptions import IpmiException

from metal.drivers.ipmi_sel import EMPTY, FIRST_ID, LAST_ID, get_entry, sel_info, told
from metal.model.facts import LogMark, LogNews

MOST = 25
"""Records of one look; what was logged beyond them is read in the next one."""


def read_news(command: Any, mark: LogMark | None) -> LogNews:
    """What follows the record at which the last reading ended, if that still stands there."""
    count = sel_info(command).entries
    end = _at(command, LAST_ID)[1] if count else b""
    now = LogMark(count=count, last=end.hex())
    if mark is None:
        return LogNews(mark=now)
    if count < mark.count:
        return LogNews(mark=now, cleared=True)
    if now == mark:
        return LogNews(mark=now)
    records = _after(command, bytes.fromhex(mark.last))
    if not records:  # it was overwritten: what is new cannot be told
        return LogNews(mark=now)
    read = LogMark(count=min(count, mark.count + len(records)), last=records[-1].hex())
    return LogNews(mark=read, entries=told(command, records))


def _after(command: Any, last: bytes) -> list[bytes]:
    """The records behind that one, MOST of them; none where another one has its number now."""
    following = FIRST_ID
    if last:
        following, record = _at(command, int.from_bytes(last[:2], "little"))
        if record != last:
            return []
    found: list[bytes] = []
    while following != LAST_ID and len(found) < MOST:
        following, record = _at(command, following)
        if not record or record in found:
            break
        found.append(record)
    return found


def _at(command: Any, number: int) -> tuple[int, bytes]:
    """(id of the next, the record); nothing follows where there is none of that id."""
    try:
        return get_entry(command, number)
    except IpmiException as error:
        if error.ipmicode != EMPTY:
            raise
        return LAST_ID, b""
