"""Marks of a server's disks: each by what it says and did, and all beside their brothers. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from metal.burnin.missing import because, missing_of_disk
from metal.burnin.smart import DiskHealth, read_smart
from metal.model.burnin import DiskTest, Grade, Mark

SLOW, DEAD_SLOW = 0.7, 0.3
"""Of the median of its brothers' throughput: below the first a disk is worn, below the second ill.
Outer and inner tracks differ by half, but all are read at the same places."""
STUCK = 5.0
"""MiB/s: no disk that is well reads as slowly at any place of it."""
OLD_HOURS = 5 * 8760
HOT = {True: 60.0, False: 75.0}
"""°C by "does it rotate"; makers allow 60 for disks and 70 to 80 for SSDs."""
WORN, WORN_OUT = 80.0, 100.0
MANY = 50
"""Reallocated sectors after which studies of large fleets see most disks fail within months."""


def disk_marks(disks: Sequence[DiskTest], slots: Mapping[str, str]) -> Iterator[Mark]:
    """`slots`: serial number → where a person finds it, as the BMC tells."""
    for disk in disks:
        part = place(disk, slots)
        health = read_smart(disk.smart)
        found = (*_said(disk, health), *_did(disk), *missing_of_disk(disk), *_beside(disk, disks))
        for grade, what in found:
            yield Mark(grade=grade, part=part, what=what)


def place(disk: DiskTest, slots: Mapping[str, str]) -> str:
    """How a person finds it: "disk Bay 3, serial S3Z1NX0K (sda)"."""
    serial = (disk.serial or "").strip()
    slot = f" {slots[serial]}," if serial in slots else ""
    return f"disk{slot} serial {serial or 'unknown'} ({disk.name})"


def _said(disk: DiskTest, health: DiskHealth) -> Iterator[tuple[Grade, str]]:
    """By SMART."""
    if not health.told:
        yield "unknown", "tells no SMART" + because(disk.smart_why)
    if health.passed is False:
        yield "D", "says itself that it fails"
    for name in health.failing:
        yield "D", f"below its maker's threshold: {name}"
    if health.pending:
        yield "D", f"{health.pending} sectors cannot be read"
    if health.uncorrectable:
        grade: Grade = "D" if health.uncorrectable > 2 else "C"
        yield grade, f"{health.uncorrectable} uncorrectable errors"
    if health.reallocated:
        grade = "D" if health.reallocated > MANY else "C" if health.reallocated > 4 else "B"
        yield grade, f"{health.reallocated} sectors reallocated"
    if health.spare_low:
        yield "D", "its spare blocks are used up"
    yield from _worn(disk, health)


def _worn(disk: DiskTest, health: DiskHealth) -> Iterator[tuple[Grade, str]]:
    if health.wear_percent is not None and health.wear_percent >= 50:
        worn: Grade = "B"
        if health.wear_percent >= WORN:
            worn = "D" if health.wear_percent >= WORN_OUT else "C"
        yield worn, f"{health.wear_percent:g} % of its rated writes are used up"
    if health.hours is not None and health.hours > OLD_HOURS:
        yield "B", f"ran for {health.hours / 8760:.1f} years"
    if health.celsius is not None and health.celsius > HOT[bool(disk.rotational)]:
        yield "C", f"{health.celsius:g} °C"


def _did(disk: DiskTest) -> Iterator[tuple[Grade, str]]:
    """By what it was made to do."""
    yield from _tested_itself(disk)
    if disk.read_errors:
        yield "D", f"{disk.read_errors} reads failed" + because(disk.read_why)
    elif 0 < (disk.read_mib_s or 0) < STUCK:
        yield "D", f"reads {disk.read_mib_s:g} MiB/s"
    if disk.write_errors:
        yield "D", f"{disk.write_errors} writes failed" + because(disk.write_why)
    if disk.mismatches:
        yield "D", f"{disk.mismatches} blocks came back other than they were written"


def _tested_itself(disk: DiskTest) -> Iterator[tuple[Grade, str]]:
    """One that takes no self-test is judged by the last that its log holds."""
    logged = read_smart(disk.smart).self_test
    if disk.self_test == "failed" or (disk.self_test != "passed" and logged == "failed"):
        yield "D", "failed its self-test"
    elif disk.self_test is None and disk.smart and not disk.self_test_why:
        yield "unknown", "nobody told of a self-test"
    elif disk.self_test is None and logged is None:
        yield "B", "made no self-test" + because(disk.self_test_why)


def _beside(disk: DiskTest, disks: Sequence[DiskTest]) -> Iterator[tuple[Grade, str]]:
    """A disk that is slower than those of its kind. One without brothers is beside none."""
    for verb, own, others in (
        ("reads", disk.read_mib_s, [o.read_mib_s for o in _brothers(disk, disks)]),
        ("writes", disk.write_mib_s, [o.write_mib_s for o in _brothers(disk, disks)]),
    ):
        known = [speed for speed in others if speed is not None]
        if own is None or not known:
            continue
        usual = median(known)
        if own < SLOW * usual:
            grade: Grade = "D" if own < DEAD_SLOW * usual else "C"
            yield grade, f"{verb} {own:.0f} MiB/s where its brothers do {usual:.0f}"


def _brothers(disk: DiskTest, disks: Sequence[DiskTest]) -> list[DiskTest]:
    """Disks of the same kind: rotating or not, the same transport, sizes within a tenth."""
    size = disk.size_bytes or 0
    return [
        other
        for other in disks
        if other is not disk
        and (other.rotational, other.transport) == (disk.rotational, disk.transport)
        and abs((other.size_bytes or 0) - size) <= size / 10
    ]
