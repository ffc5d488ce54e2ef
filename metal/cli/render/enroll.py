"""What enrolment learned, as a table and as data."""

from typing import Any, Protocol

from metal.cli.render.bmc import finding_texts, less_of
from metal.cli.render.hang import EACH, FIRST, gathered, hanging
from metal.model.facts import Facts, Health
from metal.model.findings import Finding, Severity, at_least
from metal.model.fleet import Learned
from metal.model.memory import modules_gib
from metal.model.passport import Route
from metal.tui.grid import Column, fit, safe


class Enrolled(Protocol):
    """What this reads of an EnrollResult (metal/controller/enroll_result.py)."""

    @property
    def server(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def ok(self) -> bool: ...
    @property
    def added(self) -> bool: ...
    @property
    def facts(self) -> Facts | None: ...
    @property
    def learned(self) -> Learned | None: ...
    @property
    def changes(self) -> tuple[str, ...]: ...
    @property
    def findings(self) -> tuple[Finding, ...]: ...
    @property
    def route(self) -> Route | None: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def error(self) -> str | None: ...
    @property
    def exit_code(self) -> int: ...


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
SHOWN: Severity = "medium"
"""Findings that are less bad are counted here, and shown with the server."""
AILING: tuple[Health, ...] = ("critical", "warning")
FAILURES = {2: "BAD INPUT", 3: "REFUSED", 4: "NO ANSWER"}
"""By exit code."""


def enroll_lines(results: list[Enrolled], width: int = 80, *, dry_run: bool = False) -> list[str]:
    """One line a server, then what changed, what is wrong and what is odd."""
    if not results:
        return []
    rows = [_cells(result, "new" if dry_run else "added") for result in results]
    grid = fit(COLUMNS, rows, width)
    # In a dry run one that would be refused has answered all the same.
    good = sum(result.ok or (dry_run and result.facts is not None) for result in results)
    total = len(results)
    said = f"{good} of {total} {'answered; nothing was changed' if dry_run else 'enrolled'}."
    remarks = ((r.server or r.address, text) for r in results for text in _remarks(r, dry_run))
    more = gathered(remarks, width)
    more += [line for text in routes(results) for line in hanging("", text, width, under=2)]
    return [grid.header, *map(grid.line, rows), "", *more, *([""] if more else []), said]


def dry_run_documents(results: list[Enrolled]) -> list[dict[str, Any]]:
    """`metal enroll --dry-run -o json`: one flat object a server. "server", in a workspace, is what
    it is or would be called; "refused" and "exit_code" say why it would not be enrolled."""
    from metal.cli.render.facts import facts_document, refusal_document

    return [
        ({"server": result.server} if result.server else {})
        | (facts_document(result.facts) if result.facts else {})
        | (
            {}
            if result.ok
            else refusal_document(result.address, result.error or "", result.exit_code)
        )
        for result in results
    ]


def _remarks(result: Enrolled, dry_run: bool) -> list[str]:
    name = result.server or result.address
    added = result.added and result.ok and not dry_run
    said = [f"new in the inventory: {_to_check(name)}"] if added else []
    said += result.changes
    said += _doubts(result.facts) if result.facts else []
    said += finding_texts(f for f in result.findings if at_least(f.severity, SHOWN))
    if less := [f for f in result.findings if not at_least(f.severity, SHOWN)]:
        said.append(f"{less_of(less)}{EACH}: `metal server show {FIRST}` tells")
    return [*said, *result.notes]


def _doubts(facts: Facts) -> list[str]:
    """That it is not well, and that its modules and the BMC's own count are not the same."""
    said = []
    if health := worst_health(facts):
        parts = [f"{p.name} {p.health}" for p in facts.psus or () if p.health in AILING]
        parts += [f"drive {d.name} is failing" for d in facts.drives or () if d.failing]
        said.append(f"health {health}" + (f": {', '.join(parts)}" if parts else ""))
    installed, counted = modules_gib(facts), facts.memory_gib
    if installed and counted and installed != counted:
        said.append(f"memory: its modules are {installed} GiB, the BMC counts {counted:g}")
    return said


def routes(results: list[Enrolled]) -> list[str]:
    """Which servers take which way to an installer."""
    ways: dict[str, list[str]] = {}
    for result in results:
        if result.route:
            ways.setdefault(result.route.method, []).append(safe(result.server))
    return [
        f"installer: {method} for {', '.join(names)} (why: `metal server show {names[0]}`)"
        for method, names in ways.items()
    ]


def _to_check(name: str) -> str:
    return f"see that site, rack and address of [servers.{name}] are right"


def _cells(result: Enrolled, added: str) -> tuple[str, ...]:
    verdict = "ok" if result.ok else FAILURES.get(result.exit_code, "FAILED")
    verdict = added if result.ok and result.added else verdict
    facts, known = result.facts, result.learned
    if result.ok and facts and (health := worst_health(facts)):
        verdict += f", {health}"
    server = result.server or _newcomer(result.address, facts)
    if facts is None or known is None:
        return (server, result.address, "?", "", "?", "?", "?", verdict)
    return (
        server,
        result.address,
        facts.protocol,
        safe(" ".join(filter(None, (known.vendor, known.model)))) or "?",
        _or_unknown(known.threads),
        "?" if known.memory_gib is None else f"{known.memory_gib}G",
        str(len(known.disks)) if known.disks else "?",
        verdict,
    )


def _newcomer(address: str, facts: Facts | None) -> str:
    """On a narrow terminal this column alone says which of many it was; the nodes of a chassis
    have its serial number in common."""
    if facts is None:
        return address
    return " ".join(safe(word) for word in (facts.serial or address, facts.node) if word)


def worst_health(facts: Facts) -> Health | None:
    """Its own or that of its parts; None where nothing is wrong."""
    said = (facts.health, facts.health_rollup)
    return next((health for health in AILING if health in said), None)


def _or_unknown(number: int | None) -> str:
    return "?" if number is None else str(number)
