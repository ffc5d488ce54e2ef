"""The IPMI driver against a foreign BMC: OpenIPMI's ipmi_sim, which shares no code with ours.

The machine behind it is our own description; its power and boot device are files that the
simulator's chassis script writes, its sensors files that the simulator reads.
"""

import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from metal.drivers.ipmi import Ipmi
from metal.drivers.ipmitool_text import Told, read
from metal.drivers.rmcp import capabilities, ping_many
from metal.lab.ipmi_sensors import (
    MEMORY,
    PLATFORM,
    POWER_SUPPLY,
    THRESHOLD,
    fru_bytes,
    sdr_records,
    sensors,
)
from metal.lab.machine import Machine
from metal.model.errors import Failed, Refused

pytestmark = pytest.mark.skipif(
    not shutil.which("ipmi_sim"), reason="ipmi_sim is not installed (Debian's openipmi has it)"
)
LOGIN = ("ADMIN", "factory-Pa55word")
NEW = "N3w-password-16b"
WAIT = 20.0
LAN = """
name "sim"
set_working_mc 0x20
startlan 1
  addr 127.0.0.1 {port}
  priv_limit admin
  allowed_auths_callback none md2 md5 straight
  allowed_auths_user none md2 md5 straight
  allowed_auths_operator none md2 md5 straight
  allowed_auths_admin none md2 md5 straight
  guid {guid}
endlan
chassis_control "{control}"
user 1 false "" "" user 10 none md2 md5 straight
user 2 true "{user}" "{password}" admin 10 none md2 md5 straight
"""
CONTROL = """#!{python}
import pathlib, sys
verb, *words = sys.argv[1:]
state = pathlib.Path(__file__).parent
if verb == "get":
    for word in words:
        print(f"{{word}}:{{(state / word).read_text()}}")
else:
    for word, value in zip(words[::2], words[1::2]):
        (state / word).write_text(value)
"""
FAILED_SUPPLY = "0x02 0 0 0 0 0x20 0 4 0x08 2 0x6f 0x01 0xff 0xff"
"""An event of sensor 2 without a time: a power supply's failure, asserted."""


@dataclass
class Simulator:
    """A running ipmi_sim, and the files by which its machine is seen and changed."""

    port: int
    home: Path
    ipmitool: Callable[..., str]

    def state(self, what: str) -> str:
        return (self.home / what).read_text()

    def sense(self, name: str, value: int) -> None:
        (self.home / name.replace(" ", "-")).write_text(str(value))

    def told(self, words: str) -> Told:
        """What metal reads in ipmitool's output."""
        return read(self.ipmitool(self.port, LOGIN, words))


def _emulation(machine: Machine, home: Path) -> str:
    """Commands that give the simulator the machine's FRU and sensors, each fed by a file."""

    def hexed(data: bytes) -> str:
        return " ".join(f"{byte:#04x}" for byte in data)

    fru = fru_bytes(machine)
    lines = [
        "mc_setbmc 0x20",
        "mc_add 0x20 0 no-device-sdrs 0x23 2 0x83 0x9f 0x0002a2 0x0100",
        "sel_enable 0x20 100 0x0a",
        f"mc_add_fru_data 0x20 0 {len(fru)} data {hexed(fru)}",
    ]
    records = zip(sensors(machine), sdr_records(machine), strict=True)
    healthy = {POWER_SUPPLY: 0b1, MEMORY: 1 << 6, PLATFORM: 0b1}
    for number, (sensor, record) in enumerate(records, 1):
        file = home / sensor.name.replace(" ", "-")
        file.write_text(str(22 if sensor.reading == THRESHOLD else healthy.get(sensor.kind, 0)))
        lines.append(f"main_sdr_add 0x20 {hexed(record)}")
        lines.append(
            f"sensor_add 0x20 0 {number} {sensor.kind:#04x} {sensor.reading:#04x} "
            f'poll 50 file "{file}"'
        )
        if sensor.reading == THRESHOLD:
            lines.append(f"sensor_set_threshold 0x20 0 {number} readable 111000 50 46 42 0 0 0")
    return "\n".join([*lines, "mc_enable 0x20", f"sel_add 0x20 {FAILED_SUPPLY}", ""])


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        return int(udp.getsockname()[1])


@pytest.fixture
def simulator(
    machine: Machine, tmp_path: Path, ipmitool: Callable[..., str]
) -> Iterator[Simulator]:
    port, control = _free_port(), tmp_path / "control"
    control.write_text(CONTROL.format(python=sys.executable))
    control.chmod(0o755)
    (tmp_path / "power").write_text("0")
    (tmp_path / "boot").write_text("default")
    (tmp_path / "kept").mkdir()
    guid = uuid.UUID(machine.hardware.uuid).bytes_le.hex()
    user, password = LOGIN
    (tmp_path / "lan.conf").write_text(
        LAN.format(port=port, guid=guid, control=control, user=user, password=password)
    )
    (tmp_path / "sim.emu").write_text(_emulation(machine, tmp_path))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            ["ipmi_sim", "-n", "-c", "lan.conf", "-f", "sim.emu", "-s", "kept"],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        until = time.monotonic() + WAIT
        while not ping_many(["127.0.0.1"], port, 0.5):
            alive = process.poll() is None and time.monotonic() < until
            assert alive, (tmp_path / "log").read_text()
        yield Simulator(port, tmp_path, ipmitool)
    finally:
        process.kill()
        process.wait(10)


@pytest.fixture
def driver(simulator: Simulator) -> Iterator[Ipmi]:
    opened = Ipmi("127.0.0.1", *LOGIN, port=simulator.port, timeout=5, settle=5)
    yield opened
    opened.close()


def _until(seen: Callable[[], Any], wanted: Any) -> Any:
    """What is seen once it is as wanted, or at the end of patience."""
    until = time.monotonic() + WAIT
    while (found := seen()) != wanted and time.monotonic() < until:
        pass
    return found


# ── Finding it and getting in ────────────────────────────────────────────────────────────────


def test_it_is_found_by_a_ping_and_tells_what_it_accepts(simulator: Simulator) -> None:
    assert ping_many(["127.0.0.1", "127.0.0.2"], simulator.port, 1) == {"127.0.0.1"}
    told = capabilities("127.0.0.1", simulator.port, 5)
    assert told is not None and told.version_2 and not told.anonymous
    assert told.auth_types == ("none", "md2", "md5", "password")


def test_i02_without_suite_17_the_next_one_is_spoken(driver: Ipmi) -> None:
    assert driver.cipher_suite == 3
    assert driver.power() == "off"


def test_a_wrong_password_is_said_as_such(simulator: Simulator) -> None:
    with pytest.raises(Refused, match="wrong password"):
        Ipmi("127.0.0.1", "ADMIN", "wrong", port=simulator.port, timeout=5)


# ── Power and boot ───────────────────────────────────────────────────────────────────────────


def test_power_is_switched_and_read_back(driver: Ipmi, simulator: Simulator) -> None:
    driver.ensure_power("on")
    driver.ensure_power("on")
    assert (driver.power(), simulator.state("power")) == ("on", "1")
    assert simulator.told("chassis status").facts.power_state == "on"
    driver.ensure_power("off")
    assert (driver.power(), simulator.state("power")) == ("off", "0")


def test_i08_a_boot_device_that_it_takes_but_never_calls_valid(
    driver: Ipmi, simulator: Simulator
) -> None:
    """It would boot from it: but nothing tells that from a flag that went stale."""
    with pytest.raises(Failed, match="it shows the device, but as not valid"):
        driver.ensure_boot_once("network")
    assert simulator.state("boot") == "pxe"
    assert driver.boot_once() is None
    assert simulator.told("chassis bootparam get 5").boot_once is None


# ── What it tells ────────────────────────────────────────────────────────────────────────────


def test_facts_of_the_driver_and_of_ipmitool_are_the_machines(
    driver: Ipmi, simulator: Simulator, machine: Machine
) -> None:
    facts = driver.facts()
    known = machine.hardware
    assert (facts.vendor, facts.model, facts.serial) == ("Dell", known.model, known.serial)
    assert (facts.uuid, facts.board_serial) == (known.uuid, "B" + known.serial)
    assert (facts.power_state, facts.health) == ("off", "ok")
    fru, firmware = simulator.told("fru").facts, simulator.told("mc info").facts
    for key in ("vendor", "model", "serial", "sku", "board_serial"):
        assert getattr(fru, key) == getattr(facts, key)
    assert (firmware.vendor, firmware.bmc_firmware) == (facts.vendor, facts.bmc_firmware)
    assert simulator.told("sdr elist").facts.psus == facts.psus
    assert [p.name for p in facts.psus or ()] == ["PSU 1", "PSU 2"]


@pytest.mark.parametrize(
    ("sensor", "value", "level", "reason"),
    [
        ("PSU 2", 0b11, "critical", "PSU 2: failure"),
        ("PSU 2", 0b101, "warning", "PSU 2: predictive failure"),
        ("DIMM A1", 0b1000010, "critical", "DIMM A1: uncorrectable e"),
        ("Inlet", 48, "critical", "Inlet: upper critical threshold (48 °C)"),
        ("Inlet", 43, "warning", "Inlet: upper non-critical threshold (43 °C)"),
        ("System", 0b10, "warning", "System: "),
    ],
)
def test_a_sensor_that_turns_bad_is_seen_alike_by_both(
    driver: Ipmi, simulator: Simulator, sensor: str, value: int, level: str, reason: str
) -> None:
    assert driver.health().health == "ok"
    simulator.sense(sensor, value)
    assert _until(lambda: driver.health().health, level) == level
    assert [r.startswith(reason) for r in driver.health().reasons] == [True]
    assert simulator.told("sdr elist").health.health == level
    if sensor == "Inlet":
        assert simulator.told("sdr elist").health == driver.health()


def test_the_log_is_read_as_ipmitool_reads_it_and_emptied(
    driver: Ipmi, simulator: Simulator
) -> None:
    (entry,), (line,) = driver.log(), simulator.told("sel list").log
    assert (entry.severity, line.severity) == ("critical", "critical")
    assert entry.text.startswith("PSU 2: ") and "Failure" in line.text
    assert (entry.at, line.at) == (None, None)
    driver.ensure_log_empty()
    assert driver.log() == simulator.told("sel list").log == ()


def test_what_it_exposes(driver: Ipmi, simulator: Simulator) -> None:
    told = driver.exposure()
    assert told.cipher_suites is not None and {0, 3} < set(told.cipher_suites)
    assert told.auth_types == ("none", "md2", "md5", "password")
    assert told.auth_types == simulator.told("lan print 1").exposure.auth_types
    assert (told.anonymous, told.log_full) == (False, False)
    assert simulator.told("user list 1").exposure.anonymous is False
    assert simulator.told("sel info").exposure.log_full is False


# ── Accounts ─────────────────────────────────────────────────────────────────────────────────


def test_accounts_are_made_proven_and_locked_out(driver: Ipmi, simulator: Simulator) -> None:
    driver.ensure_account("metal", NEW)
    driver.ensure_account("metal", NEW)
    listed = [(a.name, a.role, a.id) for a in driver.accounts()]
    assert listed == [("ADMIN", "Administrator", "2"), ("metal", "Administrator", "3")]
    as_metal = read(simulator.ipmitool(simulator.port, ("metal", NEW), "user list 1"))
    assert [(a.name, a.role, a.id) for a in as_metal.accounts or ()] == listed
    driver.ensure_locked_out("ADMIN")
    driver.ensure_locked_out("ADMIN")
    with pytest.raises(Refused):
        Ipmi("127.0.0.1", *LOGIN, port=simulator.port, timeout=5)
    assert driver.power() == "off"
