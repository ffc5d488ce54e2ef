"""Marks of what nobody looked at. Pure.

Silence is no evidence that something is well: each piece that a burn-in should bring, and did not,
makes the server unknown. What many servers cannot tell (watts, errors of each DIMM) is not asked.
"""

from collections.abc import Iterator

from metal.model.burnin import DiskTest, Evidence, Grade, Mark

PARTS = ("memory", "cpu", "disks", "nics", "kernel", "bmc")
TESTED_SHARE = 0.5
"""Of the memory: less was tested than that, and the test says little."""
LEAST_TIME = 0.1
"""Of the burn-in's minutes; the live system gives memory 0.4 of them and processors 0.25."""


def missing_marks(evidence: Evidence) -> Iterator[Mark]:
    """What nobody looked at is unknown, and so is a server of which that is true."""
    if evidence.unheard:
        yield Mark(grade="unknown", part="machine", what=f"{evidence.unheard}; run it again")
    silent = [part for part in PARTS if getattr(evidence, part) is None]
    why = dict.fromkeys(silent, "no evidence came") | evidence.unknown
    for part, reason in why.items():
        yield Mark(grade="unknown", part=part, what=f"not examined: {reason}")
    for part, what in (
        *_tests(evidence),
        *_network(evidence),
        *_watched(evidence),
    ):
        yield Mark(grade="unknown", part=part, what=what)
    if evidence.disks == ():
        yield Mark(grade="unknown", part="disks", what="none was found")


def _tests(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Of memory and processors: those that ended before they began, or soon after."""
    memory, cpu = evidence.memory, evidence.cpu
    least = LEAST_TIME * 60.0 * evidence.minutes
    if memory and not (memory.seconds > 0 and memory.mib > 0):
        yield "memory", f"{memory.mib} MiB were tested for {memory.seconds:g} s"
    elif memory and not memory.total_mib:
        yield "memory", f"{memory.mib} MiB were tested, and nobody knows of how many"
    elif memory and memory.total_mib and memory.mib < TESTED_SHARE * memory.total_mib:
        yield "memory", f"only {memory.mib} of {memory.total_mib} MiB were tested"
    elif memory and memory.seconds < least:
        yield "memory", f"tested for {memory.seconds:g} s of {evidence.minutes:g} minutes"
    if cpu and not (cpu.seconds > 0 and cpu.seconds >= least):
        yield "cpu", f"tested for {cpu.seconds:g} s of {evidence.minutes:g} minutes"


def _network(evidence: Evidence) -> Iterator[tuple[str, str]]:
    if evidence.nics == ():
        yield "nics", "none was found"
    for nic in evidence.nics or ():
        if nic.errors is None:
            yield f"network card {nic.name} ({nic.mac})", "nobody counted its errors"
    if not (evidence.network_mib_s or 0) > 0:
        yield "network", "nothing could be downloaded from the controller"


def _watched(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """By the machine's BMC, and by its own sensors: one of them must see how it is cooled."""
    bmc, cpu = evidence.bmc, evidence.cpu
    if bmc and bmc.log is None:
        yield "BMC's log", "it could not be read before and after"
    hot = evidence.temperatures or (cpu and cpu.hottest is not None)
    if not (hot or evidence.fans or (bmc and bmc.cooling)):
        yield "cooling", "neither it nor its BMC tells a temperature or a fan"


def missing_of_disk(disk: DiskTest) -> Iterator[tuple[Grade, str]]:
    """What it was not made to do, though it should have been."""
    if disk.read_errors is None:
        yield "unknown", "was not read" + because(disk.read_why)
    elif not disk.read_errors and not (disk.read_mib_s or 0) > 0:
        yield "unknown", "nothing of it was read" + because(disk.read_why)
    if disk.self_test == "unfinished":
        yield "unknown", "did not end its self-test" + because(disk.self_test_why)
    if disk.written_mib is None and not disk.write_why:
        yield "unknown", "nobody told whether it was written"
    elif disk.written_mib is not None and not _written(disk):
        yield "unknown", "was to be written, and was not" + because(disk.write_why)


def _written(disk: DiskTest) -> bool:
    told = None not in (disk.write_errors, disk.mismatches)
    return told and bool(disk.written_mib) and (disk.write_mib_s or 0) > 0


def because(why: str) -> str:
    return f": {why}" if why else ""
