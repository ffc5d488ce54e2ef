"""What a BMC's event log tells of a server that is about to fail. Pure.

An event is a moment and no state: it counts for a while from when it was read, by metal's clock.
What sensors tell, they tell in each look; here is what is in the log alone, such as an ECC storm.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from metal.heal.signs import signs
from metal.model.base import Frozen
from metal.model.facts import LogEntry

Kind = Literal["uncorrectable", "correctable", "power supply", "temperature"]

STORM = 10
"""Correctable errors of memory within an hour that are a storm. A module that is well logs none for
months; mcelog takes a page of memory out of use after as many in a whole day."""
HOUR = 3600.0
STANDS: dict[Kind, float] = {"uncorrectable": 24 * HOUR}
"""Seconds for which an event counts, where that is not an hour: memory that once lost data does so
again, and no sensor tells of it meanwhile."""
LASTING: frozenset[Kind] = frozenset({"uncorrectable", "correctable"})
"""That such an event is over says only that no second one came at once."""
KEPT = 40
"""Events of a server that are kept: of a storm more would tell nothing more."""

MEMORY = re.compile(r"ecc|dimm|memory|\bmem\b", re.IGNORECASE)
UNCORRECTABLE = re.compile(r"uncorrectable|multi-?bit", re.IGNORECASE)
CORRECTABLE = re.compile(r"(?<!un)correctable|(?<!un)corrected|single-?bit", re.IGNORECASE)
LIMIT = re.compile(r"limit|threshold|rate exceeded", re.IGNORECASE)
"""The BMC counted by itself, and logs no more of them."""
OVER = re.compile(r"\(over\)$|\bresolved\b|\brestored\b|return\w* to|deasserted", re.IGNORECASE)
PART = re.compile(
    r"\b(?:psu|power suppl(?:y|ies)|ps|temp\w*|inlet|cpu)[ _-]?\w*?\d+\b|^[^:]+(?=:)", re.IGNORECASE
)


class Event(Frozen):
    """One that may be a sign."""

    kind: Kind
    text: str
    seen: float
    """When it was read, in seconds since the epoch: BMCs' clocks are wrong."""


def noted(
    before: Sequence[Event], entries: Iterable[LogEntry], now: float, *, cleared: bool = False
) -> tuple[Event, ...]:
    """What counts of the events from before, and of what was logged since.

    Who clears the log has seen to what was in it.
    """
    events = [] if cleared else [event for event in before if _counts(event, now)]
    for entry in entries:
        kind = _kind(entry)
        if kind and not _over(kind, entry):
            events.append(Event(kind=kind, text=entry.text, seen=now))
        elif kind not in LASTING:
            events = [e for e in events if (e.kind, _part(e.text)) != (kind, _part(entry.text))]
    return tuple(events[-KEPT:])


def complaints(events: Sequence[Event], now: float) -> tuple[str, ...]:
    """What is told of them, as a BMC's own complaints are."""
    return tuple(dict.fromkeys(_complaints([e for e in events if _counts(e, now)])))


def _complaints(events: Sequence[Event]) -> Iterator[str]:
    corrected = [event for event in events if event.kind == "correctable"]
    if len(corrected) >= STORM:
        last = corrected[-1].text
        yield f"{len(corrected)} correctable memory errors within an hour in its event log: {last}"
    elif limits := [event for event in corrected if LIMIT.search(event.text)]:
        yield f"too many correctable memory errors, its event log says: {limits[-1].text}"
    for event in events:
        if event.kind == "uncorrectable":
            yield f"uncorrectable memory error in its event log: {event.text}"
        elif event.kind != "correctable":
            yield f"its event log says: {event.text}"


def _counts(event: Event, now: float) -> bool:
    """A wall clock that was put back makes nothing stand for ever."""
    return abs(now - event.seen) < STANDS.get(event.kind, HOUR)


def _kind(entry: LogEntry) -> Kind | None:
    """Of a predicted failure BMCs speak as of a warning; of heat only what is critical counts."""
    text = entry.text
    if MEMORY.search(text) and UNCORRECTABLE.search(text):
        return "uncorrectable"
    if MEMORY.search(text) and CORRECTABLE.search(text):
        return "correctable"
    said = signs([text])
    if "power supply" in said:
        return "power supply"
    return "temperature" if "temperature" in said and entry.severity in ("critical", "ok") else None


def _over(kind: Kind, entry: LogEntry) -> bool:
    """Some BMCs call a corrected error harmless; that it was one it is all the same."""
    return bool(OVER.search(entry.text)) or (entry.severity == "ok" and kind != "correctable")


def _part(text: str) -> str:
    """Of what the entry speaks: "PSU 1"."""
    found = PART.search(text)
    return found[0].lower() if found else ""
