"""A whole machine: QEMU without KVM, its firmware, two disks, and a BMC that is its process.

Its card is QEMU's own network of one machine (no root, no namespace): iPXE in the card's ROM gets
the boot service's address as DHCP's bootfile and takes everything from there over HTTP.
"""

import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from metal.controller.workspace import Workspace
from metal.inventory.apt import apt_mirror
from metal.live.build import LiveImage, ensure_live
from metal.model.facts import BootOnce, HealthReport, LogEntry, Power
from metal.model.life import Life

MAC, UUID = "52:54:00:77:00:01", str(uuid.uuid5(uuid.NAMESPACE_DNS, "qemu.lab.example.org"))
ADDRESS, HOST = "10.77.0.15", "10.77.0.2"
SATA, NVME = "SATA0001", "NVME0001"
DISK_BYTES = 96 * 2**20


class Qemu:
    """Power-on is a process, power-off its end. Boots from the network if told so before."""

    mac = MAC

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.disks = {SATA: folder / "sata.img", NVME: folder / "nvme.img"}
        for disk in self.disks.values():
            with disk.open("wb") as file:
                file.truncate(DISK_BYTES)
        self.network = False
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def power(self) -> Power:
        return "on" if self._process and self._process.poll() is None else "off"

    def on(self) -> None:
        if self.power == "on":
            return
        self.starts += 1
        boot, self.network = "n" if self.network else "c", False
        script = f"http://{HOST}:{self.port}/boot?mac={MAC}&uuid={UUID}"
        log = self.folder / f"console-{self.starts}.log"
        self._process = subprocess.Popen(
            [
                "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35",
                "-cpu", "max", "-smp", "2", "-m", "1536", "-uuid", UUID, "-boot", boot,
                "-display", "none", "-monitor", "none", "-serial", f"file:{log}", "-no-reboot",
                "-netdev", f"user,id=n0,net=10.77.0.0/24,host={HOST},bootfile={script}",
                "-device", f"virtio-net-pci,netdev=n0,mac={MAC}",
                "-drive", f"file={self.disks[SATA]},if=none,id=d0,format=raw",
                "-device", f"ide-hd,drive=d0,bus=ide.0,serial={SATA},model=QEMU-SATA",
                "-drive", f"file={self.disks[NVME]},if=none,id=d1,format=raw",
                "-device", f"nvme,drive=d1,serial={NVME}",
            ],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def off(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    @property
    def console(self) -> str:
        log = self.folder / f"console-{self.starts}.log"
        return log.read_text(errors="replace") if log.exists() else ""


class QemuBmc:
    """The Bmc port, on a process."""

    protocol, fingerprint, cipher_suite = "redfish", None, None

    def __init__(self, qemu: Qemu) -> None:
        self._qemu = qemu

    def power(self) -> Power:
        return self._qemu.power

    def ensure_power(self, wanted: Power) -> None:
        self._qemu.on() if wanted == "on" else self._qemu.off()

    def ensure_boot_once(self, device: str) -> BootOnce:
        self._qemu.network = device == "network"
        return BootOnce(device="network")

    def health(self) -> HealthReport:
        return HealthReport(health="ok", cooling=True)  # QEMU's machine has no sensors

    def log(self) -> tuple[LogEntry, ...]:
        return ()

    def watts(self) -> float | None:
        return 90.0

    def close(self) -> None:
        pass


CACHE = Path(os.environ.get("METAL_LAB_CACHE", "/var/tmp/metal-lab-cache"))
INVENTORY = """
[fleet]
name = "attic"
domain = "attic.example.org"
boot_listen = "127.0.0.1:{port}"
boot_url = "http://{host}:{port}"
poll_seconds = 2.0

[administrators.ana]
name = "Ana"
keys = ["age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"]

[sites.lisbon]
place = "row 2"
donor = {{ name = "Tejo", contact = "noc@tejo.example.edu" }}

[sites.lisbon.subnets]
bmc = "10.78.0.0/24"
management = "10.77.0.0/24"
gateway = "{host}"
private_ipv4 = "10.11.128.0/20"

[servers.alba1]
site = "lisbon"
rack = "L2"
profile = "solo"
address = "{address}"

[servers.alba1.bmc]
address = "10.78.0.15"

[servers.alba1.learned]
vendor = "QEMU"
model = "Standard PC (Q35 + ICH9, 2009)"
serial = "Q1"
uuid = "{uuid}"
macs = ["{mac}"]

[[servers.alba1.learned.disks]]
name = "sda"
size_gib = 1
serial = "{sata}"

[[servers.alba1.learned.disks]]
name = "nvme0n1"
size_gib = 1
serial = "{nvme}"

[clusters.alba]
servers = ["alba1"]
ceph = false
"""


class OneMachine(Workspace):
    """A workspace whose only server is the QEMU machine."""

    qemu: Qemu

    def bmc(self, server: str) -> QemuBmc:  # type: ignore[override]
        return QemuBmc(self.qemu)


@pytest.fixture(scope="module")
def image() -> LiveImage:
    missing = [t for t in ("qemu-system-x86_64", "mmdebstrap", "zstd") if not shutil.which(t)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    mirror = apt_mirror()
    if mirror is None:
        pytest.skip("this machine's apt sources name no Debian mirror")
    return ensure_live(mirror, CACHE)


@pytest.fixture
def workspace(tmp_path: Path, image: LiveImage) -> Iterator[OneMachine]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = INVENTORY.format(
        port=port, host=HOST, address=ADDRESS, uuid=UUID, mac=MAC, sata=SATA, nvme=NVME
    )
    (tmp_path / "inventory.toml").write_text(text)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "live").symlink_to(CACHE / "live")
    made = OneMachine.open(tmp_path)
    assert isinstance(made, OneMachine)
    made.store.servers.move("alba1", Life.ENROLLED)
    made.qemu = Qemu(tmp_path, port)
    yield made
    made.qemu.off()
    made.store.close()
