"""A burn-in: memory, processors, disks, network, heat; what was found is told part by part."""

from typing import Any

from . import cpu, disks, machine, memory, sensors
from .smart import SelfTest
from .talk import Talk

MEMORY, CPU, DISKS = 0.4, 0.25, 0.35
"""Shares of the time."""
DOWNLOAD_SECONDS = 20.0


def perform(job: dict[str, Any], talk: Talk, told: dict[str, str]) -> None:
    """`job`: {"minutes", "overwrite": serials of disks that may be written when they are blank}."""
    seconds = 60.0 * job["minutes"]
    talk.progress("inventory", 0.02, "looking what is there")
    talk.evidence("hardware", machine.hardware())
    errors = machine.nic_errors()
    mine = disks.found()
    for disk in mine:
        path = disk.path if disk.path and "," not in disk.kind else None
        source = path or f"/dev/{disk.name.split()[0]}"
        disk.self_test = SelfTest(source, disk.kind) if disk.told["smart"] else None
    talk.progress("memory", 0.05, f"{memory.kib('MemAvailable') // 1024} MiB")
    talk.evidence("memory", memory.test(seconds * MEMORY))
    talk.progress("cpu", 0.05 + 0.9 * MEMORY, "computing everything twice")
    talk.evidence("cpu", cpu.test(seconds * CPU))
    talk.evidence("sensors", {"fans": sensors.fans(), "temperatures": sensors.temperatures()})
    talk.progress("disks", 0.05 + 0.9 * (MEMORY + CPU), f"{len(mine)} disks")
    _disks(talk, mine, job, seconds * DISKS)
    talk.progress("network", 0.96, "downloading from the controller")
    rate = talk.download_mib_s(f"/live/{told['live']}/initrd", DOWNLOAD_SECONDS)
    talk.evidence("nics", {"nics": machine.nics(errors), "network_mib_s": rate})
    talk.evidence("kernel", machine.log())


def _disks(talk: Talk, mine: list[disks.Disk], job: dict[str, Any], seconds: float) -> None:
    def tell(text: str) -> None:
        talk.progress("disks", 0.9, text)

    disks.examine(mine, job.get("overwrite", []), seconds, tell)
    talk.evidence("disks", {"count": len(mine)})
    for number, disk in enumerate(mine):
        talk.evidence(f"disk-{number:03d}", disk.told)
