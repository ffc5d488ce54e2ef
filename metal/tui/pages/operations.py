"""The operations: what runs now, then what ended last."""

from metal.tui.grid import GAP, Column, Grid, bar, fit
from metal.tui.line import Line, Tone, line, tone_of
from metal.tui.source import OperationSeen, Snapshot

PINNED = 1
COLUMNS = (
    Column("ID", rank=3, right=True),
    Column("WHAT"),
    Column("STATUS"),
    Column("PROGRESS", rank=1),
    Column("SAYS", rank=2, grows=True, least=10),
)
BAR = 12


def operations_page(snapshot: Snapshot, width: int, wanted: str = "") -> list[Line]:
    """`wanted`: only operations whose line has this in it."""
    sought = wanted.strip().lower()
    shown = [o for o in snapshot.operations if sought in f"{o.subject} {o.status} {o.text}".lower()]
    rows = [_cells(o) for o in shown]
    grid = fit(COLUMNS, rows, width)
    lines = [line(grid.header, "faint")]
    lines += [_operation(grid, o, row) for o, row in zip(shown, rows, strict=True)]
    return lines if shown else [*lines, line(), line("No operation is open and none has ended.")]


def _cells(operation: OperationSeen) -> tuple[str, ...]:
    subject = operation.subject
    named = subject if subject.startswith(operation.kind) else f"{operation.kind} {subject}"
    return (
        str(operation.id),
        named.replace(":", " ", 1),
        operation.status,
        bar(operation.fraction, BAR),
        operation.text.partition("\n")[0],
    )


def _operation(grid: Grid, operation: OperationSeen, row: tuple[str, ...]) -> Line:
    spans: list[tuple[str, Tone]] = []
    for cell in grid.cells(row):
        if cell:
            spans += [(cell, tone_of(cell)), (" " * GAP, "plain")]
    server = next((f"server {name}" for name in operation.servers), "")
    return Line(
        tuple(spans),
        key=server or f"operation {operation.id}",
        mark="!" if operation.status in ("failed", "held") else " ",
    )
