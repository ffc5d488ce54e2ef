"""A rack with three ways to switch; Net-SNMP's agent as a switched PDU (APC's PowerNet-MIB)."""

import io
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pyrage
import pytest

from metal.cli import main
from metal.controller.workspace import Workspace
from metal.lab.machine import Hardware, Machine
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.web import self_signed
from metal.model.facts import Cpu, Nic

COMMUNITY = "s3cret-rw"
TYPE = ".1.3.6.1.4.1.318.1.3.4.5"
"""sysObjectID of a Rack PDU."""
OUTLETS = Path(__file__).with_name("pdu_outlets.py")

Until = Callable[[Callable[[], bool]], None]


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        pause.wait(0.02)


class Pdu:
    """Eight outlets, all on; each outlet's state is in a file of its own."""

    community = COMMUNITY

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "pdu"
        self.folder.mkdir()
        for outlet in range(1, 9):
            self.write(outlet, "on")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = self.folder / "snmpd.conf"
        config.write_text(
            f"agentaddress udp:127.0.0.1:{self.port}\nrwcommunity {COMMUNITY}\n"
            f"sysObjectID {TYPE}\n"
            f"pass_persist .1.3.6.1.4.1.318.1.1.12 {sys.executable} {OUTLETS} {self.folder}\n"
        )
        self._process = subprocess.Popen(
            ["snmpd", "-f", "-Ln", "-C", "-c", str(config), "-p", str(self.folder / "pid"),
             "-I", "-smux", "-x", str(self.folder / "agentx")],
            env={"PATH": "/usr/sbin:/usr/bin:/bin", "SNMP_PERSISTENT_DIR": str(self.folder)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(self._answers)

    def _answers(self) -> bool:
        words = ["snmpget", "-v2c", "-c", COMMUNITY, "-t", "0.2", "-r", "0",
                 f"127.0.0.1:{self.port}", ".1.3.6.1.2.1.1.2.0"]  # fmt: skip
        return subprocess.run(words, capture_output=True).returncode == 0

    def write(self, outlet: int, state: str) -> None:
        (self.folder / str(outlet)).write_text(state)

    def read(self, outlet: int) -> str:
        return (self.folder / str(outlet)).read_text()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def pdu(tmp_path: Path) -> Iterator[Pdu]:
    for program in ("snmpd", "snmpget", "fence_apc_snmp"):
        if shutil.which(program, path="/usr/sbin:/usr/bin") is None:
            pytest.skip(f"{program} is not installed")
    made = Pdu(tmp_path)
    yield made
    made.stop()


ADMIN = str(pyrage.x25519.Identity.generate().to_public())
PASSWORD = "calvin-16-bytes!"
INVENTORY = """\
[fleet]
name = "attic"
domain = "attic.example.org"
poll_seconds = 0.05

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
unit = 10
profile = "solo"
address = "127.77.1.11"
bmc = {{ address = "127.0.0.1", protocol = "redfish", port = {port}, timeout = 5 }}

[servers.alba2]
site = "porto"
rack = "L2"
unit = 12
profile = "solo"
address = "127.77.1.12"
bmc = {{ address = "127.0.0.2" }}
power = {{ driver = "fence", agent = "fence_dummy", address = "127.0.0.9", options = {{ status_file = "{plug}" }} }}

[servers.alba3]
site = "porto"
rack = "L2"
unit = 14
profile = "solo"
address = "127.77.1.13"
power = {{ driver = "manual" }}

[clusters.alba1]
servers = ["alba1"]
ceph = false

[clusters.alba2]
servers = ["alba2"]
ceph = false

[clusters.alba3]
servers = ["alba3"]
ceph = false
"""  # noqa: E501


@dataclass(frozen=True)
class Rack:
    """Three servers: alba1 has a BMC, alba2 a plug, alba3 nothing but a button."""

    folder: Path
    machine: Machine
    plug: Path
    bmc: RedfishBmc

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder)

    def metal(self, *words: str) -> subprocess.CompletedProcess[str]:
        """In this process, with nobody at a terminal: one that starts costs seconds here."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main(["-C", str(self.folder), *words])
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    def begin(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "metal", "-C", str(self.folder), *words]


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    nics = (Nic(name="NIC 1", mac="02:00:5e:00:00:01"),)
    hardware = Hardware("Dell Inc.", "R630", "X1", "4c4c4544-0058-4b10-8051-b8c04f324c32", "1",
                        "1", Cpu(), (), (), nics)  # fmt: skip
    machine = Machine("alba1", hardware)
    certificate = self_signed(tmp_path, "bmc", "127.0.0.1")
    bmc = RedfishBmc(machine, "127.0.0.1", 0, certificate, {"metal": PASSWORD}).start()
    folder, plug = tmp_path / "fleet", tmp_path / "plug"
    folder.mkdir()
    plug.write_text("on")
    text = INVENTORY.format(admin=ADMIN, port=bmc.port, plug=plug)
    (folder / "inventory.toml").write_text(text)
    made = Rack(folder, machine, plug, bmc)
    made.workspace.secrets.escrow("bmc/alba1", PASSWORD, controller=True)
    yield made
    bmc.stop()
