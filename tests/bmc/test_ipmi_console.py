"""Serial over LAN: the driver against the double."""

import threading
import time
from collections.abc import Iterator

import pytest

from metal.drivers.ipmi import Ipmi
from metal.drivers.ports import Console
from metal.lab.ipmi_bmc import IpmiBmc
from metal.lab.machine import Machine
from metal.model.errors import Refused, Unreachable

FACTORY = ("ADMIN", "factory-Pa55word")


@pytest.fixture
def bmc(machine: Machine) -> Iterator[IpmiBmc]:
    double = IpmiBmc(machine, "127.0.0.1", 0, dict([FACTORY])).start()
    yield double
    double.stop()


@pytest.fixture
def driver(bmc: IpmiBmc) -> Iterator[Ipmi]:
    opened = Ipmi("127.0.0.1", *FACTORY, port=bmc.port, timeout=3, settle=1)
    yield opened
    opened.close()
    assert bmc.open_sessions == 0


def _read(console: Console, length: int) -> bytes:
    found, until = b"", time.monotonic() + 5
    while len(found) < length and time.monotonic() < until:
        found += console.read(0.2)
    return found


def test_what_the_machine_prints_is_read_in_order(driver: Ipmi, machine: Machine) -> None:
    console = driver.console()
    text = b"".join(b"line %d\r\n" % i for i in range(200))
    machine.serial.print(text)
    assert _read(console, len(text)) == text
    assert console.read(0) == b""
    assert driver.power() == "off"  # the driver's own session goes on meanwhile
    console.close()
    console.close()


def test_what_is_written_is_typed_once_and_echoed(driver: Ipmi, machine: Machine) -> None:
    console = driver.console()
    text = bytes(range(32, 127)) * 5
    console.write(text)
    assert bytes(machine.serial.typed) == text
    assert _read(console, len(text)) == text
    console.close()


def test_lost_datagrams_lose_no_character(
    driver: Ipmi, machine: Machine, bmc: IpmiBmc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metal.drivers.ipmi_console.ACK_SECONDS", 0.1)
    console = driver.console()
    bmc.faults.add("flaky")
    machine.serial.on_typed = lambda _: None
    console.write(b"abc" * 100)
    assert bytes(machine.serial.typed) == b"abc" * 100
    bmc.faults.clear()
    console.close()


def test_i11_who_has_it_is_put_out(driver: Ipmi, machine: Machine, bmc: IpmiBmc) -> None:
    bmc.faults.add("sol-busy")
    first = driver.console()
    machine.serial.print(b"hello")
    assert _read(first, 5) == b"hello"
    second = driver.console()
    with pytest.raises(Unreachable, match="somebody else"):
        _read(first, 1)
    machine.serial.print(b"again")
    assert _read(second, 5) == b"again"
    first.close()
    second.close()


def test_i12_parameters_it_does_not_know_are_no_error(
    driver: Ipmi, bmc: IpmiBmc, machine: Machine
) -> None:
    """Nobody can be put out, and switching it off and on is not known: tried, and gone on."""
    bmc.faults |= {"sol-lingers", "no-sol-parameters"}
    console = driver.console()
    assert bmc.sol.parameters_set == [1, 1]
    machine.serial.print(b"login: ")
    assert _read(console, 7) == b"login: "
    console.write(b"root")
    assert bytes(machine.serial.typed) == b"root"
    console.close()


def test_i11_one_that_is_switched_off_is_switched_on(driver: Ipmi, bmc: IpmiBmc) -> None:
    bmc.faults.add("sol-off")
    driver.console().close()


def test_one_that_cannot_be_switched_on_is_refused(driver: Ipmi, bmc: IpmiBmc) -> None:
    bmc.faults |= {"sol-off", "no-sol-parameters"}
    with pytest.raises(Refused, match="no serial console") as caught:
        driver.console()
    assert "firmware's setup" in caught.value.mend
    assert bmc.open_sessions == 1


def test_read_in_one_thread_and_write_in_another(driver: Ipmi, machine: Machine) -> None:
    console = driver.console()
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(_read(console, 300)))
    reader.start()
    for _ in range(10):
        console.write(b"x" * 30)
    reader.join(10)
    assert got == [b"x" * 300]
    console.close()


def test_a_bmc_that_died_is_unreachable(
    driver: Ipmi, bmc: IpmiBmc, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = driver.console()
    monkeypatch.setattr("metal.drivers.ipmi_console.ACK_SECONDS", 0.05)
    bmc.faults.add("silent")
    with pytest.raises(Unreachable, match="broke"):
        console.write(b"x")
    bmc.faults.clear()
    console.close()
