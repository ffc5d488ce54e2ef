"""What was logged since the last look, over Redfish: few calls, and history is not news."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metal.drivers.redfish import Redfish
from metal.drivers.redfish_news import MOST, PAGES
from metal.lab.redfish_bmc import RedfishBmc
from metal.model.facts import LogEntry, LogMark

Open = Callable[..., Redfish]
WAYS = [(), ("log-links",), ("log-newest-first",), ("log-newest-first", "log-links"),
        ("clock-1970",), ("skip-ignored",), ("clock-1970", "log-newest-first")]  # fmt: skip


def entry(number: int) -> LogEntry:
    at = f"2026-03-{1 + number // 1440 % 28:02}T{number // 60 % 24:02}:{number % 60:02}:00+00:00"
    return LogEntry(at=at, severity="warning", text="DIMM A1: Correctable ECC")


def mark(bmc: Redfish) -> LogMark:
    news = bmc.log_news(None)
    assert news.mark and not news.entries and not news.cleared
    return news.mark


@pytest.fixture(params=WAYS, ids=lambda way: "+".join(way) or "plain")
def bmc(open_redfish: Open, redfish_bmc: RedfishBmc, request: pytest.FixtureRequest) -> Redfish:
    redfish_bmc.faults.update(request.param)
    return open_redfish()


def test_only_what_is_new(bmc: Redfish, redfish_bmc: RedfishBmc) -> None:
    events = redfish_bmc.machine.events
    events.extend(map(entry, range(40)))
    seen = mark(bmc)
    assert bmc.log_news(seen).entries == ()
    events.extend(map(entry, range(40, 43)))
    news = bmc.log_news(seen)
    assert len(news.entries) == 3 and news.mark and news.mark.count == 43
    assert {e.text for e in news.entries} == {"DIMM A1: Correctable ECC"}
    assert bmc.log_news(news.mark).entries == ()


def test_the_first_entries_of_an_empty_log(bmc: Redfish, redfish_bmc: RedfishBmc) -> None:
    seen = mark(bmc)
    redfish_bmc.machine.events.extend(map(entry, range(2)))
    assert len(bmc.log_news(seen).entries) == 2


def test_what_stands_in_a_log_that_was_cleared_is_read_from_then_on(
    bmc: Redfish, redfish_bmc: RedfishBmc
) -> None:
    events = redfish_bmc.machine.events
    events.extend(map(entry, range(30)))
    seen = mark(bmc)
    events.clear()
    events.append(entry(50))
    news = bmc.log_news(seen)
    assert news.cleared and news.entries == () and news.mark
    events.append(entry(51))
    assert len(bmc.log_news(news.mark).entries) == 1


@pytest.mark.parametrize("fault", [None, "log-newest-first"])
def test_a_full_log_that_forgets_its_oldest_entries(
    open_redfish: Open, redfish_bmc: RedfishBmc, fault: str | None
) -> None:
    redfish_bmc.faults.update({fault} - {None})  # type: ignore[arg-type]
    bmc, events = open_redfish(), redfish_bmc.machine.events
    events.extend(map(entry, range(100)))
    seen = mark(bmc)
    events[:] = [*events[2:], entry(100), entry(101)]
    news = bmc.log_news(seen)
    assert [e.at for e in news.entries] == [entry(100).at, entry(101).at]


def test_a_log_that_is_shown_in_another_way_holds_no_news(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    """As after an update of the firmware."""
    bmc, events = open_redfish(), redfish_bmc.machine.events
    events.extend(map(entry, range(30)))
    seen = mark(bmc)
    events[:] = [e.model_copy(update={"text": f"Memory: {e.text}"}) for e in map(entry, range(60))]
    assert bmc.log_news(seen).entries == ()


@pytest.mark.parametrize("faults", WAYS)
def test_five_thousand_entries_cost_few_calls(
    open_redfish: Open, redfish_bmc: RedfishBmc, faults: tuple[str, ...]
) -> None:
    redfish_bmc.faults.update(faults)
    bmc, events = open_redfish(), redfish_bmc.machine.events
    events.extend(map(entry, range(5000)))
    seen = mark(bmc)
    redfish_bmc.asked.clear()
    assert bmc.log_news(seen).entries == ()
    assert len(redfish_bmc.asked) == 1
    events.extend(map(entry, range(5000, 6000)))
    redfish_bmc.asked.clear()
    assert len(bmc.log_news(seen).entries) == MOST
    assert len(redfish_bmc.asked) <= 1 + MOST


def test_of_a_log_in_pages_the_last_ones_are_asked(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    events = redfish_bmc.machine.events
    events.extend(map(entry, range(300)))
    redfish_bmc.faults.add("paged-collections")
    bmc = open_redfish()
    seen = mark(bmc)
    events.extend(map(entry, range(300, 304)))
    redfish_bmc.asked.clear()
    assert len(bmc.log_news(seen).entries) == 4
    assert len(redfish_bmc.asked) == 5


def test_of_pages_without_a_way_to_the_last_one_nothing_is_known(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.machine.events.extend(map(entry, range(300)))
    redfish_bmc.faults.update({"paged-collections", "skip-ignored"})
    bmc = open_redfish()
    redfish_bmc.asked.clear()
    assert bmc.log_news(None).mark is None
    assert len(redfish_bmc.asked) < 4 * PAGES
