"""Sizes as BMCs write them: a number in the unit that the key names, one in another unit, or a
text with its unit.

Nothing here raises; what cannot be understood is None, and so is zero.
"""

import re
from collections.abc import Iterable
from typing import Any

from metal.drivers.redfish_answer import Body
from metal.drivers.redfish_shape import number

KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40
WITH_UNIT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(bytes?|([kmgt])?i?b)\s*", re.IGNORECASE)
DECIMAL = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
BINARY = {"": 1, "k": KIB, "m": MIB, "g": GIB, "t": TIB}
DISK_KEYS = (
    ("CapacityBytes", 1),
    ("CapacityMiB", MIB),
    ("CapacityGiB", GIB),
    ("CapacityGB", 10**9),
    ("CapacityMB", 10**6),
)
MODULE_KEYS = (
    ("CapacityMiB", MIB),
    ("SizeMB", MIB),  # iLO 4
    ("CapacityMB", MIB),
    ("CapacityGiB", GIB),
    ("CapacityGB", GIB),
    ("CapacityBytes", 1),
)
GB_AT_MOST = 10**5
"""No drive has as few bytes: a CapacityBytes of 960 counts GB."""
LARGEST_DRIVE = 10**15
"""Bytes. What is larger is a figure gone wrong."""
SMALLEST_MODULE, LARGEST_MODULE = 256 * MIB, TIB
"""No module is smaller (on some Inspur and Quanta CapacityMiB counts GiB) or larger."""
LARGEST_TOTAL = 6 * TIB
"""More is believed only where modules make it up: 8192 is 8 GiB told in MiB."""
UNITS_BELOW_GIB = 3
"""MiB, KiB, bytes."""
FAR_OFF = 100
"""Times that a total differs from its modules where another unit is meant, and no spare bank."""


def disk_bytes(holders: Iterable[Body]) -> int | None:
    """Of the drive, or what its maker's parts say where it says nothing itself."""
    for body in holders:
        size = _first(body, DISK_KEYS[:3], DECIMAL) or _blocks(body)
        size = size or _first(body, DISK_KEYS[3:], DECIMAL)
        if size and size < GB_AT_MOST:
            return int(size * 10**9)
        if size:
            return int(size) if size <= LARGEST_DRIVE else None
    return None


def module_mib(module: Body) -> int | None:
    """Of one memory module. Those are binary, whatever the unit is called."""
    size = _first(module, MODULE_KEYS, BINARY)
    if size is None:
        return None
    if size < SMALLEST_MODULE and size * KIB <= LARGEST_MODULE:
        size *= KIB
    return int((_shrunk(size, LARGEST_MODULE) or 0) // MIB) or None


def total_gib(told: Any, modules_mib: int) -> float | None:
    """A total that its key says is in GiB; `modules_mib` of all modules, 0 if none are told."""
    size = _size(told, GIB, BINARY)
    if size is None:
        return None
    if modules_mib:
        of_modules = modules_mib * MIB
        near = of_modules / FAR_OFF < size < of_modules * FAR_OFF
        return size / GIB if near else round(of_modules / GIB, 2)
    shrunk = _shrunk(size, LARGEST_TOTAL)
    return shrunk / GIB if shrunk else None


def watts(told: Any) -> int | None:
    """ "750 W" too."""
    text = re.sub(r"\s*w(?:atts?)?\s*$", "", told, flags=re.I) if isinstance(told, str) else told
    found = number(text)
    return int(found) if found is not None and found >= 1 else None


def _first(body: Body, keys: Iterable[tuple[str, int]], units: dict[str, int]) -> float | None:
    sizes = (_size(body.get(key), unit, units) for key, unit in keys)
    return next((size for size in sizes if size), None)


def _blocks(body: Body) -> float | None:
    blocks, each = number(body.get("CapacityLogicalBlocks")), number(body.get("BlockSizeBytes"))
    return blocks * each if blocks and each and blocks > 0 and each > 0 else None


def _size(told: Any, unit: int, units: dict[str, int]) -> float | None:
    """Bytes of a number in `unit`, or of a text that names its own."""
    if isinstance(told, str) and (found := WITH_UNIT.fullmatch(told)):
        size = float(found[1]) * units[(found[3] or "").lower()]
    else:
        size = (number(told) or 0) * unit
    return size if size > 0 else None


def _shrunk(size: float, most: int) -> float | None:
    """What is too much was told in a smaller unit than its key says, in bytes at the smallest;
    None for what is too much even so."""
    sizes = (size / KIB**smaller for smaller in range(UNITS_BELOW_GIB + 1))
    return next((shrunk for shrunk in sizes if shrunk <= most), None)
