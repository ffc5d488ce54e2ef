"""The machine's disks: which there are, whether they are in use, and how they do."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import smart, surface

BLOCK = Path("/sys/block")
NO_DISKS = ("loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd")
SELF_TEST_SECONDS = 300.0
HANGS_SECONDS = 300.0
"""Beyond its time, after which a disk is taken for hung: the kernel tries a block for minutes."""


@dataclass
class Disk:
    name: str
    path: str | None
    """None behind a RAID controller: only what it says of itself is known."""
    kind: str = ""
    """smartctl's -d."""
    serial: str | None = None
    told: dict[str, Any] = field(default_factory=dict)
    """What goes into the evidence."""
    self_test: smart.SelfTest | None = None


def found() -> list[Disk]:
    """Every disk the kernel has, and every one behind a controller, each once."""
    types = {smart_name(path): (path, kind) for path, kind in smart.devices() if "," not in kind}
    disks: list[Disk] = []
    for block in sorted(BLOCK.iterdir()):
        if block.name.startswith(NO_DISKS) or _word(block / "size") in ("", "0"):
            continue
        path, kind = types.get(block.name, (f"/dev/{block.name}", "auto"))
        disk = _disk(block, path, kind)
        if disk.told["transport"] != "sas" or disk.serial not in [d.serial for d in disks]:
            disks.append(disk)  # else the second way to a disk with two ports
    serials = {disk.serial for disk in disks if disk.serial}
    for path, kind in smart.devices():
        if "," in kind:
            hidden = _hidden(path, kind)
            if hidden.serial not in serials:
                disks.append(hidden)
    return disks


def smart_name(path: str) -> str:
    """smartctl names an NVMe controller, the kernel its namespace: nvme0 has nvme0n1."""
    name = path.removeprefix("/dev/")
    return f"{name}n1" if name.startswith("nvme") and "n" not in name[4:] else name


def _disk(block: Path, path: str, kind: str) -> Disk:
    body, why = smart.read(path, kind)
    serial = (
        (body or {}).get("serial_number")
        or _word(block / "device/serial")
        or _word(block / "serial")
    )
    bytes_ = int(_word(block / "size") or 0) * 512
    disk = Disk(block.name, f"/dev/{block.name}", kind, serial.strip() or None)
    disk.told = {
        "name": block.name,
        "serial": disk.serial,
        "model": (body or {}).get("model_name") or _word(block / "device/model") or None,
        "size_bytes": bytes_,
        "rotational": _word(block / "queue/rotational") == "1",
        "transport": transport(block),
        "smart": body,
        "smart_why": why,
    }
    return disk


def _hidden(path: str, kind: str) -> Disk:
    body, why = smart.read(path, kind)
    told = body or {}
    disk = Disk(f"{smart_name(path)} {kind}", None, kind, told.get("serial_number"))
    disk.told = {
        "name": disk.name,
        "serial": disk.serial,
        "model": told.get("model_name"),
        "size_bytes": told.get("user_capacity", {}).get("bytes"),
        "rotational": None if "rotation_rate" not in told else told["rotation_rate"] != 0,
        "transport": "raid",
        "smart": body,
        "smart_why": why,
        "read_why": "a RAID controller hides it",
        "write_why": "a RAID controller hides it",
    }
    return disk


def transport(block: Path) -> str:
    real = str(block.resolve())
    for sign, name in (("/nvme", "nvme"), ("/virtio", "virtio"), ("/usb", "usb"), ("/ata", "sata")):
        if sign in real:
            return name
    return "sas" if "/end_device-" in real else "scsi"


def in_use(disk: Disk) -> bool:
    """Mounted, swapped to, or part of an array or a volume that is assembled."""
    block = BLOCK / disk.name
    parts = [p for p in block.iterdir() if (p / "partition").exists()]
    mounts = Path("/proc/mounts").read_text() + Path("/proc/swaps").read_text()
    return any(any((b / "holders").iterdir()) for b in (block, *parts)) or any(
        line.startswith(f"/dev/{disk.name}") for line in mounts.splitlines()
    )


def examine(
    disks: list[Disk], overwrite: list[str], seconds: float, tell: Callable[[str], None]
) -> None:
    """Read each disk, and write those that are blank and named in `overwrite`, side by side."""
    deadline = time.monotonic() + seconds
    threads = {
        disk.name: threading.Thread(target=_guarded, args=(disk, overwrite, deadline), daemon=True)
        for disk in disks
        if disk.path
    }
    for thread in threads.values():
        thread.start()
    for done, (name, thread) in enumerate(threads.items(), 1):
        thread.join(max(0.0, deadline - time.monotonic()) + HANGS_SECONDS)
        tell(f"{done} of {len(threads)} disks, {name}")
    hung = {name for name, thread in threads.items() if thread.is_alive()}
    for disk in disks:
        if disk.name in hung:
            # Whatever asks it now hangs too.
            disk.told |= {"read_errors": 1, "read_why": "it does not answer any more"}
            continue
        if disk.self_test:
            told, why = disk.self_test.result(time.monotonic() + SELF_TEST_SECONDS)
            disk.told |= {"self_test": told, "self_test_why": why}
        _read_again(disk)


def _guarded(disk: Disk, overwrite: list[str], deadline: float) -> None:
    try:
        _one(disk, overwrite, deadline)
    except OSError as error:
        disk.told |= {"read_why": str(error), "write_why": str(error)}


def _one(disk: Disk, overwrite: list[str], deadline: float) -> None:
    assert disk.path is not None
    bytes_ = disk.told["size_bytes"]
    blank = None if in_use(disk) else surface.blank(disk.path, bytes_)
    now = time.monotonic()
    look = not _spared(disk, overwrite, blank)
    half = now + (deadline - now) / 2 if look else deadline
    read = surface.scan(disk.path, bytes_, lambda: time.monotonic() > half, look=look)
    blank = False if read.dirty else blank
    why = _spared(disk, overwrite, blank)
    disk.told |= {"blank": blank, "read_mib_s": read.mib_s, "read_errors": read.errors}
    disk.told["write_why"] = why
    if not why:
        _write(disk, bytes_, deadline)


def _write(disk: Disk, bytes_: int, deadline: float) -> None:
    assert disk.path is not None
    disk.told["written_mib"] = 0  # whatever ends this early: it was to be written
    passed, wrong = surface.write_and_compare(
        disk.path, bytes_, lambda: time.monotonic() > deadline
    )
    if passed.dirty:
        disk.told |= {"blank": False, "write_why": "it is not blank: what it holds was left alone"}
        if not passed.blocks:
            disk.told["written_mib"] = None
            return
    disk.told |= {
        "written_mib": passed.blocks,
        "write_mib_s": passed.mib_s,
        "write_errors": passed.errors,
        "mismatches": wrong,
    }


def _spared(disk: Disk, overwrite: list[str], blank: bool | None) -> str:
    """Why it is not written; empty when it may be."""
    if disk.serial is None or disk.serial not in overwrite:
        return "it may not be overwritten"
    if blank is None:
        return "it is in use, or cannot be read"
    return "" if blank else "it is not blank"


def _read_again(disk: Disk) -> None:
    """What the tests did to it is in what it says now."""
    path = disk.path or f"/dev/{disk.name.split()[0]}"
    body, _ = smart.read(path, disk.kind) if disk.told.get("smart") else (None, "")
    disk.told["smart"] = body or disk.told.get("smart")


def _word(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""
