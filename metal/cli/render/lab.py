"""What really is in a lab, as lines."""

from typing import TYPE_CHECKING

from metal.cli.render.hang import hanging
from metal.tui.grid import Column, fit

if TYPE_CHECKING:
    from metal.lab.control import LabStatus
    from metal.lab.machines.lab import MachinesStatus
    from metal.lab.namespaces.workspace import TrioStatus

COLUMNS = (
    Column("SERVER"),
    Column("POWER"),
    Column("HEALTH"),
    Column("SYSTEM", rank=1, grows=True, least=8),
    Column("WIPES", rank=2, right=True),
    Column("VMS", right=True),
)


def lab_lines(status: "LabStatus", width: int = 80) -> list[str]:
    """One line a server, then the VMs in one."""
    vms = status.truth.get("vms", [])
    rows = []
    for name, server in status.truth["servers"].items():
        disks = server["disks"].values()
        system = next((d["system"] for d in disks if d["system"]), "-")
        wipes = str(sum(d["wipes"] for d in disks))
        running = str(sum(name in vm["copies"] for vm in vms))
        rows.append((name, server["power"], server["health"], system, wipes, running))
    grid = fit(COLUMNS, rows, width)
    twice = [vm["name"] for vm in vms if vm["max_copies"] > 1]
    return [
        f"lab {status.lab} in {status.folder}, its clock runs {status.speed:g} times as fast",
        grid.header,
        *map(grid.line, rows),
        "",
        f"{sum(bool(vm['copies']) for vm in vms)} of {len(vms)} VMs run"
        + (f"; RAN TWICE: {', '.join(twice)}" if twice else ""),
    ]


MACHINE_COLUMNS = (
    Column("SERVER"),
    Column("FIRMWARE"),
    Column("ADDRESS"),
    Column("BMC", rank=1),
    Column("POWER", grows=True, least=8),
)


def machine_lines(status: "MachinesStatus", width: int = 80) -> list[str]:
    """One line a machine, and where what they print is."""
    rows = [(n, m.firmware, m.address, m.bmc, m.power) for n, m in status.machines.items()]
    grid = fit(MACHINE_COLUMNS, rows, width)
    consoles = f"consoles: {status.folder}/lab/SERVER/console.log"
    return [f"machines in {status.folder}", grid.header, *map(grid.line, rows), consoles]


TRIO_COLUMNS = (
    Column("SERVER"),
    Column("POWER"),
    Column("ADDRESS"),
    Column("BMC", rank=1),
    Column("VMS", grows=True, least=8),
)


def trio_lines(status: "TrioStatus", width: int = 80) -> list[str]:
    """One line a server, and what its VMs run with."""
    rows = [
        (name, told["power"], told["address"], told["bmc"], ", ".join(told["vms"]) or "-")
        for name, told in status.servers.items()
    ]
    grid = fit(TRIO_COLUMNS, rows, width)
    ran = [vm for told in status.servers.values() for vm in told["vms"]]
    twice = sorted({vm for vm in ran if ran.count(vm) > 1})
    return [
        f"trio in {status.folder}",
        *hanging("guests run with ", status.accelerator, width, under=2),
        *([f"Ceph says {status.ceph}"] if status.ceph else []),
        grid.header,
        *map(grid.line, rows),
        *([f"RUNS TWICE: {', '.join(twice)}"] if twice else []),
    ]
