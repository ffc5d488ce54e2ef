"""What burnt as people read it: what comes back where and from when, and what is missing."""

from collections.abc import Mapping
from datetime import UTC, datetime

from metal.cli.render.hang import hanging
from metal.model.plan import count
from metal.schedule.rebuild import Rebuilt
from metal.tui.grid import Column, fit

COLUMNS = (
    Column("VM"),
    Column("TO"),
    Column("AS IT WAS"),
    Column("ON", rank=1),
    Column("BACKUP", rank=2, grows=True),
)


def rebuild_lines(
    found: Rebuilt, silent: Mapping[str, str], keys: Mapping[str, bool], width: int = 80
) -> list[str]:
    number = count(len(found.lost.vms), "VM")
    head = f"{found.name} is gone: {number} were there, {len(found.homes)} can be brought back"
    lines = hanging("", head, width)
    if found.homes:
        rows = [
            (vm, f"{cluster}/{server}", _when(backup.made), backup.storage, backup.name)
            for vm, (cluster, server, backup) in found.homes.items()
        ]
        grid = fit(COLUMNS, rows, width)
        lines += ["", grid.header, *map(grid.line, rows), ""]
    if untried := [vm for vm, (_, _, backup) in found.homes.items() if not backup.verified]:
        text = f"{', '.join(untried)}: nobody has read the backup through; PBS's verify jobs do"
        lines += hanging("- not verified: ", text, width, under=4)
    for vm, why in found.lacks.items():
        lines += hanging(f"- MISSING {vm}: ", why, width, under=4)
    for vm in found.lost.untold:
        text = "a cluster that does not answer may have it: nothing is done"
        lines += hanging(f"- UNKNOWN {vm}: ", text, width, under=4)
    for storage, why in silent.items():
        lines += hanging("- ", f"the backups on {storage} are not known: {why}", width, under=4)
    if without := [server for server, escrowed in keys.items() if not escrowed]:
        text = f"no key is escrowed for the disks of {', '.join(without)}"
        lines += hanging("- ", text, width, under=4)
    if kept := [server for server, escrowed in keys.items() if escrowed]:
        text = (
            f"disks of {', '.join(kept)} that were carried out open with their escrowed keys: "
            "`metal keys recover`"
        )
        lines += hanging("- ", text, width, under=4)
    return lines


def _when(made: float) -> str:
    return f"{datetime.fromtimestamp(made, UTC):%Y-%m-%d %H:%M}"
