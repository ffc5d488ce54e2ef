"""IPMI of a process that has more files open than select(2) can count: 1024."""

import os
import resource
import socket
from collections.abc import Iterator

import pytest

from metal.drivers.ipmi import Ipmi
from metal.drivers.readable import readable
from metal.drivers.rmcp import ping_many
from metal.lab.ipmi_bmc import IpmiBmc
from metal.lab.machine import Machine


@pytest.fixture
def bmc(machine: Machine) -> Iterator[IpmiBmc]:
    double = IpmiBmc(machine, "127.0.0.1", 0, {"ADMIN": "factory-Pa55word"}).start()
    yield double
    double.stop()


@pytest.fixture
def crowded(bmc: IpmiBmc) -> Iterator[None]:
    """Every number below 1024 is taken; the double was there before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("this process may not open as many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    taken = [os.open(os.devnull, os.O_RDONLY)]
    while taken[-1] < 1024:
        taken.append(os.open(os.devnull, os.O_RDONLY))
    yield
    for number in taken:
        os.close(number)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("crowded")
def test_a_bmc_is_found_asked_and_its_console_opened(bmc: IpmiBmc, machine: Machine) -> None:
    assert ping_many(["127.0.0.1"], bmc.port, 3) == {"127.0.0.1"}
    driver = Ipmi("127.0.0.1", "ADMIN", "factory-Pa55word", port=bmc.port, timeout=3, settle=1)
    assert driver.power() == "off"
    console = driver.console()
    console.write(b"x")
    assert bytes(machine.serial.typed) == b"x"
    assert console.read(3) == b"x"
    console.close()
    driver.close()


def test_nothing_to_read_is_waited_for_as_long_as_was_said() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        assert readable([mine, theirs], 0) == []
        mine.send(b"x")
        assert readable([mine, theirs], None) == [theirs]
    with pytest.raises(ValueError, match="file descriptor"):
        readable([mine], 0)
