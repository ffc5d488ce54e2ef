"""A rack on loopback: a real workspace, store and boot service; three simulated machines."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest

from metal.controller.serving import BootService
from metal.controller.workspace import Workspace
from metal.lab.clock import Clock
from metal.lab.firmware import Firmware
from metal.lab.live import put_image
from metal.lab.machine import Hardware, Machine
from metal.model.facts import BootOnce, Cpu, Dimm, Drive, HealthReport, LogEntry, Nic
from metal.model.life import Life
from metal.operations.store import open_store

SPEED = 1000.0
NAMES = ("alba1", "alba2", "alba3")
HEAD = """\
[fleet]
name = "attic"
domain = "attic.example.org"
boot_listen = "127.0.0.1:{port}"
poll_seconds = 0.01

[administrators.ana]
name = "Ana"
keys = ["{key}"]

[sites.lisbon]
place = "row 2"
donor = {{ name = "Tejo University", contact = "noc@tejo.example.edu" }}

[sites.lisbon.subnets]
bmc = "10.11.0.0/24"
management = "10.11.1.0/24"
gateway = "10.11.1.1"
private_ipv4 = "10.11.128.0/20"

[clusters.alba]
servers = ["alba1", "alba2", "alba3"]
"""
SERVER = """
[servers.alba{n}]
site = "lisbon"
rack = "L2"
profile = "ceph-node"
address = "10.11.1.1{n}"
bmc = {{ address = "10.11.0.1{n}" }}

[servers.alba{n}.learned]
vendor = "Dell Inc."
model = "PowerEdge R640"
serial = "7X3K9Q{n}"
uuid = "4c4c4544-0042-4a10-8036-b4c04f4d000{n}"
macs = ["02:00:5e:00:01:0{n}"]
memory_gib = 64

[[servers.alba{n}.learned.disks]]
name = "sda"
size_gib = 894
serial = "S{n}A"

[[servers.alba{n}.learned.disks]]
name = "sdb"
size_gib = 894
serial = "S{n}B"
"""


def make_machine(number: int) -> Machine:
    drives = tuple(
        Drive(name=f"sd{x.lower()}", size_bytes=960 * 10**9, media="ssd", serial=f"S{number}{x}")
        for x in "AB"
    )
    hardware = Hardware(
        vendor="Dell Inc.",
        model="PowerEdge R640",
        serial=f"7X3K9Q{number}",
        uuid=f"4c4c4544-0042-4a10-8036-b4c04f4d000{number}",
        bios_version="2.19.1",
        bmc_firmware="4.40",
        cpu=Cpu(model="Intel(R) Xeon(R) Silver 4114", sockets=2, cores=20, threads=40),
        dimms=tuple(Dimm(slot=f"DIMM A{i}", size_gib=16) for i in range(1, 5)),
        drives=drives,
        nics=(Nic(name="eno1", mac=f"02:00:5e:00:01:0{number}"),),
    )
    return Machine(f"alba{number}", hardware)


class MachineBmc:
    """A BMC's effect without its protocol: those have tests of their own."""

    protocol, fingerprint, cipher_suite = "redfish", None, None

    def __init__(self, machine: Machine, calls: list[str]) -> None:
        self._machine, self._calls = machine, calls

    def power(self) -> str:
        return self._machine.power

    def ensure_power(self, wanted: str) -> None:
        self._calls.append(f"{self._machine.name} {wanted}")
        self._machine.power_on() if wanted == "on" else self._machine.power_off()

    def ensure_boot_once(self, device: str) -> BootOnce:
        self._calls.append(f"{self._machine.name} {device}")
        self._machine.boot_once = device
        return BootOnce(device="network")

    def health(self) -> HealthReport:
        reasons = self._machine.complaints
        return HealthReport(health="critical" if reasons else "ok", reasons=reasons)

    def log(self) -> tuple[LogEntry, ...]:
        return tuple(self._machine.events)

    def watts(self) -> float | None:
        return 168.0 if self._machine.power == "on" else 9.0

    def close(self) -> None:
        pass


class RackWorkspace(Workspace):
    """A workspace whose BMCs are the machines beside it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.machines = {f"alba{n}": make_machine(n) for n in (1, 2, 3)}
        self.calls: list[str] = []

    def bmc(self, server: str) -> Any:
        return MachineBmc(self.machines[server], self.calls)


@pytest.fixture(scope="session")
def fresh_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the newest shape and a live system: made once, copied for each test."""
    state = tmp_path_factory.mktemp("fresh") / "state"
    open_store("sqlite", state).close()
    put_image(state)
    return state


@pytest.fixture
def rack(tmp_path: Path, fresh_state: Path) -> Iterator[RackWorkspace]:
    """Enrolled, switched off; nobody answers them yet."""
    shutil.copytree(fresh_state, tmp_path / "state", symlinks=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    key = str(pyrage.x25519.Identity.generate().to_public())
    text = HEAD.format(port=port, key=key) + "".join(SERVER.format(n=n) for n in (1, 2, 3))
    (tmp_path / "inventory.toml").write_text(text)
    rack = RackWorkspace(tmp_path)
    firmware = Firmware(rack.boot_url, Clock(SPEED), lambda _machine: {}, lambda _machine: {})
    for name, machine in rack.machines.items():
        machine.on_boot = firmware
        rack.store.servers.move(name, Life.ENROLLED)
    yield rack
    for machine in rack.machines.values():
        machine.power_off()
    rack.store.close()


@pytest.fixture
def served(rack: RackWorkspace) -> Iterator[RackWorkspace]:
    """With a boot service that answers them."""
    with BootService(rack):
        yield rack
