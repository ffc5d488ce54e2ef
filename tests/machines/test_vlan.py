"""A server that waits for its key on a VLAN, over the card of a bond that has a link: the late
commands, an initramfs that Debian's own tools build from them, and Debian's kernel, in QEMU.

The wire carries frames of that VLAN alone (metal/lab/machines/tagged.py).
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metal.install.answers import Answers, Mirror, SystemDisk
from metal.install.render import Templates, render_late
from metal.inventory.defaults import defaults
from metal.lab.machines.tagged import netdev
from metal.lab.machines.wire import Wire

pytestmark = pytest.mark.lab_full
VLAN, OURS, THEIRS, KEY = 30, "10.77.0.1/24", "10.77.0.11", "the-key-of-the-disk"
CARDS = ("enp0s2", "enp0s3")
PACKAGES = "linux-image-amd64,initramfs-tools,dropbear-initramfs,cryptsetup-initramfs,zstd"
INIT = """\
#!/bin/busybox sh
/bin/busybox mount -t sysfs sysfs /sys
echo "started with: $(/bin/busybox ls /sys/class/net | /bin/busybox tr '\\n' ' ')" >/dev/console
/bin/busybox poweroff -f
"""


@pytest.fixture
def administrator(tmp_path: Path) -> Path:
    key = tmp_path / "administrator"
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(words, check=True)
    return key


@pytest.fixture
def disk(tmp_path: Path) -> tuple[Path, str]:
    """(an encrypted disk whose system says what network it found, its UUID)."""
    tree, plain, disk = tmp_path / "tree", tmp_path / "plain.img", tmp_path / "disk.img"
    for folder in ("bin", "sbin", "proc", "sys", "dev", "run"):
        (tree / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin")
    (tree / "sbin/init").write_text(INIT)
    (tree / "sbin/init").chmod(0o755)
    with plain.open("wb") as file:
        file.truncate(32 << 20)
    _run("mkfs.ext4", "-q", "-d", str(tree), str(plain))
    secret = ("--object", f"secret,id=key,data={KEY}", "-o", "key-secret=key,iter-time=10")
    _run("qemu-img", "convert", "-O", "luks", *secret, str(plain), str(disk))
    return disk, _run("cryptsetup", "luksUUID", str(disk)).strip()


@pytest.fixture
def boot(tmp_path: Path, mirror: str, administrator: Path, disk: Any) -> tuple[Path, Path]:
    """(kernel, initramfs) of a Debian that has had the late commands, and nothing else of ours."""
    root = tmp_path / "root"
    _run("mmdebstrap", "--quiet", f"--include={PACKAGES}", "trixie", str(root), mirror)
    (root / "etc/crypttab").write_text(f"root_crypt UUID={disk[1]} none luks,initramfs\n")
    (root / "etc/fstab").write_text("/dev/mapper/root_crypt / ext4 defaults 0 1\n")
    in_target = tmp_path / "bin" / "in-target"
    in_target.parent.mkdir()
    in_target.write_text(f'#!/bin/sh\n[ "$1" != update-initramfs ] || exec chroot {root} "$@"\n')
    in_target.chmod(0o755)
    public = administrator.with_suffix(".pub").read_text()
    answers = Answers(
        server="one", domain="attic.example.org", debian="trixie", recipe="luks-lvm",
        mac="52:54:00:77:01:01", address=THEIRS, netmask="255.255.255.0", gateway="10.77.0.1",
        nameservers=("10.77.0.1",), mirror=Mirror(protocol="http", host="m", directory="/debian"),
        proxy="", disks=(SystemDisk(name="vda", serial=""),), packages=(),
        root_keys=(" ".join(public.split()[:2]),), boot_url="http://10.77.0.1:8080",
        vlan=VLAN, bond=CARDS,
    )  # fmt: skip
    late = render_late(Templates([defaults()]), answers, token="t" * 20, report_key="a" * 128)
    environment = {**os.environ, "PATH": f"{in_target.parent}:{os.environ['PATH']}"}
    script = late.replace("/target", str(root))
    subprocess.run(["sh", "-c", script], env=environment, check=True, stdin=subprocess.DEVNULL)
    (kernel,), (initramfs,) = (
        root.joinpath("boot").glob(f"{name}-*") for name in ("vmlinuz", "initrd.img")
    )
    return kernel, initramfs


class Guest:
    """QEMU with two cards, which can be told to lose their link."""

    def __init__(self, wire: Wire, boot: tuple[Path, Path], disk: Path) -> None:
        self.folder = wire.folder
        cards: list[str] = []
        for n in range(2):
            mac = f"52:54:00:77:01:{n + 1:02x}"
            cards += ["-netdev", netdev(self.folder, n)]
            cards += ["-device", f"virtio-net-pci,id=nic{n},netdev=card{n},mac={mac},romfile="]
        self.process = wire.start(
            "qemu.log", "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35",
            "-cpu", "max,erms=off", "-smp", "2", "-m", "1024", "-display", "none",
            "-monitor", "none", "-serial", f"file:{self.folder / 'console.log'}", "-no-reboot",
            "-S", "-qmp", f"unix:{self.folder / 'qmp'},server=on,wait=off",
            "-kernel", str(boot[0]), "-initrd", str(boot[1]),
            "-append", "console=ttyS0 quiet panic=5 root=/dev/mapper/root_crypt",
            "-drive", f"file={disk},if=virtio,format=raw,snapshot=on", *cards,
        )  # fmt: skip

    def link(self, card: int, up: bool) -> None:
        self.tell("set_link", name=f"nic{card}", up=up)

    def tell(self, command: str, **arguments: Any) -> None:
        with socket.socket(socket.AF_UNIX) as qmp:
            qmp.connect(str(self.folder / "qmp"))
            lines = qmp.makefile("rw")
            for told in (
                {"execute": "qmp_capabilities"},
                {"execute": command, "arguments": arguments},
            ):
                lines.write(json.dumps(told))
                lines.flush()
                while "return" not in (said := json.loads(lines.readline())):
                    assert "error" not in said, said

    @property
    def console(self) -> str:
        file = self.folder / "console.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def wait(self, reached: Callable[[], object], what: str, seconds: float = 900) -> None:
        deadline = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < deadline, f"waited for {what}\n{self.console[-3000:]}"
            time.sleep(0.2)


@pytest.fixture
def guest(tmp_path: Path, boot: tuple[Path, Path], disk: Any) -> Iterator[tuple[Guest, Wire]]:
    with Wire(tmp_path, (OURS,)) as wire:
        port = ("-m", "metal.lab.machines.tagged", wire.tap(), str(VLAN), str(tmp_path), "2")
        wire.start("port.log", sys.executable, *port)
        made = Guest(wire, boot, disk[0])
        ready = (tmp_path / "port1", tmp_path / "qmp")
        made.wait(lambda: all(file.exists() for file in ready), "the port and QEMU", 60)
        yield made, wire


def test_it_waits_on_its_vlan_over_whichever_card_has_a_link(
    guest: tuple[Guest, Wire], administrator: Path
) -> None:
    machine, wire = guest

    def unlock(command: str, key: str) -> bool:
        options = ("BatchMode=yes", "ConnectTimeout=5", "StrictHostKeyChecking=no",
                   "UserKnownHostsFile=/dev/null")  # fmt: skip
        words = ["ssh", "-F", "none", "-i", str(administrator), "-p", "2222"]
        words += [word for option in options for word in ("-o", option)]
        line = f"printf %s '{key}' | {' '.join(words)} root@{THEIRS} {command}"
        return wire.run("sh", "-c", line, timeout=120).returncode == 0

    def reached() -> bool:
        return wire.run("busybox", "ping", "-c1", "-W1", THEIRS).returncode == 0

    machine.link(0, up=False)
    machine.tell("cont")
    machine.wait(reached, "an answer on the VLAN")
    assert f"metal: {THEIRS}/24 is on enp0s3, VLAN {VLAN}" in machine.console
    machine.link(0, up=True)
    machine.link(1, up=False)
    machine.wait(lambda: f"is on enp0s2, VLAN {VLAN}" in machine.console, "the other card")
    machine.wait(reached, "an answer over the other card")
    machine.wait(
        lambda: "started with: " in machine.console or unlock("cryptroot-unlock", KEY),
        "its key to be taken",
    )
    machine.wait(lambda: "started with: " in machine.console, "the system")
    assert "started with: enp0s2 enp0s3 lo " in machine.console, "no VLAN is left"
    strays = (machine.folder / "strays").read_text().split("\n")
    assert all(line.startswith("0 ") for line in strays if line), "no other VLAN was ever spoken on"


def _run(*words: str) -> str:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    done = subprocess.run(
        words, check=True, capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    return done.stdout
