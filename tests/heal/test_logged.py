"""What events tell of a server, and for how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metal.heal.logged import HOUR, KEPT, STORM, Event, complaints, noted
from metal.heal.signs import signs
from metal.model.facts import Health, LogEntry

ECC = "DIMM A1: Correctable error"
NOW = 1_800_000_000.0


def entry(text: str, severity: Health = "warning") -> LogEntry:
    return LogEntry(at=None, severity=severity, text=text)


def told(*entries: LogEntry, after: float = 0.0) -> tuple[str, ...]:
    return complaints(noted((), entries, NOW), NOW + after)


def test_a_storm_is_so_many_within_an_hour() -> None:
    assert told(*[entry(ECC)] * (STORM - 1)) == ()
    [said] = told(*[entry(ECC)] * STORM)
    assert said == f"{STORM} correctable memory errors within an hour in its event log: {ECC}"
    assert signs([said]) == ("memory",)
    assert told(*[entry(ECC)] * STORM, after=HOUR) == ()


def test_errors_are_added_up_from_reading_to_reading() -> None:
    events: tuple[Event, ...] = ()
    for minute in range(STORM):
        assert complaints(events, NOW + 60 * minute) == ()
        events = noted(events, [entry(ECC)], NOW + 60 * minute)
    assert len(complaints(events, NOW + 60 * STORM)) == 1


@pytest.mark.parametrize(
    ("text", "severity", "sign"),
    [
        ("DIMM A2: Uncorrectable error", "critical", "memory"),
        ("Multi-bit memory errors detected on a memory device at location(s) DIMM_A3.", "critical",
         "memory"),
        ("DIMM A1: Correctable memory error logging limit reached", "warning", "memory"),
        ("Correctable Memory Error Threshold Exceeded (Processor 1, DIMM 4)", "warning", "memory"),
        ("PSU 1: Power input lost", "critical", "power supply"),
        ("PSU 2: Predictive failure", "warning", "power supply"),
        ("The power input for power supply 1 is lost.", "critical", "power supply"),
        ("Inlet: Upper critical", "critical", "temperature"),
    ],
)  # fmt: skip
def test_one_that_is_enough(text: str, severity: Health, sign: str) -> None:
    """And of one thing alone: whoever reads `drive` would carry a disk there for a power supply."""
    assert signs(told(entry(text, severity))) == (sign,)


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        (ECC, "ok"),
        ("PCIe slot 3: Bus correctable error", "warning"),
        ("Inlet: Upper non-critical", "warning"),
        ("DIMM A2: Uncorrectable error (over)", "ok"),
        ("PSU 1: Power input lost (over)", "ok"),
        ("PSU 1: Present", "ok"),
        ("Power supply redundancy is restored.", "ok"),
        ("root logged in", "ok"),
        ("a record of its maker's own: 00112233", "unknown"),
    ],
)
def test_what_is_no_sign(text: str, severity: Health) -> None:
    assert told(entry(text, severity)) == ()


def test_what_is_over_tells_no_more_of_that_part() -> None:
    lost, again = "PSU 1: Power input lost", "PSU 1: Power input lost (over)"
    other = "PSU 2: Power input lost"
    said = told(entry(lost, "critical"), entry(other, "critical"), entry(again, "ok"))
    assert said == (f"its event log says: {other}",)


def test_lost_data_stands_for_a_day_and_whoever_clears_the_log_has_seen_to_it() -> None:
    bad = entry("DIMM A2: Uncorrectable error", "critical")
    assert told(bad, after=23 * HOUR) and not told(bad, after=24 * HOUR)
    assert noted(noted((), [bad], NOW), (), NOW, cleared=True) == ()


def test_a_clock_that_was_put_back_makes_nothing_stand_for_ever() -> None:
    assert complaints(noted((), [entry("PSU 1: Failure", "critical")], NOW), NOW - 2 * HOUR) == ()


@given(st.lists(st.sampled_from([ECC, "PSU 1: Failure", "DIMM B1: Uncorrectable error", "x"])))
def test_a_flood_keeps_little_and_each_complaint_is_said_once(texts: list[str]) -> None:
    events = noted((), map(entry, texts * 20), NOW)
    assert len(events) <= KEPT
    said = complaints(events, NOW)
    assert len(said) == len(set(said)) <= 3
