"""What a simulated machine's tests find: all well, but for the faults that somebody made.

The shapes are those of smartctl 7.4 and of metal/live/agent.
"""

from typing import Any

from metal.lab.machine import Machine
from metal.model.facts import Drive

SPEED = {"nvme": 2900.0, "ssd": 480.0, "hdd": 170.0}
"""MiB/s."""


def memory(machine: Machine, seconds: float) -> dict[str, Any]:
    total = int(machine.hardware.memory_gib * 1024)
    return {
        "tool": "stressapptest",
        "seconds": seconds * 0.4,
        "mib": int(total * 0.94),
        "total_mib": total,
        "errors": 0,
    }


def cpu(seconds: float) -> dict[str, Any]:
    return {
        "seconds": seconds * 0.25,
        "failures": 0,
        "throttled": 0,
        "hottest": 68.0,
        "critical": 100.0,
        "temperatures": [{"name": "coretemp Package id 0", "celsius": 68.0, "critical": 100.0}],
    }


def sensors() -> dict[str, Any]:
    fans = [{"name": f"fan{i}", "rpm": 5400 + 10 * i} for i in range(1, 7)]
    return {"fans": fans, "temperatures": []}


def nics(machine: Machine) -> dict[str, Any]:
    cards = [
        {
            "name": f"eno{number}",
            "mac": nic.mac,
            "driver": "ixgbe",
            "link": number == 1,
            "mbit": 1000 if number == 1 else None,
            "best_mbit": 1000 if number == 1 else None,
            "errors": 0,
        }
        for number, nic in enumerate(machine.hardware.nics, 1)
    ]
    return {"nics": cards, "network_mib_s": 111.0}


def kernel(machine: Machine) -> dict[str, Any]:
    """With the fault "dimm", its second DIMM corrects errors all the time."""
    slots = [dimm.slot.removeprefix("DIMM ") for dimm in machine.hardware.dimms]
    bad = slots[1 % len(slots)] if slots and "dimm" in machine.faults else None
    return {
        "machine_checks": [],
        "corrected": [],
        "io_errors": [],
        "edac": [
            {"dimm": slot, "corrected": 3112 if slot == bad else 0, "uncorrected": 0}
            for slot in slots
        ],
    }


def disk(machine: Machine, drive: Drive, overwrite: list[str]) -> dict[str, Any]:
    """The faults "disk-smart" and "disk-slow" are its last disk's."""
    last = drive == machine.hardware.drives[-1]
    ill = last and "disk-smart" in machine.faults
    slow = last and "disk-slow" in machine.faults
    blank = machine.disks[drive.name].blank
    speed = SPEED[drive.media or "hdd"] * (0.2 if slow else 1.0)
    written = drive.serial in overwrite and blank
    return {
        "name": drive.name,
        "serial": drive.serial,
        "model": drive.model,
        "size_bytes": drive.size_bytes,
        "rotational": drive.media == "hdd",
        "transport": "nvme" if drive.media == "nvme" else "sata",
        "blank": blank,
        "smart": _smart(drive, ill=ill),
        "self_test": "failed" if ill else "passed",
        "read_mib_s": speed,
        "read_errors": 0,
        "written_mib": 4096 if written else None,
        "write_mib_s": speed * 0.9 if written else None,
        "write_errors": 0 if written else None,
        "mismatches": 0 if written else None,
        "write_why": "" if written else "it may not be overwritten",
    }


def _smart(drive: Drive, *, ill: bool) -> dict[str, Any]:
    pending = {"id": 197, "name": "Current_Pending_Sector", "raw": {"value": 24 if ill else 0}}
    return {
        "device": {"name": f"/dev/{drive.name}", "type": "sat", "protocol": "ATA"},
        "model_name": drive.model,
        "serial_number": drive.serial,
        "rotation_rate": 7200 if drive.media == "hdd" else 0,
        "smart_status": {"passed": True},
        "ata_smart_attributes": {"table": [pending]},
        "power_on_time": {"hours": 17520},
        "temperature": {"current": 33},
    }
