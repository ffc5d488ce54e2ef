"""A workspace with one site on loopback, and BMCs that are in no inventory yet."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage
import pytest

from metal.controller.workspace import Workspace
from metal.lab.ipmi_bmc import IpmiBmc
from metal.lab.machine import Hardware, Machine
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.redfish_faults import error
from metal.lab.web import Certificate, self_signed
from metal.model.facts import Cpu, Dimm, Drive, Nic

Said = subprocess.CompletedProcess[str]
PATIENCE = 60.0
REPOSITORY = Path(__file__).resolve().parents[2]
USER, PASSWORD = "ADMIN", "factory-Pa55word"
INVENTORY = """\
# A fleet of nobody yet.
[fleet]
name = "attic"
domain = "attic.example.org"

[administrators.ana]
name = "Ana"
keys = ["{key}"]

[sites.porto]   # the only one
place = "Porto, the cellar"
donor = {{ name = "A donor", contact = "noc@example.org" }}

[sites.porto.subnets]
bmc = "127.77.0.0/24"
management = "127.77.1.0/24"
gateway = "127.77.1.254"
private_ipv4 = "10.77.128.0/20"
"""


def hardware(number: int, **more: Any) -> Hardware:
    """A believable machine; no two numbers have anything in common."""
    given: dict[str, Any] = {
        "vendor": "Dell Inc.",
        "model": "PowerEdge R640",
        "serial": f"7X3K9Q{number}",
        "uuid": f"4c4c4544-0042-4a10-8036-b4c04f4d{number:04x}",
        "bios_version": "2.19.1",
        "bmc_firmware": "4.40.00.00",
        "cpu": Cpu(model="Intel(R) Xeon(R) Silver 4114", sockets=2, cores=20, threads=40),
        "dimms": tuple(Dimm(slot=f"DIMM A{i}", size_gib=16) for i in range(1, 5)),
        "drives": (
            Drive(name="Bay 1", size_bytes=240 * 10**9, media="ssd", serial=f"S{number}A"),
            Drive(name="Bay 2", size_bytes=960 * 10**9, media="ssd", serial=f"S{number}B"),
        ),
        "nics": (Nic(name="NIC 1", mac=f"02:00:5e:00:77:{number:02x}"),),
    }
    return Hardware(**given | more)


@dataclass(frozen=True)
class Moment:
    """When a BMC is asked for `path` the `turn`th time, before or after it does what is asked."""

    method: str
    path: str
    turn: int
    after: bool

    def __str__(self) -> str:
        place = self.path.strip("/").lower()
        return f"{'after' if self.after else 'before'}-{self.method}-{place}-{self.turn}"


@dataclass
class Fleet:
    """A workspace on disk, the command in it, and BMCs beside it."""

    folder: Path
    certificate: Certificate
    identity: pyrage.x25519.Identity
    bmcs: list[RedfishBmc | IpmiBmc] = field(default_factory=list)

    def redfish(self, number: int, **more: Any) -> RedfishBmc:
        """A BMC at 127.77.0.NUMBER, on a port of its own."""
        machine = Machine(f"m{number}", hardware(number, **more))
        accounts = {USER: PASSWORD}
        bmc = RedfishBmc(machine, f"127.77.0.{number}", 0, self.certificate, accounts)
        self.bmcs.append(bmc)
        return bmc.start()

    def ipmi(self, number: int, **more: Any) -> IpmiBmc:
        machine = Machine(f"m{number}", hardware(number, **more))
        accounts = {USER: PASSWORD}
        bmc = IpmiBmc(machine, f"127.77.0.{number}", 0, accounts, cipher_suite=3)
        self.bmcs.append(bmc)
        return bmc.start()

    @property
    def workspace(self) -> Workspace:
        """Opened anew: what a next command sees."""
        return Workspace(self.folder)

    @property
    def text(self) -> str:
        return (self.folder / "inventory.toml").read_text()

    def password(self, server: str) -> str:
        """What an administrator finds in secrets/."""
        sealed = (self.folder / "secrets" / "bmc" / f"{server}.age").read_bytes()
        return pyrage.decrypt(sealed, [self.identity]).decode()

    def process(self, *words: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """`metal` as a process of its own; whoever begins it ends it."""
        return subprocess.Popen(
            [sys.executable, "-m", "metal", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=cwd or self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(REPOSITORY),
                "COLUMNS": "100",
                "METAL_BMC_USER": USER,
                "METAL_BMC_PASSWORD": PASSWORD,
            },
        )

    def ended_at(self, bmc: RedfishBmc, moment: Moment, with_: signal.Signals, *words: str) -> Said:
        """`metal WORDS` as a process of its own that gets that signal at the moment."""
        victims: list[subprocess.Popen[str]] = []
        original, left = bmc._handle, [moment.turn]

        async def deadly(request: Any) -> Any:
            if victims and request.method == moment.method and moment.path in request.url.path:
                left[0] -= 1
                if left[0] == 0:
                    answer = await original(request) if moment.after else None
                    victims[0].send_signal(with_)
                    if with_ is signal.SIGKILL:
                        victims[0].wait(PATIENCE)
                    return answer or error(503, "nobody listens")
            return await original(request)

        bmc.stop()
        bmc._handle = deadly
        bmc.start()
        victims.append(self.process(*words))
        out, err = victims[0].communicate(timeout=PATIENCE)
        assert left[0] <= 0, "that moment never came"
        return subprocess.CompletedProcess(words, victims[0].returncode, out, err)

    def told(self) -> set[str]:
        """Every secret that an administrator can read."""
        files = (self.folder / "secrets").rglob("*.age")
        return {pyrage.decrypt(f.read_bytes(), [self.identity]).decode() for f in files}

    def metal(self, *words: str, cwd: Path | None = None) -> Said:
        process = self.process(*words, cwd=cwd)
        out, err = process.communicate()
        return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("tls"), "bmc", "127.77.0.1")


@pytest.fixture
def fleet(tmp_path: Path, certificate: Certificate) -> Iterator[Fleet]:
    identity = pyrage.x25519.Identity.generate()
    folder = tmp_path / "fleet"
    folder.mkdir()
    (folder / "inventory.toml").write_text(INVENTORY.format(key=identity.to_public()))
    fleet = Fleet(folder, certificate, identity)
    yield fleet
    for bmc in fleet.bmcs:
        bmc.stop()


@pytest.fixture
def at() -> Callable[[RedfishBmc | IpmiBmc], str]:
    """ADDRESS:PORT of a double."""
    return lambda bmc: f"{bmc.host}:{bmc.port}"
