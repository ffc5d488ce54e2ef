"""A rehearsed death as people read it."""

from typing import TYPE_CHECKING

from metal.cli.render.hang import hanging
from metal.tui.grid import Column, fit

if TYPE_CHECKING:
    from metal.lab.rehearsal import Rehearsed

COLUMNS = (Column("VM"), Column("RUNS ON"), Column("AFTER", right=True))


def drill_lines(found: "Rehearsed", width: int = 80) -> list[str]:
    """When it was noticed and proven, then a line a VM."""
    rows = [(vm, at, f"{after:.0f} s") for vm, (at, after) in found.vms.items()]
    rows += [(vm, "nowhere", "-") for vm in found.down]
    grid = fit(COLUMNS, rows, width)
    said = f"noticed after {_seconds(found.noticed)}, proven off after {_seconds(found.proven)}"
    return [
        *hanging(f"{found.server} of {found.cluster} loses its power: ", said, width, under=2),
        *([grid.header, *map(grid.line, rows)] if rows else ["It runs nothing."]),
    ]


def _seconds(value: float | None) -> str:
    return "no time" if value is None else f"{value:.0f} s"
