"""Operations as lines."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from metal.cli.render.hang import hanging
from metal.tui.grid import Column, fit, safe

if TYPE_CHECKING:
    from metal.operations.journal import Operation, Step

COLUMNS = (
    Column("RUN", right=True),
    Column("KIND", rank=2),
    Column("SUBJECT"),
    Column("STATUS"),
    Column("BY", rank=3),
    Column("WHY", rank=1, grows=True, least=10),
)


def run_lines(runs: "list[Operation]", width: int = 80) -> list[str]:
    """One line an operation."""
    if not runs:
        return ["no operation is open"]
    rows = [
        (str(o.id), o.kind, safe(o.subject), _status(o), o.owner, _first(o.error)) for o in runs
    ]
    grid = fit(COLUMNS, rows, width)
    return [grid.header, *map(grid.line, rows)]


def detail_lines(operation: "Operation", width: int = 80) -> list[str]:
    """One operation with its steps."""
    lines = [
        f"run {operation.id}: {operation.kind} {safe(operation.subject)}",
        f"status   {_status(operation)}",
        f"begun    {_time(operation.created)}",
        f"changed  {_time(operation.updated)}",
    ]
    if operation.owner:
        lines.append(f"run by   {operation.owner}{'' if operation.alive else ' (gone)'}")
    if operation.error:
        lines += hanging("why      ", operation.error, width)
    return [*lines, "", *(_step(step)[:width] for step in operation.steps)]


def _step(step: "Step") -> str:
    mark = "done" if step.done else "open"
    took = f"{step.ended - step.began:8.1f} s" if step.ended is not None else ""
    return f"{step.number:4d}  {mark}  {safe(step.name):<40} {took}".rstrip()


def _status(operation: "Operation") -> str:
    stopped = operation.status in ("running", "waiting") and not operation.alive
    return f"{operation.status}{' (nobody runs it)' if stopped else ''}"


def _first(text: str) -> str:
    return safe(text.splitlines()[0]) if text else ""


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
