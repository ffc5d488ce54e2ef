"""A rehearsed death as people read it."""

from typing import TYPE_CHECKING

from metal.cli.render.hang import hanging
from metal.model.plan import count
from metal.tui.grid import Column, fit

if TYPE_CHECKING:
    from metal.lab.rehearsal import Drill, Rehearsed

COLUMNS = (Column("VM"), Column("RUNS ON"), Column("AFTER", right=True), Column("BY"))

UNTOLD = "Nobody told which VMs HA manages: played as if it did all."


def drill_lines(found: "Rehearsed", width: int = 80) -> list[str]:
    """When it was noticed and proven, then a line a VM."""
    rows = [
        (vm, at, f"{after:.0f} s", "metal" if vm in found.by_metal else "HA")
        for vm, (at, after) in found.vms.items()
    ]
    rows += [(vm, "nowhere", "-", "-") for vm in found.down]
    grid = fit(COLUMNS, rows, width)
    said = f"noticed after {_seconds(found.noticed)}, proven off after {_seconds(found.proven)}"
    if not found.cluster:
        seen = f"noticed after {_seconds(found.noticed)}"
        said = f"{seen}, judged {found.verdict or 'nothing'}; {_of_a_site(found)}"
    what = f"{found.server} of {found.cluster}" if found.cluster else f"the site {found.server}"
    return [
        *hanging(f"{what} loses its power: ", said, width, under=2),
        *([grid.header, *map(grid.line, rows)] if rows else ["It runs nothing."]),
        *(hanging("", UNTOLD, width) if found.untold and found.vms else []),
    ]


def _of_a_site(found: "Rehearsed") -> str:
    if found.proven is not None or not found.down:
        return f"proven off after {_seconds(found.proven)}"
    return (
        f"metal acts on nothing and calls you. `metal whatif --fail {found.server}` tells where "
        f"its VMs fit, `metal rebuild {found.server}` brings them back"
    )


def drills_lines(found: "Drill", width: int = 80) -> list[str]:
    """Every server's, and what they come to together."""
    lines: list[str] = []
    for one in found.servers:
        lines += [*drill_lines(one, width), ""]
    for server, why in found.skipped.items():
        lines += hanging(f"{server} is not rehearsed: ", why, width, under=2)
    back = [after for one in found.servers for _, after in one.vms.values()]
    down = sorted({vm for one in found.servers for vm in one.down})
    longest = f", the last after {max(back):.0f} s" if back else ""
    said = f"{count(len(found.servers), 'death')}: {count(len(back), 'VM')} came back{longest}"
    if down:
        said += f"; what would not: {', '.join(down)}"
    return [*lines, *hanging("", f"{said}.", width)]


def _seconds(value: float | None) -> str:
    return "no time" if value is None else f"{value:.0f} s"
