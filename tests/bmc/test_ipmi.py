"""The IPMI driver (on pyghmi) against the double (which shares no code with it)."""

import os
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from metal.drivers.ipmi import Ipmi
from metal.lab.ipmi_bmc import IpmiBmc
from metal.lab.ipmi_framing import SUITES
from metal.lab.machine import Machine
from metal.model.errors import Failed, Refused, Unreachable
from metal.model.facts import HealthReport

FACTORY = ("ADMIN", "factory-Pa55word")
NEW = "N3w-password-16b"
Open = Callable[..., Ipmi]


@pytest.fixture(params=[17, 3])
def bmc(machine: Machine, request: pytest.FixtureRequest) -> Iterator[IpmiBmc]:
    double = IpmiBmc(
        machine, "127.0.0.1", 0, dict([FACTORY]), cipher_suite=getattr(request, "param", 17)
    ).start()
    yield double
    double.stop()


@pytest.fixture
def open_ipmi(bmc: IpmiBmc) -> Iterator[Open]:
    opened: list[Ipmi] = []

    def open_(user: str = FACTORY[0], password: str = FACTORY[1], **kwargs: Any) -> Ipmi:
        given: dict[str, Any] = {"port": bmc.port, "timeout": 3, "settle": 1} | kwargs
        opened.append(Ipmi("127.0.0.1", user, password, **given))
        return opened[-1]

    yield open_
    for driver in opened:
        driver.close()
    assert bmc.open_sessions == 0


def test_the_suite_that_works_is_found_and_remembered(open_ipmi: Open, bmc: IpmiBmc) -> None:
    driver = open_ipmi()
    assert driver.cipher_suite == bmc.cipher_suite
    assert driver.power() == "off"
    assert open_ipmi(cipher_suite=bmc.cipher_suite).power() == "off"


def test_a_handshake_message_sent_again_is_the_same_handshake(bmc: IpmiBmc) -> None:
    """A slow machine's client repeats what was answered already: the double must not count it."""
    suite = SUITES[bmc.cipher_suite]
    chosen = ((0, suite.authentication), (1, suite.integrity), (2, 1))
    wanted = b"".join(bytes([kind, 0, 0, 8, number, 0, 0, 0]) for kind, number in chosen)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as console:
        console.settimeout(10)
        console.connect(("127.0.0.1", bmc.port))

        def ask(kind: int, payload: bytes) -> bytes:
            head = b"\x06\x00\xff\x07\x06" + bytes([kind]) + bytes(8)
            console.send(head + len(payload).to_bytes(2, "little") + payload)
            return console.recv(1024)[16:]

        opened = ask(0x10, bytes([1, 4, 0, 0]) + b"CONS" + wanted)
        first = bytes([2, 0, 0, 0]) + opened[8:12] + bytes(range(16))
        first += bytes([0x14, 0, 0, len(FACTORY[0])]) + FACTORY[0].encode()
        assert ask(0x12, first) == ask(0x12, first)
    assert bmc.failed_logins == 1  # one that nobody finished, not two


def test_a_remembered_suite_is_never_left(open_ipmi: Open, bmc: IpmiBmc) -> None:
    with pytest.raises(Refused, match="does not speak cipher suite"):
        open_ipmi(cipher_suite=20 - bmc.cipher_suite)
    assert bmc.failed_logins == 0


@pytest.mark.parametrize("bmc", [3], indirect=True)
def test_what_the_bmc_accepted_is_looked_at(open_ipmi: Open, bmc: IpmiBmc) -> None:
    bmc.faults.add("picks-own-suite")
    assert open_ipmi().cipher_suite == 3


def test_facts(open_ipmi: Open, machine: Machine) -> None:
    facts = open_ipmi().facts()
    hardware = machine.hardware
    assert (facts.vendor, facts.model, facts.serial) == ("Dell", "PowerEdge R630", "8XKQ2L2")
    assert facts.uuid is not None and facts.uuid.lower() == hardware.uuid
    assert (facts.bmc_firmware, facts.board_serial, facts.sku) == ("2.83", "B8XKQ2L2", "8XKQ2L2")
    assert (facts.bmc_mac, facts.logs) == ("02:00:5e:00:bc:01", ("SEL",))
    assert [(a.name, a.role) for a in facts.accounts or ()] == [("ADMIN", "Administrator")]
    assert facts.reset_types == ("On", "ForceOff", "ForceRestart")
    assert facts.boot_targets == ("Pxe", "Cd", "Hdd", "BiosSetup")
    assert [p.name for p in facts.psus or ()] == ["PSU 1", "PSU 2"]
    assert (facts.power_state, facts.health) == ("off", "ok")
    for key in ("drives", "nics", "dimms", "memory_gib", "cpu.cores"):
        assert facts.unknown[key]
    assert facts.drives is None and facts.memory_gib is None


def test_power_and_network_boot(open_ipmi: Open, machine: Machine) -> None:
    driver, booted, devices = open_ipmi(), threading.Event(), []

    def on_boot(_machine: Machine, boot: Any) -> None:
        devices.append(boot.device)
        booted.set()

    machine.on_boot = on_boot
    driver.ensure_boot_once("network")
    driver.ensure_boot_once("network")
    driver.ensure_power("on")
    driver.ensure_power("on")
    assert booted.wait(5) and devices == ["network"]
    assert (driver.power(), machine.power_ons) == ("on", 1)
    driver.ensure_power("off")
    assert machine.power == "off" and machine.boot_once is None


@pytest.mark.parametrize("bmc", [17], indirect=True)
@pytest.mark.parametrize("fault", ["flaky", "boot-flag-expires", "no-timer"])
def test_odd_manners_are_survived(
    open_ipmi: Open, bmc: IpmiBmc, machine: Machine, fault: str
) -> None:
    driver = open_ipmi()
    bmc.faults.add(fault)
    driver.ensure_boot_once("network")
    driver.ensure_power("on")
    assert machine.power == "on"
    bmc.faults.clear()


@pytest.mark.parametrize("bmc", [17], indirect=True)
def test_a_yes_that_did_nothing_is_no_success(open_ipmi: Open, bmc: IpmiBmc) -> None:
    bmc.faults |= {"reset-ignored", "boot-override-ignored"}
    driver = open_ipmi(settle=0.2)
    with pytest.raises(Failed, match="did not go on"):
        driver.ensure_power("on")
    with pytest.raises(Failed, match="did not take the network"):
        driver.ensure_boot_once("network")


def test_an_own_account_then_the_factory_one_is_locked_out(open_ipmi: Open, bmc: IpmiBmc) -> None:
    driver = open_ipmi()
    driver.ensure_account("metal", NEW)
    driver.ensure_account("metal", NEW)
    driver.ensure_locked_out("ADMIN")
    driver.ensure_locked_out("ADMIN")
    assert driver.power() == "off"
    assert bmc.works("metal", NEW) and not bmc.works(*FACTORY)
    assert (bmc.open_sessions, bmc.failed_logins) == (1, 0)


@pytest.mark.parametrize("bmc", [17], indirect=True)
def test_its_own_password_is_changed_and_the_session_goes_on(open_ipmi: Open, bmc: IpmiBmc) -> None:
    driver = open_ipmi()
    driver.ensure_account("ADMIN", NEW)
    assert driver.power() == "off" and bmc.works("ADMIN", NEW)
    with pytest.raises(Refused, match="this very session"):
        driver.ensure_locked_out("ADMIN")


@pytest.mark.parametrize("bmc", [17], indirect=True)
def test_passwords_that_would_be_cut_or_refused(open_ipmi: Open, bmc: IpmiBmc) -> None:
    driver = open_ipmi()
    with pytest.raises(Refused, match="longer than 16"):
        driver.ensure_account("metal", NEW + "x")
    bmc.faults.add("password-policy")
    with pytest.raises(Failed) as caught:
        driver.ensure_account("metal", NEW)
    assert NEW not in str(caught.value)
    assert bmc.works(*FACTORY) and driver.power() == "off"


def test_a_wrong_password_is_tried_once(open_ipmi: Open, bmc: IpmiBmc) -> None:
    bmc.faults.add("lockout")
    with pytest.raises(Refused, match="one try was made") as caught:
        open_ipmi("ADMIN", "wrong-secret")
    assert "wrong-secret" not in str(caught.value)
    assert bmc.failed_logins == 1
    with pytest.raises(Refused):
        open_ipmi("nobody", "x")
    assert open_ipmi().power() == "off"


@pytest.mark.parametrize("bmc", [17], indirect=True)
def test_silence_is_unreachable_never_off(open_ipmi: Open, bmc: IpmiBmc) -> None:
    driver = open_ipmi(timeout=0.3)
    bmc.faults.add("silent")
    with pytest.raises(Unreachable, match="no answer"):
        driver.power()
    with pytest.raises(Unreachable):
        open_ipmi(timeout=0.3)
    bmc.faults.clear()
    assert driver.power() == "off"  # a new session, by itself
    driver.close()
    bmc.stop()
    with pytest.raises(Unreachable, match="nothing listens"):
        open_ipmi(timeout=5)
    bmc.start()


@pytest.mark.parametrize("bmc", [17], indirect=True)
@pytest.mark.parametrize(
    ("complaint", "severity", "reason"),
    [
        ("PSU 2: power supply failure detected", "critical", "PSU 2: failure"),
        ("PSU 2: fan slow", "warning", "PSU 2: predictive failure"),
        ("DIMM A1: uncorrectable ECC", "critical", "DIMM A1: uncorrectable error"),
        ("sda: SMART", "warning", "sda: predictive drive failure"),
        ("Inlet: hot", "critical", "Inlet: upper critical threshold (48 °C)"),
        ("the chassis was opened", "warning", "System: non-critical"),
    ],
)
def test_complaints_become_reasons(
    open_ipmi: Open, machine: Machine, complaint: str, severity: str, reason: str
) -> None:
    driver = open_ipmi()
    well = HealthReport(health="ok", cooling=True)
    assert driver.health() == well
    machine.complaints, machine.severity = (complaint,), severity
    ill = {"health": severity, "reasons": (reason,)}
    assert driver.health() == well.model_copy(update=ill)


@pytest.mark.parametrize("bmc", [17], indirect=True)
def test_a_session_that_rested_is_opened_anew(
    open_ipmi: Open, bmc: IpmiBmc, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = open_ipmi()
    monkeypatch.setattr("metal.drivers.ipmi.STALE", -1)
    assert [driver.power() for _ in range(6)] == ["off"] * 6
    assert bmc.open_sessions == 1


@pytest.mark.parametrize("bmc", [17], indirect=True)
def test_two_sessions_to_one_bmc_do_not_hang(open_ipmi: Open) -> None:
    first, second = open_ipmi(), open_ipmi()
    assert [d.power() for d in (first, second, first, second)] == ["off"] * 4


def test_ten_bmcs_at_once_from_threads(machine: Machine) -> None:
    doubles = [
        IpmiBmc(
            Machine(f"m{i}", machine.hardware),
            "127.0.0.1",
            0,
            dict([FACTORY]),
            cipher_suite=3 if i % 3 else 17,
        ).start()
        for i in range(10)
    ]
    before = threading.active_count()

    def work(double: IpmiBmc) -> str:
        driver = Ipmi("127.0.0.1", *FACTORY, port=double.port)
        driver.ensure_power("on")
        health = driver.health().health
        driver.ensure_account("metal", NEW)
        power = driver.power()
        driver.close()
        return f"{power} {health} {driver.cipher_suite}"

    with ThreadPoolExecutor(10) as pool:
        results = list(pool.map(work, doubles))
    assert results == [f"on ok {d.cipher_suite}" for d in doubles]
    assert [d.open_sessions for d in doubles] == [0] * 10
    assert threading.active_count() <= before
    for double in doubles:
        double.stop()


def test_one_driver_from_many_threads(open_ipmi: Open, bmc: IpmiBmc) -> None:
    driver = open_ipmi()
    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(lambda _: driver.power(), range(30))) == {"off"}
    assert bmc.open_sessions == 1


@pytest.mark.skipif(not shutil.which("ipmitool"), reason="ipmitool is not installed")
def test_ipmitool_agrees_with_the_double(bmc: IpmiBmc, machine: Machine) -> None:
    def ipmitool(*words: str, suite: int = bmc.cipher_suite) -> str:
        command = ["ipmitool", "-I", "lanplus", "-C", str(suite), "-H", "127.0.0.1"]
        command += ["-p", str(bmc.port), "-U", FACTORY[0], "-E", "-N", "1", "-R", "1", *words]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=20,
            env=os.environ | {"IPMITOOL_PASSWORD": FACTORY[1]},
        )
        return done.stdout + done.stderr

    assert "is off" in ipmitool("power", "status")
    ipmitool("chassis", "bootdev", "pxe", "options=efiboot")
    assert "Force PXE" in ipmitool("chassis", "bootparam", "get", "5")
    assert machine.boot_once == "network"
    ipmitool("power", "on")
    assert machine.power == "on"
    assert "PowerEdge R630" in ipmitool("fru")
    machine.complaints = ("PSU 2: gone",)
    sensors = ipmitool("sdr", "elist")
    assert "Presence detected, Failure detected" in sensors and "22 degrees C" in sensors
    assert "no matching cipher suite" in ipmitool("power", "status", suite=20 - bmc.cipher_suite)


@pytest.mark.parametrize("bmc", [17], indirect=True)
def test_the_double_answers_a_ping_and_survives_rubbish(bmc: IpmiBmc, open_ipmi: Open) -> None:
    """Presence ping, 13.2.3; a malformed datagram gets no answer and does no harm."""
    chance = random.Random(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(5)
        udp.connect(("127.0.0.1", bmc.port))
        for length in range(1, 80):
            rubbish = bytearray(chance.randbytes(length))
            udp.send(b"\x06\x00\xff\x07" + rubbish)
            udp.send(
                b"\x06\x00\xff\x07\x06" + bytes([chance.choice([0, 16, 18, 20, 192])]) + rubbish
            )
        udp.send(b"\x06\x00\xff\x06\x00\x00\x11\xbe\x80\x2a\x00\x00")
        while (answer := udp.recv(200))[3] != 6:
            pass
        assert answer[8:10] == b"\x40\x2a" and answer[20] & 0x80
    assert open_ipmi().power() == "off"
