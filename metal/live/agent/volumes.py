"""The system disk, or two that hold the same: found, divided, encrypted, mounted."""

import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import disks, layout
from .programs import must, run

BLOCK = Path("/sys/block")
NO_UDEV = "activation{udev_sync=0 udev_rules=0} devices{obtain_device_list_from_udev=0}"
WAIT_SECONDS = 10.0
FIRMWARES = ("biosgrub", "efi")
MD_SPEED = Path("/proc/sys/dev/raid/speed_limit_max")
"""KB a second."""
os.environ["DM_DISABLE_UDEV"] = "1"  # nobody else makes the nodes here


class Unfit(Exception):
    """The disk is not there, is in use, or is too small: nothing was written."""


@dataclass
class Made:
    """What was made, for fstab and crypttab."""

    disks: list[str]
    encrypted: str
    """The partition, such as /dev/sda4; or the array."""
    mapping: str
    """Its name when it is open, as Debian's installer names it."""
    group: str
    filesystems: list[tuple[str, str, str]] = field(default_factory=list)
    """(device, type, mount point; "" for swap)."""
    arrays: list[str] = field(default_factory=list)
    """Such as /dev/md0, of two disks that hold the same."""


def find(wanted: list[dict[str, str]]) -> list[str]:
    """The disks: /dev/… each. Unfit, and none is touched, unless each is there and is another."""
    found = [_find(one) for one in wanted]
    if len(set(found)) < len(found):
        raise Unfit(f"{found[0]} is to be the mirror of itself, so none is touched")
    return found


def _find(wanted: dict[str, str]) -> str:
    """The one disk of that serial number, or name."""
    names = [b.name for b in sorted(BLOCK.iterdir()) if not b.name.startswith(disks.NO_DISKS)]
    if wanted["serial"]:
        chosen = [n for n in names if wanted["serial"] in serials(BLOCK / n)]
        if not chosen:  # slower: what the disk says of itself
            told = [
                d for d in disks.found() if d.path and plain(d.serial or "") == wanted["serial"]
            ]
            chosen = [d.name for d in told]
    else:
        chosen = [n for n in names if n == wanted["name"]]
    if len(chosen) != 1:
        about = " ".join(filter(None, (wanted["name"], wanted["serial"])))
        raise Unfit(f"{len(chosen)} disks are {about}, so none is touched")
    if disks.in_use(disks.Disk(chosen[0], None)):
        raise Unfit(f"{chosen[0]} is in use")
    return f"/dev/{chosen[0]}"


def serials(block: Path) -> set[str]:
    """Serial numbers as the kernel has them, in udev's fashion: blanks are underscores."""
    found = [disks._word(block / "device/serial"), disks._word(block / "serial")]
    try:
        page = (block / "device/vpd_pg80").read_bytes()
        found.append(page[4:].decode("ascii", "replace"))
    except OSError:
        pass
    return {plain(word) for word in found} - {""}


def plain(serial: str) -> str:
    return re.sub(r"\s+", "_", serial.strip(" \t\r\n\0"))


def make(recipe: dict[str, Any], found: list[str], server: str, passphrase: str) -> Made:
    """Wipe the disks that were `found`; on them is then what the recipe says, and open."""
    script = _script(recipe, found)
    for disk in found:
        _forget_old(disk)
        words = ["sfdisk", "--quiet", "--wipe", "always", "--wipe-partitions", "always", disk]
        must(words, 60, script)
    numbers = range(1, len(recipe["outside"]) + 2)
    rows = [[partition(disk, n) for disk in found] for n in numbers]
    _wait_for([device for row in rows for device in row])
    made = Made(found, "", "", recipe["group"])
    for members, part in zip(rows, recipe["outside"], strict=False):
        _filesystem(made, _device(made, members, part["method"], server), part)
    made.encrypted = _device(made, rows[-1], "encrypted", server)
    made.mapping = f"{Path(made.encrypted).name}_crypt"
    _encrypt(made, passphrase)
    _volumes(made, recipe["volumes"])
    return made


def _script(recipe: dict[str, Any], found: list[str]) -> str:
    """Of each of the disks: the smallest has room for it. Unfit where that has not."""
    sizes = {int(disks._word(BLOCK / Path(disk).name / "size")) * 512: disk for disk in found}
    needed = sum(part["minimum"] for part in recipe["volumes"])
    try:
        return layout.partition_script(recipe["outside"], min(sizes), needed)
    except layout.TooSmall as error:
        raise Unfit(f"{sizes[min(sizes)]}: {error}") from None


def _device(made: Made, members: list[str], method: str, server: str) -> str:
    """What a partition is used through: itself, or the array of those of two disks. The firmware
    reads its own partitions, and knows no arrays: preseed/esp.sh keeps those alike."""
    if len(members) == 1 or method in FIRMWARES:
        return members[0]
    number = len(made.arrays)
    must(["modprobe", "raid1"])
    _gently()
    must(["mdadm", "--create", f"/dev/md{number}", "--run", "--metadata=1.2", "--level=1",
          f"--homehost={server}", f"--name={number}", f"--raid-devices={len(members)}",
          *members])  # fmt: skip
    made.arrays.append(f"/dev/md{number}")
    return made.arrays[-1]


def _gently() -> None:
    """The disks are made alike while the server is used; they are not kept from being installed."""
    with suppress(OSError):
        MD_SPEED.write_text("2000\n")


def partition(disk: str, number: int) -> str:
    return f"{disk}p{number}" if disk[-1].isdigit() else f"{disk}{number}"


def _forget_old(disk: str) -> None:
    """Signatures of what was there: old RAID and LVM must not be found at the first boot."""
    name = Path(disk).name
    olds = [f"/dev/{p.name}" for p in (BLOCK / name).iterdir() if (p / "partition").exists()]
    for device in (*olds, disk):
        must(["wipefs", "--all", "--quiet", "--force", device], 60)


def _wait_for(devices: list[str]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while missing := [d for d in devices if not Path(d).exists()]:
        if time.monotonic() > deadline:
            raise Unfit(f"{', '.join(missing)} did not appear")
        time.sleep(0.05)


def _encrypt(made: Made, passphrase: str) -> None:
    """The key is random and long: no cost of a guess protects it better. It is replaced at the
    first boot by one whose costs are measured then; a memory-hard function only took time here,
    and again at the first unlocking."""
    cheap = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]
    options = ["--batch-mode", "--key-file", "-"]
    must(["cryptsetup", "luksFormat", "--type", "luks2", *cheap, *options, made.encrypted],
         stdin=passphrase)  # fmt: skip
    opening = ["cryptsetup", "open", "--allow-discards", *options, made.encrypted, made.mapping]
    must(opening, stdin=passphrase)


def _volumes(made: Made, volumes: list[dict[str, Any]]) -> None:
    mapped, group = f"/dev/mapper/{made.mapping}", made.group
    must(["pvcreate", "--yes", "--quiet", "--config", NO_UDEV, mapped])
    must(["vgcreate", "--yes", "--quiet", "--config", NO_UDEV, group, mapped])
    columns = ["--noheadings", "--nosuffix", "--units", "b", "-o", "vg_free", group]
    free = int(must(["vgs", *columns]).out.strip()) // layout.MB
    for part, megabytes in zip(volumes, layout.sizes(volumes, free), strict=True):
        size = f"{megabytes * layout.MB // layout.MIB // 4 * 4}m"
        name = part["volume"]
        must(["lvcreate", "--yes", "--quiet", "--wipesignatures", "n", "--config", NO_UDEV,
              "--size", size, "--name", name, group])  # fmt: skip
        _filesystem(made, f"/dev/mapper/{group}-{name}", part)


def _filesystem(made: Made, device: str, part: dict[str, Any]) -> None:
    kind = part["filesystem"]
    if kind == "swap":
        must(["mkswap", "--quiet", device])
    elif kind == "vfat":
        must(["mkfs.vfat", "-F", "32", device])
    elif kind == "ext4":
        # What is encrypted holds no older journal that could be taken for its own: noise.
        lazy = ("-E", "lazy_journal_init=1") if device.startswith("/dev/mapper/") else ()
        must(["mkfs.ext4", "-q", "-F", *lazy, device])
    elif part["method"] != "biosgrub":
        raise Unfit(f"a file system {kind!r} is not known here")
    if kind:
        made.filesystems.append((device, kind, part["mount"]))


def mount(made: Made, target: Path) -> None:
    """/ first, then what is below it."""
    places = sorted((where, device, kind) for device, kind, where in made.filesystems if where)
    for where, device, kind in places:
        folder = target / where.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        # Its empty tables are zeroed by the installed system, at leisure.
        lazy = ("-o", "noinit_itable") if kind == "ext4" else ()
        must(["mount", *lazy, device, str(folder)])


def uuid_of(device: str) -> str:
    return must(["blkid", "-p", "-s", "UUID", "-o", "value", device]).out.strip()


def close(made: Made) -> None:
    """On the disk, all of it, before the machine restarts."""
    run(["vgchange", "--activate", "n", "--config", NO_UDEV, made.group])
    run(["cryptsetup", "close", made.mapping])
    for array in made.arrays:
        run(["mdadm", "--stop", array])
    os.sync()
