"""Erase disks for good: by the disk's own command where it has one, else by overwriting all of it;
and look afterwards whether it is true."""

import hashlib
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import disks, surface
from .programs import run
from .talk import Talk

PASSWORD = "metal"
"""Of the ATA security feature, for the minutes that the erasure takes; it is none afterwards."""
ERASE_SECONDS = 24 * 3600.0
SLEEP_SECONDS = 5
ABOUT = ("name", "model", "size_bytes", "transport", "smart")
"""What is told of a disk beside its erasure."""
FF = b"\xff" * surface.BLOCK


def perform(job: dict[str, Any], talk: Talk, told: dict[str, str]) -> None:
    """`job`: {"serials": the disks to erase}. Each is told of as evidence "wiped-SERIAL"."""
    mine = [disk for disk in disks.found() if disk.path]
    wanted = job["serials"]
    for number, serial in enumerate(wanted):
        named = [disk for disk in mine if disk.serial == serial]

        def tell(fraction: float, text: str, number: int = number, serial: str = serial) -> None:
            talk.progress("wipe", (number + fraction) / len(wanted), f"{serial}: {text}")

        missing = {"why": f"{len(named) or 'no'} disks there have that serial number"}
        result = erase(named[0], tell) if len(named) == 1 else missing
        talk.evidence(f"wiped-{number:03d}", {"serial": serial, **result})


def erase(disk: disks.Disk, tell: Callable[[float, str], None]) -> dict[str, Any]:
    """{"method", "began", "ended", "verified", "samples", "tried"} or {"why"}; and ABOUT it."""
    assert disk.path is not None
    about = {k: disk.told.get(k) for k in ABOUT}
    if disks.in_use(disk):
        return about | {"why": "it is in use"}
    bytes_, tried = disk.told["size_bytes"], list[str]()
    offsets = surface.samples(bytes_)
    before = _digests(disk.path, offsets)
    began = _now()
    for method, act in _methods(disk, tell):
        tell(0.02, method)
        why = act()
        if why:
            tried.append(f"{method}: {why}")
            continue
        verified = _verify(disk.path, offsets, before)
        if verified:
            return about | {
                "method": method,
                "began": began,
                "ended": _now(),
                "verified": verified,
                "samples": len(offsets),
                "tried": tried,
            }
        tried.append(f"{method}: the disk said it was done, and old data was still there")
    return about | {"why": "; ".join(tried), "began": began, "ended": _now()}


def _methods(
    disk: disks.Disk, tell: Callable[[float, str], None]
) -> list[tuple[str, Callable[[], str]]]:
    """In the order they are tried; each returns why it did not work, or ""."""
    overwrite = ("overwrite with zeros", lambda: _overwrite(disk, tell))
    if disk.told["transport"] == "nvme":
        return [("NVMe format, user data erase", lambda: _nvme(disk)), overwrite]
    device = (disk.told.get("smart") or {}).get("device", {})
    if disk.told["transport"] == "sata" or device.get("protocol") == "ATA":
        return [("ATA secure erase", lambda: _ata(disk)), overwrite]
    return [overwrite]


def _nvme(disk: disks.Disk) -> str:
    done = run(["nvme", "format", str(disk.path), "--ses=1", "--force"], ERASE_SECONDS)
    return "" if done.code == 0 else done.said


def _ata(disk: disks.Disk) -> str:
    """hdparm(8): a password is set, the erasure asked for with it; with that the password goes."""
    path = str(disk.path)
    security = _security(path)
    if security.get("frozen"):
        _sleep_once()  # firmware freezes disks at boot; after suspend to RAM it does not
        security = _security(path)
    if not security:
        return "the disk has no security feature"
    if security.get("frozen") or security.get("enabled") or security.get("locked"):
        state = [word for word in ("frozen", "enabled", "locked") if security.get(word)]
        return f"the disk's security is {' and '.join(state)}"
    done = run(["hdparm", "--user-master", "u", "--security-set-pass", PASSWORD, path])
    if done.code:
        return done.said
    how = "--security-erase-enhanced" if security.get("enhanced") else "--security-erase"
    done = run(["hdparm", "--user-master", "u", how, PASSWORD, path], ERASE_SECONDS)
    if done.code or _security(path).get("enabled"):
        run(["hdparm", "--user-master", "u", "--security-disable", PASSWORD, path])
        return done.said if done.code else "it did not end as it should"
    return ""


def _security(path: str) -> dict[str, bool]:
    return security(run(["hdparm", "-I", path]).out)


def security(text: str) -> dict[str, bool]:
    """The section "Security:" of hdparm -I: {"supported", "enabled", "locked", "frozen",
    "enhanced"}; {} where the disk has none."""
    found = re.search(r"^Security:\s*$(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    if not found:
        return {}
    lines = [" ".join(line.split()) for line in found[1].splitlines()]
    told = {word: word in lines for word in ("supported", "enabled", "locked", "frozen")}
    told["enhanced"] = any("supported: enhanced erase" in line for line in lines)
    return told if told["supported"] else {}


def _sleep_once() -> None:
    run(["rtcwake", "-m", "mem", "-s", str(SLEEP_SECONDS)], 60)


def _overwrite(disk: disks.Disk, tell: Callable[[float, str], None]) -> str:
    bytes_, zero, said = disk.told["size_bytes"], surface.buffer(), time.monotonic()
    with surface.opened(str(disk.path), write=True) as fd:
        try:
            for offset in range(0, bytes_ - surface.BLOCK + 1, surface.BLOCK):
                os.pwritev(fd, [zero], offset)
                if time.monotonic() - said > 2:
                    said = time.monotonic()
                    tell(0.05 + 0.9 * offset / bytes_, f"{offset // 2**30} GiB overwritten")
            if left := bytes_ % surface.BLOCK:
                os.pwritev(fd, [memoryview(zero)[:left]], bytes_ - left)
            os.fsync(fd)
        except OSError as error:
            return f"writing failed: {error.strerror}"
    return ""


def _digests(path: str, offsets: list[int]) -> dict[int, bytes]:
    """What was there, to tell afterwards whether it is gone."""
    blocks = surface.content(path, offsets)
    return {at: hashlib.sha256(b).digest() for at, b in blocks.items() if b and any(b)}


def _verify(path: str, offsets: list[int], before: dict[int, bytes]) -> str:
    """ "zeros", "ones", or "changed" (a new key: noise is left); "" when old data is there."""
    Path("/proc/sys/vm/drop_caches").write_text("3")
    now = surface.content(path, offsets)
    if None in now.values():
        return ""
    if all(block == surface.ZERO for block in now.values()):
        return "zeros"
    if all(block == FF for block in now.values()):
        return "ones"
    same = [at for at, old in before.items() if hashlib.sha256(now[at] or b"").digest() == old]
    return "" if same or not before else "changed"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
