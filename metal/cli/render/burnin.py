"""Burn-ins and wipes as lines."""

from typing import TYPE_CHECKING

from metal.cli.render.hang import hanging
from metal.model.burnin import Appraisal, BurnIn

if TYPE_CHECKING:
    from metal.controller.condemned import Condemned
    from metal.controller.live_work import Worked

SHOWN = 8
"""Marks of one server; all of them are in `metal -o json server show`."""


def worked_lines(results: "list[Worked]", width: int = 80) -> list[str]:
    """What became of each server, worst marks first."""
    lines: list[str] = []
    for result in results:
        if result.burnin:
            said = burnin_items(result.burnin)
            lines += hanging(f"{result.server}: ", said[0], width, under=2)
            lines += [x for item in said[1:] for x in hanging("  ", item, width, under=4)]
        elif result.records:
            lines.append(f"{result.server}: signed records of {len(result.records)}")
            lines += [f"  {file}" for file in result.records]
        else:
            lines.append(f"{result.server}: not done")
    return lines


def condemned_lines(disks: "list[Condemned]", width: int = 80) -> list[str]:
    """One disk a line: whose, which, how large, what, and whether it was erased already."""
    serials = max((len(disk.serial) for disk in disks), default=0)
    servers = max((len(disk.server) for disk in disks), default=0)
    return [
        line
        for disk in disks
        for line in hanging(
            f"  {disk.server:<{servers}}  {disk.serial:<{serials}}  ", _condemned(disk), width
        )
    ]


def _condemned(disk: "Condemned") -> str:
    size = f"{disk.size_bytes / 10**9:,.0f} GB" if disk.size_bytes else "its size is not known"
    again = f"; recorded as erased on {disk.erased}" if disk.erased else ""
    return " ".join(filter(None, (size, disk.model))) + again


def burnin_items(burnin: BurnIn) -> list[str]:
    """Grade and verdict, what it costs and where it fits, then the reasons."""
    appraisal, minutes = burnin.appraisal, burnin.evidence.minutes
    first = f"grade {appraisal.grade}: {appraisal.verdict}"
    if appraisal.repair:
        first += f" {', '.join(appraisal.repair)}"
    counted = f"{minutes:g} minute{'' if minutes == 1 else 's'}"
    marks = [f"{m.grade}  {m.part}: {m.what}" for m in appraisal.marks[:SHOWN]]
    more = len(appraisal.marks) - SHOWN
    return [
        first,
        f"tested for {counted}, until {burnin.at}",
        _watts(appraisal),
        f"fits {appraisal.fits or 'no cluster'}: {appraisal.fits_why}",
        *marks,
        *([f"and {more} more"] if more > 0 else []),
    ]


def _watts(appraisal: Appraisal) -> str:
    if appraisal.watts is None:
        return "draws an unknown power: its BMC tells no watts"
    said = f"draws {appraisal.watts:g} W under load"
    if appraisal.watts_per_gib is None:
        return said
    usable = f"{appraisal.usable_gib:g} GiB that VMs can use"
    return f"{said}, {appraisal.watts_per_gib:g} W for each of the {usable}"
