"""Power states and errands as lines."""

from typing import TYPE_CHECKING

from metal.cli.render.hang import hanging
from metal.tui.grid import Column, fit, safe

if TYPE_CHECKING:
    from metal.controller.errands import Errand
    from metal.controller.remote import Switched

COLUMNS = (
    Column("SERVER"),
    Column("POWER"),
    Column("READ BY", rank=1),
    Column("WHY", grows=True, least=10),
)


def power_lines(servers: "list[Switched]", width: int = 80) -> list[str]:
    """One line a server."""
    rows = [
        (s.server, s.power, safe(s.by), safe(s.error.splitlines()[0]) if s.error else "")
        for s in servers
    ]
    grid = fit(COLUMNS, rows, width)
    return [grid.header, *map(grid.line, rows)]


def errand_lines(errands: "list[Errand]", width: int = 80) -> list[str]:
    """What to press, why, and what to say then."""
    if not errands:
        return ["nobody is asked to do anything"]
    lines: list[str] = []
    for errand in errands:
        lines += hanging("* ", errand.what, width)
        lines += hanging("  because ", errand.why, width, under=2)
        lines += hanging("  then ", f"`metal power confirm {errand.server} {errand.wanted}`", width)
    return lines
