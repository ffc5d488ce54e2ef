"""Erase disks for good: by the disk's own command where it has one, else by overwriting all of it;
and look afterwards whether it is true."""

import hashlib
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from . import disks, surface
from .programs import run
from .talk import Talk

PASSWORD = "metal"
"""Of the ATA security feature, for the minutes that the erasure takes; it is none afterwards."""
ERASE_SECONDS = 24 * 3600.0
SLEEP_SECONDS = 5
ABOUT = ("name", "model", "size_bytes", "transport", "smart")
"""What is told of a disk beside its erasure."""
UNPROVEN = (
    "the disk said it was done, and old data was still there, or nothing could show that it was"
)
HDPARM = ("hdparm", "--user-master", "u")
Tell = Callable[[float, str], None]
FF = b"\xff" * surface.BLOCK


class Method(NamedTuple):
    name: str
    act: Callable[[], str]
    """Why it did not work, or ""."""
    proof: tuple[str, ...] = ("zeros", "ones", "changed")
    """What may be there afterwards."""


def perform(job: dict[str, Any], talk: Talk, told: dict[str, str]) -> None:
    """`job`: {"serials": the disks to erase}. Each is told of as evidence "wiped-SERIAL"."""
    mine = [disk for disk in disks.found() if disk.path]
    wanted = job["serials"]
    for number, serial in enumerate(wanted):
        named = [disk for disk in mine if disk.serial == serial]

        def tell(fraction: float, text: str, number: int = number, serial: str = serial) -> None:
            talk.progress("wipe", (number + fraction) / len(wanted), f"{serial}: {text}")

        missing = {"why": f"{len(named) or 'no'} disks there have that serial number"}
        result = _guarded(named[0], tell) if len(named) == 1 else missing
        talk.evidence(f"wiped-{number:03d}", {"serial": serial, **result})


def _guarded(disk: disks.Disk, tell: Tell) -> dict[str, Any]:
    """As `erase`; a disk that dies under it does not keep the others from being erased."""
    try:
        return erase(disk, tell)
    except OSError as error:
        return _about(disk) | {"why": f"it does not answer any more: {error}", "ended": _now()}


def erase(disk: disks.Disk, tell: Tell) -> dict[str, Any]:
    """{"method", "began", "ended", "verified", "samples", "tried"} or {"why"}; and ABOUT it."""
    assert disk.path is not None
    if disks.in_use(disk):
        return _about(disk) | {"why": "it is in use"}
    began, tried = _now(), list[str]()
    methods = _methods(disk, tell)
    offsets = surface.samples(disk.told["size_bytes"])
    before = _marked(disk.path, offsets)
    for method, act, proof in methods:
        tell(0.02, method)
        why = act()
        verified = "" if why else _verify(disk.path, offsets, before)
        if verified in proof:
            return _about(disk) | {
                "method": method,
                "began": began,
                "ended": _now(),
                "verified": verified,
                "samples": len(offsets),
                "tried": tried,
            }
        tried.append(f"{method}: {why or UNPROVEN}")
    return _about(disk) | {"why": "; ".join(tried), "began": began, "ended": _now()}


def _about(disk: disks.Disk) -> dict[str, Any]:
    return {k: disk.told.get(k) for k in ABOUT}


def _methods(disk: disks.Disk, tell: Tell) -> list[Method]:
    """In the order they are tried. An ATA disk is made ready for it."""
    overwrite = Method("overwrite with zeros", lambda: _overwrite(disk, tell), ("zeros",))
    if disk.told["transport"] == "nvme":
        return [Method("NVMe format, user data erase", lambda: _nvme(disk)), overwrite]
    device = (disk.told.get("smart") or {}).get("device", {})
    if disk.told["transport"] == "sata" or device.get("protocol") == "ATA":
        security = _ready(str(disk.path))
        return [Method("ATA secure erase", lambda: _ata(str(disk.path), security)), overwrite]
    return [overwrite]


def _nvme(disk: disks.Disk) -> str:
    done = run(["nvme", "format", str(disk.path), "--ses=1", "--force"], ERASE_SECONDS)
    return "" if done.code == 0 else done.said


def _ready(path: str) -> dict[str, bool]:
    """The disk's security, thawed and without our own password, where that can be done."""
    told = _security(path)
    if told.get("frozen"):
        _sleep_once()  # firmware freezes disks at boot; after suspend to RAM it does not
        told = _security(path)
    if told.get("enabled") or told.get("locked"):
        # An erasure of ours that was interrupted left the password, and the disk locked with it.
        run([*HDPARM, "--security-unlock", PASSWORD, path])
        run([*HDPARM, "--security-disable", PASSWORD, path])
        told = _security(path)
    return told


def _ata(path: str, security: dict[str, bool]) -> str:
    """hdparm(8): a password is set, the erasure asked for with it; with that the password goes."""
    if not security:
        return "the disk has no security feature"
    if security.get("frozen") or security.get("enabled") or security.get("locked"):
        state = [word for word in ("frozen", "enabled", "locked") if security.get(word)]
        return f"the disk's security is {' and '.join(state)}"
    done = run([*HDPARM, "--security-set-pass", PASSWORD, path])
    if done.code:
        return done.said
    how = "--security-erase-enhanced" if security.get("enhanced") else "--security-erase"
    done = run([*HDPARM, how, PASSWORD, path], ERASE_SECONDS)
    if done.code or _security(path).get("enabled"):
        run([*HDPARM, "--security-disable", PASSWORD, path])
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


def _overwrite(disk: disks.Disk, tell: Tell) -> str:
    bytes_, said = disk.told["size_bytes"], time.monotonic()
    zero = memoryview(surface.buffer())
    try:
        with surface.opened(str(disk.path), write=True) as fd:
            for offset in range(0, bytes_, surface.BLOCK):
                piece = zero[: min(surface.BLOCK, bytes_ - offset)]
                if os.pwritev(fd, [piece], offset) != len(piece):
                    return f"writing failed: the disk took a part of what was written at {offset}"
                if time.monotonic() - said > 2:
                    said = time.monotonic()
                    tell(0.05 + 0.9 * offset / bytes_, f"{offset // 2**30} GiB overwritten")
            os.fsync(fd)
    except OSError as error:
        return f"writing failed: {error.strerror}"
    return ""


def _marked(path: str, offsets: list[int]) -> dict[int, bytes]:
    """Noise is written to the samples, so that their content afterwards proves something: of zeros
    that were there before, nobody can tell an erasure. Offset → digest of what is there then."""
    with suppress(OSError):  # what cannot be written is seen from what is there
        surface.mark(path, offsets)
    return _digests(path, offsets)


def _digests(path: str, offsets: list[int]) -> dict[int, bytes]:
    """Of those that hold anything but zeros."""
    blocks = surface.content(path, offsets)
    return {at: hashlib.sha256(b).digest() for at, b in blocks.items() if b and any(b)}


def _verify(path: str, offsets: list[int], before: dict[int, bytes]) -> str:
    """ "zeros", "ones", or "changed" (a new key: noise is left); "" when old data is there, or was
    nowhere before."""
    if not offsets or len(before) < len(offsets):
        return ""
    Path("/proc/sys/vm/drop_caches").write_text("3")
    now = surface.content(path, offsets)
    if None in now.values():
        return ""
    if all(block == surface.ZERO for block in now.values()):
        return "zeros"
    if all(block == FF for block in now.values()):
        return "ones"
    same = [at for at, old in before.items() if hashlib.sha256(now[at] or b"").digest() == old]
    return "" if same else "changed"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
