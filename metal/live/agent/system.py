"""The new system in its folder: what only this machine knows, what no two machines may share, and
the late commands."""

import os
import re
from pathlib import Path
from typing import Any

from . import network
from .programs import Failed, must, run
from .volumes import Made, uuid_of

EFI = Path("/sys/firmware/efi")
IN_TARGET = Path("/usr/bin/in-target")
LATE = Path("/run/late.sh")
CARD = "@card@"
MAKERS = {
    ("ssh-keygen", "-q", "-N", ""): "/etc/ssh/ssh_host_{}_key",
    ("dropbearkey",): "/etc/dropbear/initramfs/dropbear_{}_host_key",
}
"""Of host keys → where they are kept."""
os.environ |= {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


def enter(target: Path) -> None:
    """Its /proc, /sys, /dev and /run are there; `in-target COMMAND` runs in it, as in d-i, but
    that its initramfs is completed and not built."""
    for kind, where in (("proc", "proc"), ("sysfs", "sys"), ("tmpfs", "run")):
        must(["mount", "-t", kind, kind, str(target / where)])
    must(["mount", "--rbind", "/dev", str(target / "dev")])
    if EFI.is_dir():
        must(["mount", "-t", "efivarfs", "efivarfs", str(target / "sys/firmware/efi/efivars")])
    IN_TARGET.write_text(
        "#!/bin/sh\n"
        f'[ "$1" != update-initramfs ] || exec python3 -m agent.initramfs {target}\n'
        f'exec chroot {target} "$@"\n'
    )
    IN_TARGET.chmod(0o755)


def leave(target: Path) -> None:
    must(["umount", "--recursive", str(target)])


def write(job: dict[str, Any], made: Made, target: Path) -> None:
    card = card_name(job["card"], target)
    for name, text in job["files"].items():
        _put(target / name, text.replace(CARD, card))
    _put(target / "etc/fstab", fstab(made, {d: uuid_of(d) for d, _, _ in made.filesystems}))
    _put(target / "etc/crypttab", crypttab(made, uuid_of(made.encrypted)))
    if made.arrays:
        must(["in-target", "/usr/share/mdadm/mkconf", "force-generate"])
    must(["in-target", "chpasswd", "-e"], stdin=f"root:{job['root_hash']}\n")
    identity(target, job["server"])


def _put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)  # a link would be followed out of the new system
    file.write_text(text)


def fstab(made: Made, uuids: dict[str, str]) -> str:
    """As the installer writes it: mapped devices by name, partitions by UUID."""
    lines = []
    for device, kind, where in made.filesystems:
        spec = device if device.startswith("/dev/mapper/") else f"UUID={uuids[device]}"
        rest = {
            "/": "errors=remount-ro 0 1",
            "/boot/efi": "umask=0077 0 1",
            "": "sw 0 0",
        }.get(where, "defaults 0 2")
        lines.append(f"{spec} {where or 'none'} {kind} {rest}\n")
    return "".join(sorted(lines, key=lambda line: line.split()[1]))


def crypttab(made: Made, uuid: str) -> str:
    return f"{made.mapping} UUID={uuid} none luks,discard\n"


def card_name(mac: str, target: Path) -> str:
    """What udev of the new system will call the card; the kernel's name where it would not rename.

    net_setup_link would say so itself, but only where a udev has run before: here none does.
    """
    kernel = next((name for name, own in network.cards().items() if own == mac), None)
    if kernel is None:
        raise Failed(f"no network card has the address {mac}")
    asked = run(["in-target", "udevadm", "test-builtin", "net_id", f"/sys/class/net/{kernel}"])
    return predictable(asked.out + asked.err) or kernel


def predictable(told: str) -> str | None:
    """The name that 99-default.link chooses of those that the builtin net_id tells."""
    found = dict(re.findall(r"^ID_NET_NAME_([A-Z]+)=(\S+)$", told, re.MULTILINE))
    return next((found[way] for way in ("ONBOARD", "SLOT", "PATH") if way in found), None)


def identity(target: Path, server: str) -> None:
    """Keys, ids and names that packages make when they are installed, made for this machine. No RSA
    keys, which take long: the late commands remove them after an installer, too."""
    for kind in ("ed25519", "ecdsa"):
        for maker, file in MAKERS.items():
            must(["in-target", *maker, "-t", kind, "-f", file.format(kind)])
    must(["in-target", "systemd-machine-id-setup"])
    if (target / "usr/sbin/make-ssl-cert").exists():
        certificate = "generate-default-snakeoil"
        must(["in-target", "make-ssl-cert", certificate, "--force-overwrite"])
    if (target / "sbin/iscsi-iname").exists():
        name = must(["in-target", "iscsi-iname", "-p", "iqn.1993-08.org.debian:01"]).out.strip()
        _put(target / "etc/iscsi/initiatorname.iscsi", f"InitiatorName={name}\n")
    if (target / "usr/sbin/postconf").exists():
        must(["in-target", "postconf", "-e", f"myhostname={server}"])


def late(script: str, target: Path) -> None:
    """The preseed's own late commands. They hold the key of the reports."""
    LATE.touch(mode=0o600)
    LATE.write_text(script)
    try:
        must(["sh", str(LATE)])
    finally:
        LATE.unlink()
