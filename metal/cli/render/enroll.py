"""What enrolment learned, as a table."""

from typing import Protocol

from metal.model.facts import Facts
from metal.model.fleet import Learned
from metal.tui.grid import Column, fit, safe


class Enrolled(Protocol):
    """What this reads of an EnrollResult (metal/controller/enrolling.py)."""

    @property
    def server(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def ok(self) -> bool: ...
    @property
    def facts(self) -> Facts | None: ...
    @property
    def learned(self) -> Learned | None: ...
    @property
    def changes(self) -> tuple[str, ...]: ...
    @property
    def error(self) -> str | None: ...


COLUMNS = (
    Column("SERVER"),
    Column("BMC", rank=4),
    Column("VIA", rank=3),
    Column("MODEL", rank=2, grows=True, least=12),
    Column("THREADS", rank=1, right=True),
    Column("MEMORY", rank=1, right=True),
    Column("DRIVES", rank=1, right=True),
    Column("RESULT"),
)


def enroll_lines(results: list[Enrolled], width: int = 80) -> list[str]:
    """One line a server."""
    rows = [_cells(result) for result in results]
    grid = fit(COLUMNS, rows, width)
    good = sum(result.ok for result in results)
    return [grid.header, *map(grid.line, rows), "", f"{good} of {len(results)} enrolled."]


def _cells(result: Enrolled) -> tuple[str, ...]:
    verdict = "ok" if result.ok else "FAILED"
    facts, known = result.facts, result.learned
    if facts is None or known is None:
        return (result.server, result.address, "?", "", "?", "?", "?", verdict)
    return (
        result.server,
        result.address,
        facts.protocol,
        safe(" ".join(filter(None, (known.vendor, known.model)))) or "?",
        _or_unknown(known.threads),
        "?" if known.memory_gib is None else f"{known.memory_gib}G",
        str(len(known.disks)) if known.disks else "?",
        verdict,
    )


def _or_unknown(number: int | None) -> str:
    return "?" if number is None else str(number)
