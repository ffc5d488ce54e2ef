"""`metal console` whole: the real command on a real terminal, against the IPMI double's SOL."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage
import pytest

from metal.controller.workspace import Workspace
from metal.drivers.ipmi import Ipmi
from metal.lab.ipmi_bmc import IpmiBmc
from metal.lab.machine import Hardware, Machine
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.web import self_signed
from metal.model.facts import Cpu

PASSWORD = "ours-16-bytes-A1"
INVENTORY = """\
[fleet]
name = "attic"
domain = "attic.example.org"

[administrators.ana]
name = "Ana"
keys = ["{admin}"]

[sites.porto]
place = "Porto, the cellar"
donor = {{ name = "A donor", contact = "noc@example.org" }}

[sites.porto.subnets]
bmc = "127.0.0.0/24"
management = "127.77.1.0/24"
gateway = "127.77.1.254"
private_ipv4 = "10.77.128.0/20"

[servers.alba1]
site = "porto"
rack = "L2"
profile = "solo"
address = "127.77.1.11"
bmc = {{ address = "127.0.0.1", protocol = "ipmi", port = {port}, timeout = 3 }}

[clusters.alba]
servers = ["alba1"]
ceph = false
"""


@dataclass(frozen=True)
class Site:
    folder: Path
    machine: Machine
    bmc: IpmiBmc

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "metal", "-C", str(self.folder), "console", "alba1", *words]

    @property
    def logs(self) -> list[Path]:
        return list((self.folder / "state" / "console").iterdir())

    def until(self, holds: Callable[[], bool]) -> None:
        pause, deadline = threading.Event(), time.monotonic() + 30
        while not holds():
            assert time.monotonic() < deadline
            pause.wait(0.05)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    hardware = Hardware("Dell", "R630", "X1", "4c4c4544-0058-4b10-8051-b8c04f324c32", "1", "1",
                        Cpu(), (), (), ())  # fmt: skip
    machine = Machine("alba1", hardware)
    bmc = IpmiBmc(machine, "127.0.0.1", 0, {"metal": PASSWORD}).start()
    admin = str(pyrage.x25519.Identity.generate().to_public())
    (tmp_path / "inventory.toml").write_text(INVENTORY.format(admin=admin, port=bmc.port))
    Workspace(tmp_path).secrets.escrow("bmc/alba1", PASSWORD, controller=True)
    yield Site(tmp_path, machine, bmc)
    bmc.stop()


def test_typed_shown_logged_and_taken_back_when_it_drops(site: Site, on_terminal: Any) -> None:
    terminal = on_terminal(*site.command())
    terminal.until(lambda screen: b"the log is" in screen)
    # Raw before it is typed on: the terminal echoes until then.
    site.until(lambda: site.bmc.open_sessions > 0)
    site.machine.serial.print(b"alba1 login: ")
    terminal.until(lambda screen: b"alba1 login: " in screen)
    terminal.type(b"root\r")
    terminal.until(lambda screen: b"login: root\r" in screen)
    assert bytes(site.machine.serial.typed) == b"root\r"

    thief = Ipmi("127.0.0.1", "metal", PASSWORD, port=site.bmc.port, timeout=3)
    thief.console().close()
    thief.close()
    terminal.until(lambda screen: b"the console is back" in screen)
    assert b"[alba1: the console dropped" in terminal.screen
    terminal.type(b"uptime\r")
    terminal.until(lambda screen: b"uptime\r" in screen)

    terminal.type(b"~.")
    terminal.until(lambda screen: b"console closed" in screen)
    assert terminal.process.wait(10) == 0
    (log,) = site.logs
    assert log.name.startswith("alba1-") and log.stat().st_mode & 0o777 == 0o600
    assert log.read_bytes() == b"alba1 login: root\ruptime\r"
    site.until(lambda: site.bmc.open_sessions == 0)


def test_for_a_script_it_ends_by_itself_and_sends_what_it_is_given(site: Site) -> None:
    words = site.command("--seconds", "2", "--log", str(site.folder / "my.log"))
    said = subprocess.run(words, input=b"hello\n", capture_output=True, timeout=60)
    assert said.returncode == 0, said.stderr
    assert said.stdout == b"hello\n" == (site.folder / "my.log").read_bytes()


def test_a_bmc_that_speaks_redfish_too_is_asked_over_ipmi(site: Site, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "bmc", "127.0.0.1")
    beside = RedfishBmc(site.machine, "127.0.0.1", site.bmc.port, certificate, {"metal": PASSWORD})
    beside.start()
    inventory = site.folder / "inventory.toml"
    inventory.write_text(inventory.read_text().replace('protocol = "ipmi", ', ""))
    said = subprocess.run(site.command("--seconds", "1"), input=b"x", capture_output=True)
    beside.stop()
    assert (said.returncode, said.stdout) == (0, b"x"), said.stderr


def test_ipmi_beside_redfish_may_have_a_port_of_its_own(site: Site, tmp_path: Path) -> None:
    """As in a lab, and behind whoever forwards ports."""
    certificate = self_signed(tmp_path, "bmc", "127.0.0.1")
    bmc = RedfishBmc(site.machine, "127.0.0.1", 0, certificate, {"metal": PASSWORD}).start()
    inventory = site.folder / "inventory.toml"
    text = inventory.read_text().replace('protocol = "ipmi"', 'protocol = "redfish"')
    ports = f"port = {bmc.port}, ipmi_port = {site.bmc.port}"
    inventory.write_text(text.replace(f"port = {site.bmc.port}", ports))
    said = subprocess.run(site.command("--seconds", "1"), input=b"x", capture_output=True)
    bmc.stop()
    assert (said.returncode, said.stdout) == (0, b"x"), said.stderr


def test_read_only_sends_nothing(site: Site) -> None:
    words = site.command("--seconds", "1", "--read-only")
    said = subprocess.run(words, input=b"rm -rf /\n", capture_output=True, timeout=60)
    assert said.returncode == 0, said.stderr
    assert bytes(site.machine.serial.typed) == b""


def test_a_dead_bmc_is_told_at_once(site: Site) -> None:
    site.bmc.stop()
    said = subprocess.run(site.command("--seconds", "1"), capture_output=True, timeout=60)
    assert said.returncode == 4 and b"metal: " in said.stderr


def test_where_ipmi_is_silent_it_says_what_the_bmc_says_of_it(site: Site, tmp_path: Path) -> None:
    """Whoever is told to switch it on and finds it on is led astray: a firewall is in between."""
    certificate = self_signed(tmp_path, "bmc", "127.0.0.1")
    site.bmc.stop()
    bmc = RedfishBmc(site.machine, "127.0.0.1", 0, certificate, {"metal": PASSWORD}).start()
    inventory = site.folder / "inventory.toml"
    text = inventory.read_text().replace('protocol = "ipmi"', 'protocol = "redfish"')
    inventory.write_text(text.replace(f"port = {site.bmc.port}", f"port = {bmc.port}"))
    said = subprocess.run(site.command("--seconds", "1"), capture_output=True, text=True)
    bmc.stop()
    assert said.returncode == 4
    assert "the BMC says that IPMI over LAN is on" in said.stderr and "UDP port 623" in said.stderr
