"""How large each part of a disk becomes: the arithmetic of the installer's partman. Pure.

What is left over beyond all minimums is shared in proportion to priority less minimum; a part at
its maximum leaves its share to the others. Numbers are whole MB (10^6 bytes), as partman's are.
"""

from typing import Any

MB, MIB = 10**6, 2**20
ENDS = 2 * MIB
"""Of the disk, for the partition table and its copy."""
TYPES = {
    "biosgrub": "21686148-6449-6E6F-744E-656564454649",
    "efi": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "format": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
}


ENVELOPE = {"minimum": 100, "priority": 1000, "maximum": -1}
"""What partman takes for the partition around the volume group."""


class TooSmall(Exception):
    """The disk, or the volume group, does not hold even the minimums."""


def sizes(parts: list[dict[str, Any]], free: int) -> list[int]:
    """MB of each part, of `free` MB."""
    least = sum(part["minimum"] for part in parts)
    if least > free:
        raise TooSmall(f"it has {free} MB, and at least {least} MB are needed")
    wishes = sum(part["priority"] - part["minimum"] for part in parts) or 100
    rows = [
        (p["minimum"], (p["priority"] - p["minimum"]) * 100 // wishes, p["maximum"]) for p in parts
    ]
    while True:
        grown = _grown(rows, free)
        if grown == rows:
            return [size for size, _, _ in rows]
        rows = grown


def _grown(rows: list[tuple[int, int, int]], free: int) -> list[tuple[int, int, int]]:
    left = max(0, free - sum(size for size, _, _ in rows))
    shares = sum(share for _, share, _ in rows)

    def one(size: int, share: int, most: int) -> tuple[int, int, int]:
        larger = size + (left * share // shares if shares else 0)
        return (most, 0, most) if -1 != most < larger else (larger, share, most)

    return [one(*row) for row in rows]


def partition_script(outside: list[dict[str, Any]], disk_bytes: int, needed: int) -> str:
    """sfdisk's input: the parts in clear, and last the encrypted one, which takes the rest.

    `needed`: MB that the volumes take at least. TooSmall when there is not even that.
    """
    free = (disk_bytes - ENDS) // MB
    *clear, encrypted = sizes([*outside, ENVELOPE], free)
    if encrypted < needed:
        raise TooSmall(f"it has {free} MB, and {needed - encrypted} MB more are needed")
    lines = ["label: gpt"]
    for part, megabytes in zip(outside, clear, strict=True):
        mib = max(1, round(megabytes * MB / MIB))
        lines.append(f"size={mib}MiB, type={TYPES[part['method']]}")
    return "\n".join([*lines, f"type={TYPES['format']}", ""])
