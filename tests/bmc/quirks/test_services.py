"""Logs and network services, with what makers made of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metal.drivers.redfish import Redfish
from metal.lab.redfish_bmc import RedfishBmc
from metal.model.errors import Failed, Refused
from metal.model.facts import LogEntry

Open = Callable[..., Redfish]
EVENTS = [
    LogEntry(at="2026-03-01T10:00:00+00:00", severity="warning", text="fan 2 is slow"),
    LogEntry(at="2026-03-02T10:00:00+00:00", severity="critical", text="PSU 2 lost input"),
]


@pytest.mark.parametrize("fault", [None, "log-links", "log-newest-first"])
def test_a_log_is_read_in_order(
    open_redfish: Open, redfish_bmc: RedfishBmc, fault: str | None
) -> None:
    redfish_bmc.machine.events.extend(EVENTS)
    redfish_bmc.faults.update({fault} - {None})  # type: ignore[arg-type]
    assert [e.text for e in open_redfish().log()] == [e.text for e in EVENTS]


@pytest.mark.parametrize("fault", [None, "log-clear-type"])
def test_a_log_is_emptied(open_redfish: Open, redfish_bmc: RedfishBmc, fault: str | None) -> None:
    redfish_bmc.machine.events.extend(EVENTS)
    redfish_bmc.faults.update({fault} - {None})  # type: ignore[arg-type]
    open_redfish().ensure_log_empty()
    assert redfish_bmc.machine.events == []


def test_a_log_that_stays_is_no_success(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    redfish_bmc.machine.events.extend(EVENTS)
    redfish_bmc.faults.add("log-stays")
    with pytest.raises(Failed):
        open_redfish(settle=0.1).ensure_log_empty()


def test_what_is_open_is_told(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    bmc = open_redfish()
    before = bmc.exposure()
    assert before.ipmi_lan is True and "telnet" not in (before.services or ())
    redfish_bmc.faults.update({"snmp-public", "telnet", "ipmi-off"})
    after = bmc.exposure()
    assert (after.ipmi_lan, after.snmp, after.snmp_communities) == (False, True, ("public",))
    assert "telnet" in (after.services or ())


def test_i13_ipmi_that_is_switched_off_is_named(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.faults.add("ipmi-off")
    with pytest.raises(Refused, match="IPMI over LAN is switched off"):
        open_redfish().console()
