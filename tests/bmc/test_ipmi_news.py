"""What was logged since the last look, over IPMI: few questions, and history is not news."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from metal.drivers import ipmi_sel
from metal.drivers.ipmi import Ipmi
from metal.drivers.ipmi_news import MOST
from metal.lab.ipmi_bmc import IpmiBmc
from metal.lab.machine import Machine
from metal.model.facts import LogEntry, LogMark

FACTORY = ("ADMIN", "factory-Pa55")


def entry(number: int, text: str = "DIMM A1: Correctable error") -> LogEntry:
    at = f"2026-03-{1 + number // 1440 % 28:02}T{number // 60 % 24:02}:{number % 60:02}:00+00:00"
    return LogEntry(at=at, severity="warning", text=text)


@pytest.fixture
def bmc(machine: Machine) -> Iterator[Ipmi]:
    double = IpmiBmc(machine, "127.0.0.1", 0, dict([FACTORY])).start()
    driver = Ipmi("127.0.0.1", *FACTORY, port=double.port, timeout=3, settle=1)
    yield driver
    driver.close()
    double.stop()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the entries that were asked for."""
    asked: list[int] = []
    ask = ipmi_sel.ask

    def counted(command: Any, netfn: int, number: int, *data: int) -> bytes:
        if (netfn, number) == (10, 0x43):
            asked.append(data[2] | data[3] << 8)
        return ask(command, netfn, number, *data)

    monkeypatch.setattr(ipmi_sel, "ask", counted)
    return asked


def mark(bmc: Ipmi) -> LogMark:
    news = bmc.log_news(None)
    assert news.mark and not news.entries and not news.cleared
    return news.mark


def test_only_what_is_new(bmc: Ipmi, machine: Machine) -> None:
    machine.events.extend(map(entry, range(5)))
    seen = mark(bmc)
    assert bmc.log_news(seen).entries == ()
    added = [
        entry(6),
        entry(7, "DIMM A2: Uncorrectable error"),
        entry(8, "PSU 1: Power input lost"),
    ]
    machine.events.extend(added)
    news = bmc.log_news(seen)
    assert [(e.at, e.text) for e in news.entries] == [(e.at, e.text) for e in added]
    assert [e.severity for e in news.entries] == ["warning", "critical", "critical"]
    assert news.mark and bmc.log_news(news.mark).entries == ()


def test_the_first_entries_of_an_empty_log(bmc: Ipmi, machine: Machine) -> None:
    seen = mark(bmc)
    machine.events.extend(map(entry, range(2)))
    assert len(bmc.log_news(seen).entries) == 2


def test_entries_without_a_time_are_news_as_well(bmc: Ipmi, machine: Machine) -> None:
    unset = entry(0).model_copy(update={"at": None})
    machine.events.extend([unset] * 3)
    seen = mark(bmc)
    machine.events.extend([unset] * 4)
    assert len(bmc.log_news(seen).entries) == 4


def test_a_log_that_was_cleared_or_overwritten_is_read_from_then_on(
    bmc: Ipmi, machine: Machine
) -> None:
    machine.events.extend(map(entry, range(10)))
    seen = mark(bmc)
    machine.events[:] = [entry(50)]
    news = bmc.log_news(seen)
    assert news.cleared and news.entries == ()
    machine.events[:] = list(map(entry, range(100, 110)))
    overwritten = bmc.log_news(seen)
    assert (overwritten.cleared, overwritten.entries) == (False, ())


def test_five_thousand_entries_cost_few_questions(
    bmc: Ipmi, machine: Machine, read: list[int]
) -> None:
    machine.events.extend(map(entry, range(5000)))
    seen = mark(bmc)
    read.clear()
    assert bmc.log_news(seen).entries == ()
    assert read == [0xFFFF]
    machine.events.extend(map(entry, range(5000, 5000 + MOST + 5)))
    read.clear()
    news = bmc.log_news(seen)
    assert len(news.entries) == MOST and len(read) == MOST + 2
    assert news.mark and len(bmc.log_news(news.mark).entries) == 5, "the rest in the next look"
