"""Marks of all parts but the disks: memory, processors, network, fans, heat, the logs. Pure."""

from collections.abc import Iterator

from metal.model.burnin import CpuTest, Evidence, Grade, KernelLog, Mark, MemoryTest

NEAR = 5.0
"""°C below the critical temperature."""
FEW_CORRECTED = 10
"""Corrected memory errors in one burn-in: more in so short a time is a DIMM that goes."""


def part_marks(evidence: Evidence) -> Iterator[Mark]:
    if evidence.died_in:
        yield Mark(grade="F", part="machine", what=f"fell silent during {evidence.died_in}")
    yield from _memory(evidence.memory, evidence.kernel)
    yield from _cpu(evidence.cpu)
    yield from _kernel(evidence.kernel)
    yield from _heat(evidence)
    yield from _network(evidence)
    yield from _bmc(evidence)


def _memory(test: MemoryTest | None, kernel: KernelLog | None) -> Iterator[Mark]:
    named = [e for e in (kernel.edac or ()) if e.corrected or e.uncorrected] if kernel else []
    if test and test.errors:
        # With a DIMM named it is a part to replace; without, nobody knows which.
        grade: Grade = "D" if any(e.uncorrected for e in named) else "E"
        yield Mark(grade=grade, part="memory", what=f"{test.errors} errors under {test.tool}")
    for dimm in named:
        many = dimm.uncorrected or dimm.corrected > FEW_CORRECTED
        what = f"{dimm.uncorrected} uncorrected and {dimm.corrected} corrected errors"
        yield Mark(grade="D" if many else "C", part=f"DIMM {dimm.dimm}", what=what)


def _cpu(test: CpuTest | None) -> Iterator[Mark]:
    if test is None:
        return
    if test.failures:
        yield Mark(grade="F", part="processor", what=f"{test.failures} results were wrong")
    if test.throttled:
        what = f"slowed down for its heat {test.throttled} times"
        yield Mark(grade="C", part="cooling", what=what)
    if test.hottest is not None and test.critical is not None:
        yield from _near("processor", test.hottest, test.critical)


def _near(name: str, celsius: float, critical: float) -> Iterator[Mark]:
    if critical > 0 and celsius > critical - NEAR:
        what = f"{name}: {celsius:g} °C, critical at {critical:g}"
        yield Mark(grade="C", part="cooling", what=what)


def _kernel(log: KernelLog | None) -> Iterator[Mark]:
    if log is None:
        return
    for line in log.machine_checks[:3]:
        yield Mark(grade="F", part="machine", what=f"hardware error: {line}")
    for line in log.io_errors[:5]:
        yield Mark(grade="D", part="disk named in the log", what=line)
    if log.corrected:
        what = f"{len(log.corrected)} corrected hardware errors: {log.corrected[0]}"
        yield Mark(grade="B", part="machine", what=what)


def _heat(evidence: Evidence) -> Iterator[Mark]:
    for one in evidence.temperatures or ():
        if one.critical is not None:
            yield from _near(one.name, one.celsius, one.critical)
    turning = [fan for fan in evidence.fans or () if fan.rpm > 0]
    for fan in evidence.fans or ():
        # Boards list headers that no fan is on: where none turns, the BMC's word must do.
        if fan.rpm == 0 and turning:
            yield Mark(grade="C", part=f"fan {fan.name}", what="stands still, or is not there")


def _network(evidence: Evidence) -> Iterator[Mark]:
    linked = [nic for nic in evidence.nics or () if nic.link]
    for nic in evidence.nics or ():
        part = f"network card {nic.name} ({nic.mac})"
        if nic.errors:
            yield Mark(grade="C", part=part, what=f"{nic.errors} errors were counted")
        if nic.link and nic.mbit and nic.best_mbit and nic.mbit < nic.best_mbit:
            what = f"{nic.mbit} Mbit/s where the card does {nic.best_mbit}"
            yield Mark(grade="B", part=part, what=what)
    rate = evidence.network_mib_s
    fastest = max((nic.mbit or 0 for nic in linked), default=0)
    if rate is not None and fastest and rate * 8.4 < fastest * 0.05:
        what = f"{rate:.1f} MiB/s from the controller over {fastest} Mbit/s"
        yield Mark(grade="B", part="network", what=what)


def _bmc(evidence: Evidence) -> Iterator[Mark]:
    said = evidence.bmc
    if said is None:
        return
    for reason in said.reasons:
        part, colon, what = reason.partition(": ")
        grade: Grade = "D" if said.health == "critical" else "C"
        yield Mark(grade=grade, part=part if colon else "machine", what=what if colon else reason)
    if said.health == "unknown":
        yield Mark(grade="unknown", part="bmc", what="the BMC does not tell the machine's health")
    if said.health in ("warning", "critical") and not said.reasons:
        grade = "D" if said.health == "critical" else "C"
        yield Mark(grade=grade, part="machine", what=f"its BMC says {said.health}, and not why")
    for line in (said.log or ())[:5]:
        yield Mark(grade="B", part="BMC's log", what=line)
