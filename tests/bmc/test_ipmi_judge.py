"""The one judge of sensors, in the words of pyghmi (the driver) and of ipmitool alike."""

import pytest
from pyghmi.constants import Health as Level
from pyghmi.ipmi.private.constants import generic_type_offsets, sensor_type_offsets

from metal.drivers.ipmi_judge import Sensor, level_of, psus, report
from metal.model.facts import Health


@pytest.mark.parametrize(
    ("pyghmi", "ipmitool", "level"),
    [
        ("Failure", "Failure detected", "critical"),
        ("Predictive failure", "Predictive failure", "warning"),
        ("Power input lost", "Power Supply AC lost", "critical"),
        ("Power input out of range or lost", "AC lost or out-of-range", "warning"),
        ("Configuration error", "Config Error", "critical"),
        ("Not redundant", "Non-Redundant: Sufficient from Redundant", "warning"),
        ("Redundancy degraded", "Redundancy Degraded", "warning"),
        ("Internal error", "IERR", "critical"),
        ("Thermal trip", "Thermal Trip", "critical"),
        ("Correctable error", "Correctable ECC", "warning"),
        ("Uncorrectable error", "Uncorrectable ECC", "critical"),
        ("Correctable machine check exception", "Correctable machine check error", "warning"),
        ("Uncorrectable machine check exception", "Uncorrectable machine check exception", None),
        ("Parity error", "Parity", "critical"),
        ("Drive fault", "Drive Fault", "critical"),
        ("Predictive drive failure", "Predictive Failure", "warning"),
        ("Rebuild in progress", "Rebuild In Progress", "warning"),
        ("Rebuild aborted", "Rebuild Aborted", "critical"),
        ("PCI SERR", "PCI SERR", "critical"),
        ("Degraded", "Transition to Degraded", "warning"),
        ("Upper non-critical", "Upper Non-critical going high", "warning"),
        ("Upper critical", "Upper Critical going high", "critical"),
        ("Chassis intrusion", "General Chassis intrusion", "ok"),
        ("Pre-boot password violation", "Pre-boot password viol - user password", "ok"),
        ("PXE failure", "PXE Server not found", "ok"),
        ("Present", "Presence detected", "ok"),
    ],
)
def test_both_vocabularies_mean_the_same(pyghmi: str, ipmitool: str, level: Health | None) -> None:
    assert level_of(pyghmi) == level_of(ipmitool) == (level or "critical")


NOT_ITS_HEALTH = (
    "intrusion lockout password account dock nmi interrupt boot pxe connect lan os-crash invalid"
    " eisa"
)
"""pyghmi calls states with these words critical: they tell of people, cables and boots."""


def test_what_pyghmi_calls_critical_is_at_least_a_complaint() -> None:
    every = [s for table in (generic_type_offsets, sensor_type_offsets) for s in table.values()]
    states = {(s["desc"], s["severity"]) for offsets in every for s in offsets.values()}
    bad = {text for text, said in states if said & (Level.Critical | Level.Failed)}
    quiet = {text.lower().replace("os crash", "os-crash") for text in bad if level_of(text) == "ok"}
    assert [t for t in quiet if not any(word in t for word in NOT_ITS_HEALTH.split())] == []


def test_only_the_worst_is_named() -> None:
    states = ("upper non-critical threshold", "upper critical threshold")
    told = report([Sensor("Inlet", "03h", None, states, "ok", "48 °C")])
    assert told.model_dump() == {
        "health": "critical",
        "reasons": ("Inlet: upper critical threshold (48 °C)",),
        "cooling": True,
    }


@pytest.mark.parametrize("value", ["", "12.1 V", "45 degrees C", "34 °C", "5400 RPM"])
def test_whether_it_sees_how_it_is_cooled(value: str) -> None:
    told = report([Sensor("One", "03h", None, (), "ok", value)])
    assert told.cooling is not (value in ("", "12.1 V"))


def test_an_empty_bay_is_no_supply() -> None:
    there = Sensor("PSU 1", "01h", None, ("Present",), "ok", power_supply=True)
    empty = Sensor("PSU 2", "02h", None, (), "ok", power_supply=True)
    fan = Sensor("Fan", "03h", None, ("Present",), "ok", power_supply=False)
    assert [p.name for p in psus([there, empty, fan]) or ()] == ["PSU 1"]
    assert psus([empty]) == () and psus([fan]) is None
