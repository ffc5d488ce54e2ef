"""The driver and ipmitool's texts tell the same of one machine: metal's own IPMI double."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metal.drivers.ipmi import Ipmi
from metal.drivers.ipmi_identity import MAKERS
from metal.drivers.ipmitool_text import Told, read
from metal.drivers.vendors import vendor_name
from metal.lab.ipmi_bmc import IpmiBmc
from metal.lab.machine import Machine
from metal.model.facts import BootDevice, LogEntry

LOGIN = ("ADMIN", "factory-Pa55word")


@pytest.fixture
def bmc(machine: Machine) -> Iterator[IpmiBmc]:
    accounts = dict([LOGIN]) | {"donor": "n0t-forgotten-yet"}
    double = IpmiBmc(machine, "127.0.0.1", 0, accounts, cipher_suite=3).start()
    yield double
    double.stop()


@pytest.fixture
def driver(bmc: IpmiBmc) -> Iterator[Ipmi]:
    opened = Ipmi("127.0.0.1", *LOGIN, port=bmc.port, timeout=5, settle=1)
    yield opened
    opened.close()


@pytest.fixture
def told(bmc: IpmiBmc, ipmitool: Callable[..., str]) -> Callable[[str], Told]:
    """What metal reads in the output of an ipmitool command."""
    return lambda words: read(ipmitool(bmc.port, LOGIN, words))


Ask = Callable[[str], Told]


def test_fru_firmware_and_supplies(driver: Ipmi, told: Ask) -> None:
    facts = driver.facts()
    fru, firmware, sensors = told("fru print").facts, told("mc info").facts, told("sdr elist")
    assert fru and firmware and sensors.facts
    for key in ("vendor", "model", "serial", "sku", "board_serial"):
        assert getattr(fru, key) == getattr(facts, key) is not None
    assert (firmware.vendor, firmware.bmc_firmware) == (facts.vendor, facts.bmc_firmware)
    assert sensors.facts.psus == facts.psus
    lan = told("lan print 1").facts
    assert lan and lan.bmc_mac == facts.bmc_mac is not None


@pytest.mark.parametrize("power", ["on", "off"])
def test_power(driver: Ipmi, told: Ask, power: str) -> None:
    driver.ensure_power("on" if power == "on" else "off")
    status = told("chassis status").facts
    assert status and status.power_state == driver.power() == driver.facts().power_state == power


@pytest.mark.parametrize("device", ["network", "media", "disk"])
def test_boot_device(driver: Ipmi, told: Ask, device: BootDevice) -> None:
    assert told("chassis bootparam get 5").boot_once is None
    driver.ensure_boot_once(device, "uefi")
    assert told("chassis bootparam get 5").boot_once == driver.boot_once() is not None


@pytest.mark.parametrize(
    ("complaints", "severity"),
    [
        ((), "ok"),
        (("PSU 2: power supply failure detected",), "critical"),
        (("PSU 2: fan slow",), "warning"),
        (("DIMM A1: uncorrectable ECC",), "critical"),
        (("DIMM A1: correctable ECC",), "warning"),
        (("sda: SMART",), "warning"),
        (("sda: broken",), "critical"),
        (("Inlet: hot",), "critical"),
        (("Inlet: warm",), "warning"),
        (("the chassis was opened",), "warning"),
    ],
)
def test_health(
    driver: Ipmi, told: Ask, machine: Machine, complaints: tuple[str, ...], severity: str
) -> None:
    machine.complaints, machine.severity = complaints, severity
    theirs, ours = told("sdr elist").health, driver.health()
    assert theirs and theirs.health == ours.health == severity
    about = [[reason.partition(":")[0] for reason in h.reasons] for h in (theirs, ours)]
    assert about[0] == about[1] and len(about[0]) == len(complaints)


def test_the_short_list_knows_thresholds_only(told: Ask, machine: Machine) -> None:
    machine.complaints = ("Inlet: hot", "PSU 2: power supply failure detected")
    health = told("sdr list").health
    assert health and health.reasons == ("Inlet: beyond its critical threshold (48 °C)",)


def test_sensors_of_one_name_get_the_same_names(driver: Ipmi, told: Ask, bmc: IpmiBmc) -> None:
    bmc.faults.add("duplicate-sensors")
    facts = told("sdr elist").facts
    assert facts and facts.psus == driver.facts().psus
    assert [p.name for p in facts.psus or ()] == [
        "Status (Power supply, 01h)",
        "Status (Power supply, 02h)",
    ]


def test_accounts(driver: Ipmi, told: Ask, bmc: IpmiBmc) -> None:
    bmc.faults.add("null-user")
    listed = told("user list 1").accounts
    assert listed is not None
    ours = [(a.id, a.name, a.role) for a in driver.accounts()]
    assert [(a.id, a.name, a.role) for a in listed] == ours
    assert [name for _, name, _ in ours] == ["", "ADMIN", "donor"]


@pytest.mark.parametrize("kind", ["sel list", "sel elist"])
def test_log(driver: Ipmi, told: Ask, machine: Machine, kind: str) -> None:
    assert told(kind).log == driver.log() == ()
    machine.events = [
        LogEntry(at="2026-03-01T12:00:00+00:00", severity="critical", text=""),
        LogEntry(at=None, severity="ok", text=""),
        LogEntry(at="2026-03-02T12:00:00+00:00", severity="warning", text=""),
    ]
    theirs, ours = told(kind).log, driver.log()
    expected = [(e.at, e.severity) for e in machine.events]
    assert [(e.at, e.severity) for e in ours] == expected
    assert [(e.at, e.severity) for e in theirs or ()] == expected


@pytest.mark.parametrize(
    "faults",
    [set(), {"cipher-0", "auth-none"}, {"cipher-0-unused"}, {"null-user"}, {"log-full"}],
    ids=lambda faults: "+".join(sorted(faults)) or "tidy",
)
def test_exposure(driver: Ipmi, told: Ask, bmc: IpmiBmc, faults: set[str]) -> None:
    bmc.faults |= faults
    lan, users, log = (told(w).exposure for w in ("lan print 1", "user list 1", "sel info"))
    ours = driver.exposure()
    assert lan and users and log
    assert lan.cipher_suites == ours.cipher_suites
    assert lan.snmp_communities == ours.snmp_communities
    assert (users.anonymous, log.log_full) == (ours.anonymous, ours.log_full)


def test_serial_over_lan_s_settings(bmc: IpmiBmc, ipmitool: Callable[..., str]) -> None:
    """ipmitool asks for all of them before it opens a console."""
    text = ipmitool(bmc.port, LOGIN, "sol info 1")
    assert f"Payload Port                    : {bmc.port}" in text
    assert "Enabled                         : true" in text and "Error" not in text


@pytest.mark.parametrize(("number", "name"), sorted(MAKERS.items()))
def test_i17_makers_numbers_are_ianas(number: int, name: str) -> None:
    """Of the list that comes with ipmitool; 47488 is of another maker, and Supermicro uses it."""
    listed = Path("/usr/share/misc/enterprise-numbers.txt")
    if not listed.exists():
        pytest.skip("IANA's list is not here (Debian's ipmitool has it)")
    lines = listed.read_text(encoding="utf-8").splitlines()
    theirs = lines[lines.index(str(number)) + 1].strip()
    assert vendor_name(theirs, None) == name or number == 47488
