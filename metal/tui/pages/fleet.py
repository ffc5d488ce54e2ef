"""The fleet by site and rack, one line a server."""

from metal.tui.grid import GAP, Grid, cut, fit
from metal.tui.line import Line, Tone, line, tone_of
from metal.tui.rows import SERVER_COLUMNS, RackRows, ServerRow, racks
from metal.tui.source import Snapshot

PINNED = 1
"""The first line names the columns and never scrolls away."""
NOTE = len(SERVER_COLUMNS) - 1


def fleet_page(snapshot: Snapshot, width: int, wanted: str = "", height: int = 0) -> list[Line]:
    """`wanted`: show only servers of whose line or rack this is a part.

    Racks are parted by an empty line where `height` leaves room for it.
    """
    found = [rack for rack in (_kept(r, wanted) for r in _racks(snapshot)) if rack.servers]
    rows = [row.cells for rack in found for row in rack.servers]
    grid = fit(SERVER_COLUMNS, rows, width)
    lines = [line(grid.header, "faint")]
    airy = PINNED + len(rows) + 2 * len(found) <= height
    for rack in found:
        lines += [line()] if airy else []
        lines.append(line(cut(rack.heading, width), "title"))
        lines += [_server(grid, row) for row in rack.servers]
    return lines if found else [*lines, *_nothing(wanted)]


def _racks(snapshot: Snapshot) -> tuple[RackRows, ...]:
    return racks(snapshot.inventory, snapshot.world)


def _kept(rack: RackRows, wanted: str) -> RackRows:
    sought = wanted.strip().lower()
    if not sought or sought in rack.heading.lower():
        return rack
    kept = tuple(row for row in rack.servers if sought in " ".join(row.cells).lower())
    return RackRows(rack.site, rack.rack, rack.place, rack.until, kept)


def _server(grid: Grid, row: ServerRow) -> Line:
    spans: list[tuple[str, Tone]] = []
    for number, cell in enumerate(grid.cells(row.cells)):
        if cell:
            tone = _tone(row, number, cell)
            spans += [(cell, tone), (" " * GAP, "plain")]
    return Line(tuple(spans), key=f"server {row.name}", mark="!" if row.ailing else " ")


def _tone(row: ServerRow, number: int, cell: str) -> Tone:
    if number == NOTE:
        return "bad" if row.ailing else "plain"
    tone = tone_of(cell)
    # A server that was never installed may well be off.
    return "faint" if tone == "bad" and not row.ailing else tone


def _nothing(wanted: str) -> list[Line]:
    if wanted:
        return [line(), line(f"No server matches {wanted!r}. Escape shows all again.")]
    return [line(), line("The inventory has no servers yet: add [servers.NAME] to inventory.toml.")]
