"""What a guest's configuration tells: cores, memory, disks, addresses. Pure."""

import re
from collections.abc import Mapping
from ipaddress import ip_interface
from typing import Any

DRIVE = re.compile(r"(?:scsi|virtio|sata|ide|mp)\d+|rootfs")
STATE = ("efidisk0", "tpmstate0")
PASSED = re.compile(r"(?:hostpci|usb|serial|parallel)\d+")
VIRTUAL = re.compile(r"(?:^|,)(?:mapping=|(?:host=)?spice)|^socket$")
NET = re.compile(r"net\d+")
MAC = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
UNITS = {"": 1 / (1 << 30), "K": 1 / (1 << 20), "M": 1 / 1024, "G": 1.0, "T": 1024.0}
DEFAULT_MEMORY = 512
"""MiB, where a configuration says nothing: the same for VMs and containers."""


def of_config(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """The fields of a FoundGuest that a `qemu` or `lxc` configuration tells better than lists."""
    cores = int(config.get("cores") or 1) * int(config.get("sockets") or 1)
    told: dict[str, Any] = {
        "name": str(config.get("name") or config.get("hostname") or ""),
        "memory_mib": memory_of(config),
        "addresses": addresses(config),
        "disk_gib": disk_of(config),
    }
    if kind == "qemu":
        # An ostype "other" is what Proxmox writes where nobody chose.
        os = str(config.get("ostype") or "other")
        told |= {"vcpus": int(config.get("vcpus") or cores), "os": None if os == "other" else os}
    elif config.get("cores"):
        told["vcpus"] = int(config["cores"])
    return {key: value for key, value in told.items() if value not in ("", None)}


def memory_of(config: dict[str, Any]) -> int:
    """MiB; since 8.1 it may be written as a property string: current=2048."""
    text = str(config.get("memory") or DEFAULT_MEMORY)
    return int(text.partition(",")[0].removeprefix("current="))


def disk_of(config: dict[str, Any]) -> int | None:
    """GiB of all its disks, rounded up; drives that hold an image or cloud-init are none."""
    total = 0.0
    for key, value in config.items():
        size = re.search(r"(?:^|,)size=(\d+(?:\.\d+)?)([KMGT]?)", str(value))
        if DRIVE.fullmatch(key) and size and "media=cdrom" not in str(value):
            total += float(size[1]) * UNITS[size[2]]
    return -(-int(total * 1024) // 1024) or None


def addresses(config: dict[str, Any]) -> tuple[str, ...]:
    """Every static address, with prefix length: ipconfigN of a VM, netN of a container."""
    found = []
    for key in sorted(k for k in config if re.fullmatch(r"(?:ipconfig|net)\d+", k)):
        for part in str(config[key]).split(","):
            kind, _, value = part.partition("=")
            if kind in ("ip", "ip6") and "/" in value:
                found.append(value)
    return tuple(found)


def interfaces_of(answer: Any, config: dict[str, Any]) -> tuple[str, ...]:
    """What the guest agent tells of the VM's own cards: not of bridges and tunnels inside it."""
    cards = {
        mac.lower()
        for key, value in config.items()
        if NET.fullmatch(key)
        for mac in MAC.findall(str(value))
    }
    rows = answer.get("result", []) if isinstance(answer, dict) else answer
    found = []
    for row in rows or []:
        if str(row.get("hardware-address", "")).lower() not in cards:
            continue
        for one in row.get("ip-addresses") or []:
            if one.get("ip-address") and one.get("prefix") is not None:
                # fe80::1%eth0: a zone is no part of an address.
                plain = str(one["ip-address"]).partition("%")[0]
                at = ip_interface(f"{plain}/{one['prefix']}")
                if not (at.ip.is_link_local or at.ip.is_loopback):
                    found.append(str(at))
    return tuple(found)


# ── the file itself ─────────────────────────────────────────────────────────────────────────────


def read_file(text: str) -> dict[str, str]:
    """What the VM is now, by its file in pmxcfs (`man qm.conf`): its snapshots come behind it.

    Lines before the first `[section]`, "key: value" each; "#" begins the notes.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("["):
            break
        key, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            found[key.strip()] = value.strip()
    return found


def volumes(config: Mapping[str, Any]) -> dict[str, str]:
    """Drive → its volume (STORAGE:NAME), or the path of a device of the host itself."""
    found = {}
    for key, value in config.items():
        if not (DRIVE.fullmatch(key) or key in STATE):
            continue
        first = str(value).partition(",")[0].removeprefix("file=").removeprefix("volume=")
        if first != "none":
            found[key] = first
    return found


def devices(config: Mapping[str, Any]) -> tuple[str, ...]:
    """What it has of the host's own hardware; a mapped device may be on several hosts."""
    passed = {key: str(value) for key, value in config.items() if PASSED.fullmatch(key)}
    return tuple(key for key, value in sorted(passed.items()) if not VIRTUAL.search(value))
