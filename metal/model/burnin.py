"""What a burn-in found (evidence) and what it means (appraisal). Pure data.

Evidence is what the machine and its BMC said; None means that nobody could tell, with the reason
in a `why` or in `Evidence.unknown`. It is kept as it came, so that a later grading can be fairer.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from metal.model.base import Frozen
from metal.model.facts import Health

Count = Annotated[int, Field(ge=0)]


class Told(BaseModel):
    """Said by the live system, which may be newer than we are: what we do not know is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class MemoryTest(Told):
    tool: str
    seconds: float
    mib: Count
    """How much of the memory was tested."""
    total_mib: Count | None = None
    errors: Count
    said: tuple[str, ...] = ()


class CpuTest(Told):
    seconds: float
    failures: Count
    """Wrong results: computed again they came out otherwise."""
    throttled: int | None = None
    """How often a core was slowed down for its heat."""
    hottest: float | None = None
    """°C."""
    critical: float | None = None
    """°C at which it would switch itself off."""
    said: tuple[str, ...] = ()


class DiskTest(Told):
    name: str
    """The kernel's, such as sda; behind a RAID controller "sda megaraid,3"."""
    serial: str | None = None
    model: str | None = None
    size_bytes: int | None = None
    rotational: bool | None = None
    transport: str | None = None
    blank: bool | None = None
    """No partition table, no file system and nothing but zeros where they would be."""
    smart: dict[str, Any] | None = None
    """What `smartctl -j -x` printed."""
    smart_why: str = ""
    self_test: Literal["passed", "failed", "unfinished"] | None = None
    """None: it made none. unfinished: it began, and no end of it was seen."""
    self_test_why: str = ""
    read_mib_s: float | None = None
    read_errors: Count | None = None
    read_why: str = ""
    written_mib: Count | None = None
    """None: it was not to be written. 0: it was, and nothing came of it."""
    write_mib_s: float | None = None
    write_errors: Count | None = None
    """Writes, and flushes of its cache, that failed."""
    mismatches: Count | None = None
    """Blocks that came back other than they were written."""
    write_why: str = ""


class NicTest(Told):
    name: str
    mac: str
    driver: str | None = None
    link: bool | None = None
    mbit: int | None = None
    best_mbit: int | None = None
    """The fastest that both ends can do."""
    errors: Count | None = None
    """Counted during the burn-in."""


class Temperature(Told):
    name: str
    celsius: float
    critical: float | None = None


class Fan(Told):
    name: str
    rpm: int


class Edac(Told):
    dimm: str
    corrected: Count
    uncorrected: Count


class KernelLog(Told):
    machine_checks: tuple[str, ...]
    """Lines of uncorrected hardware errors."""
    corrected: tuple[str, ...]
    io_errors: tuple[str, ...]
    edac: tuple[Edac, ...] | None = None
    """None: the kernel has no driver for this memory controller."""


class BmcSaid(Told):
    """What the BMC told, asked from the controller's side."""

    health: Health
    reasons: tuple[str, ...] = ()
    log: tuple[str, ...] | None = None
    """Entries that are worse than ok, written during the burn-in."""
    watts: float | None = None
    """Drawn under load."""
    cooling: bool = False
    """Whether it looked at a temperature or a fan."""


class Evidence(Told):
    minutes: float
    memory: MemoryTest | None = None
    cpu: CpuTest | None = None
    disks: tuple[DiskTest, ...] | None = None
    nics: tuple[NicTest, ...] | None = None
    network_mib_s: float | None = None
    """Of a download from the controller, through the card it booted from."""
    temperatures: tuple[Temperature, ...] | None = None
    fans: tuple[Fan, ...] | None = None
    kernel: KernelLog | None = None
    bmc: BmcSaid | None = None
    died_in: str | None = None
    """The phase in which it fell silent."""
    unheard: str | None = None
    """How long nobody may have listened, if nothing was heard of it afterwards."""
    unknown: dict[str, str] = {}
    """Part → why there is no evidence of it."""


Grade = Literal["A", "B", "C", "unknown", "D", "E", "F"]
"""A as new, B used, C worn but sound; D a part must be replaced, E several; F do not use it.
unknown: nothing bad was found, but not everything could be looked at. In the order of worth."""
Verdict = Literal["accept", "repair", "refuse", "unknown"]


class Mark(Frozen):
    """One reason for a grade."""

    grade: Grade
    part: str
    """What a person would take out: "disk Bay 3, serial S3Z1", "DIMM A2", "PSU 2", "memory"."""
    what: str


class Appraisal(Frozen):
    grade: Grade
    verdict: Verdict
    marks: tuple[Mark, ...] = ()
    """Worst first; empty for an A."""
    repair: tuple[str, ...] = ()
    """The parts to replace."""
    watts: float | None = None
    usable_gib: float | None = None
    """Memory that VMs can use, the host's share taken off."""
    watts_per_gib: float | None = None
    fits: str | None = None
    """The cluster it would fit; None with the reason in `fits_why`."""
    fits_why: str = ""


class BurnIn(Frozen):
    """What the store keeps of the last burn-in of a server: records "burnin"."""

    at: str
    """When it ended, ISO 8601 UTC."""
    evidence: Evidence
    appraisal: Appraisal
