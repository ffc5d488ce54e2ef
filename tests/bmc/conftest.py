"""One machine and its BMC doubles, over real sockets on loopback."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metal.drivers.redfish import Redfish
from metal.lab.machine import Hardware, Machine
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.web import Certificate, self_signed
from metal.model.facts import Cpu, Dimm, Drive, Nic
from tests.bmc.tls_site import Site

FACTORY = ("root", "calvin-0")


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return self_signed(tmp_path, "site", "127.0.0.1")


@pytest.fixture
def site(certificate: Certificate) -> Iterator[Site]:
    made = Site(certificate)
    yield made
    made.web.stop()


@pytest.fixture
def machine() -> Machine:
    return Machine(
        "alba1",
        Hardware(
            vendor="Dell Inc.",
            model="PowerEdge R630",
            serial="8XKQ2L2",
            uuid="4c4c4544-0058-4b10-8051-b8c04f324c32",
            bios_version="2.14.0",
            bmc_firmware="2.83",
            cpu=Cpu(model="Intel(R) Xeon(R) CPU E5-2640 v4", sockets=2, cores=20, threads=40),
            dimms=tuple(Dimm(slot=f"DIMM A{i}", size_gib=16) for i in range(1, 5)),
            drives=(
                Drive(
                    name="sda",
                    size_bytes=240 * 10**9,
                    media="ssd",
                    protocol="SATA",
                    serial="S1",
                    failing=False,
                ),
                Drive(name="nvme0n1", size_bytes=960 * 10**9, media="nvme", serial="S2"),
            ),
            nics=(
                Nic(name="NIC 1", mac="02:00:5e:00:00:01"),
                Nic(name="NIC 2", mac="02:00:5e:00:00:02"),
            ),
        ),
    )


@pytest.fixture
def redfish_bmc(machine: Machine, tmp_path: Path) -> Iterator[RedfishBmc]:
    certificate = self_signed(tmp_path, "bmc", "127.0.0.1")
    bmc = RedfishBmc(machine, "127.0.0.1", 0, certificate, dict([FACTORY])).start()
    yield bmc
    bmc.stop()


@pytest.fixture
def open_redfish(redfish_bmc: RedfishBmc) -> Iterator[Callable[..., Redfish]]:
    """Log in to the double; keywords override what the driver is given."""
    opened: list[Redfish] = []

    def open_(user: str = FACTORY[0], password: str = FACTORY[1], **kwargs: Any) -> Redfish:
        given: dict[str, Any] = {"port": redfish_bmc.port, "timeout": 2, "settle": 1} | kwargs
        opened.append(Redfish("127.0.0.1", user, password, **given))
        return opened[-1]

    yield open_
    for driver in opened:
        driver.close()


@pytest.fixture
def ipmitool() -> Callable[..., str]:
    """What the real one says of the BMC at a port: a second opinion on whatever it is asked."""
    if not shutil.which("ipmitool"):
        pytest.skip("ipmitool is not installed")

    def ask(port: int, login: tuple[str, str], words: str, suite: int = 3) -> str:
        command = ["ipmitool", "-I", "lanplus", "-C", str(suite), "-H", "127.0.0.1"]
        command += ["-p", str(port), "-U", login[0], "-E", "-N", "1", "-R", "3", *words.split()]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=30,
            env=os.environ | {"IPMITOOL_PASSWORD": login[1], "TZ": "UTC"},
        )
        return done.stdout + done.stderr

    return ask
