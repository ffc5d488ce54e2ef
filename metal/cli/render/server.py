"""Servers as lines: a table of all, and all of one."""

from typing import TYPE_CHECKING

from metal.cli.render.besides import Besides, besides
from metal.cli.render.bmc import finding_texts, passport_texts, route_texts, unexamined_texts
from metal.cli.render.burnin import burnin_items
from metal.cli.render.facts import LABEL, facts_lines
from metal.cli.render.hang import hanging
from metal.model.facts import Facts
from metal.model.fleet import Learned, PowerAccess
from metal.tui.grid import Column, fit, safe

if TYPE_CHECKING:
    from metal.controller.knowing import Done, KnownServer

COLUMNS = (
    Column("SERVER"),
    Column("SITE", rank=3),
    Column("RACK", rank=4),
    Column("LIFE"),
    Column("MODEL", rank=2, grows=True, least=12),
    Column("SERIAL", rank=1),
    Column("BMC", rank=5),
    Column("LOOKED AT", rank=6),
)


def server_lines(known: "list[KnownServer]", width: int = 80) -> list[str]:
    """One line a server."""
    if not known:
        return ["the inventory has no server"]
    rows = [_cells(one) for one in known]
    grid = fit(COLUMNS, rows, width)
    return [grid.header, *map(grid.line, rows)]


def _cells(one: "KnownServer") -> tuple[str, ...]:
    learned = one.server.learned or Learned()
    return (
        one.name,
        one.server.site,
        safe(one.server.rack),
        str(one.life),
        safe(" ".join(filter(None, (learned.vendor, learned.model)))) or "?",
        safe(learned.serial or "?"),
        one.server.bmc.address,
        (one.looked_at or "never")[:10],
    )


def detail_lines(one: "KnownServer", width: int = 80) -> list[str]:
    """One server, what matters most first."""
    lines = [f"server {one.name}"]
    for label, text in _pairs(one):
        lines += hanging(f"{label:<{LABEL}}", text, width)
    lines += ["", *_parts(one, width)]
    lines += _findings(one, width)
    lines += _passport(one, width)
    lines += _burnin(one, width)
    return [*lines, *_section("Last operations", [_done(o) for o in one.operations], width)]


def _pairs(one: "KnownServer") -> list[tuple[str, str]]:
    server = one.server
    unit = f", unit {server.unit}" if server.unit else ""
    return [
        ("life", f"{one.life}, {one.status}" + (f": {one.note}" if one.note else "")),
        ("place", f"{server.site}, rack {server.rack}{unit}; cluster {one.cluster or 'none'}"),
        ("address", f"{server.address}; profile {server.profile}"),
        *([("system", _system(one))] if one.system else []),
        ("BMC", _bmc(one)),
        *([("power", _power(server.power))] if server.power.driver != "bmc" else []),
        ("certificate", server.bmc.fingerprint or "none pinned"),
        ("looked at", one.looked_at or _never(one)),
    ]


def _never(one: "KnownServer") -> str:
    if one.server.bmc.protocol == "none":
        return "never: it has no BMC to be asked"
    return f"never: `metal enroll {one.name}`"


def _parts(one: "KnownServer", width: int) -> list[str]:
    """What its BMC told at the last look, and what else is known of it."""
    evidence = one.burnin.evidence if one.burnin else None
    facts = one.facts or Facts(address="", protocol="ipmi")
    more = besides(facts, one.server.learned, evidence)
    return facts_lines(facts, width, more) if one.facts else _unseen(one, more, width)


def _unseen(one: "KnownServer", more: Besides, width: int) -> list[str]:
    """Where no look is kept."""
    learned = one.server.learned or Learned()
    said = [
        ("server", " ".join(filter(None, (learned.vendor, learned.model))) or "?"),
        ("known by", learned.serial or learned.uuid or "?"),
    ]
    for label in ("processors", "memory", "drives", "network"):
        texts = more.texts.get(label, ("?",))
        said += [("" if index else label, text) for index, text in enumerate(texts)]
    return [line for k, text in said for line in hanging(f"{k:<{LABEL}}", text, width)]


def _system(one: "KnownServer") -> str:
    drives = [f"{d.name} (serial {d.serial})" if d.serial else d.name for d in one.system]
    said = safe(" and ".join(drives)) + (", mirrored" if len(drives) > 1 else "")
    if not one.gone:
        return said
    gone = safe(" and ".join(one.gone))
    left = len(one.system) - len(one.gone)
    return f"{said}; {gone} WAS NOT THERE at the last look" + (
        ": it runs, and starts, from the other alone (docs/install.md)" if left else ""
    )


def _bmc(one: "KnownServer") -> str:
    bmc = one.server.bmc
    if not one.server.has_bmc:
        return "none"
    at = bmc.address if bmc.port is None else f"{bmc.address}:{bmc.port}"
    suite = f", cipher suite {bmc.cipher_suite}" if bmc.cipher_suite else ""
    node = f", node {bmc.node}" if bmc.node else ""
    return f"{at}{node} over {bmc.protocol} as {bmc.user}{suite}"


def _power(power: PowerAccess) -> str:
    if power.driver == "manual":
        return "switched by a person at the rack"
    each = [
        f"{one.agent} at {one.address}{f', plug {one.plug}' if one.plug else ''}"
        for one in power.each()
    ]
    return f"switched by {' and '.join(each)}"


def _findings(one: "KnownServer", width: int) -> list[str]:
    if one.findings is None:
        return []
    said = finding_texts(one.findings) or ["nothing that was looked at is wrong with its BMC"]
    return _section("Findings", [*said, *unexamined_texts(one.unexamined)], width)


def _passport(one: "KnownServer", width: int) -> list[str]:
    proven = one.passport
    if proven is None:
        return []
    lines = _section("Passport", passport_texts(proven), width)
    return lines + _section("Way to an installer", route_texts(one.route), width)


def _burnin(one: "KnownServer", width: int) -> list[str]:
    return _section("Burn-in", burnin_items(one.burnin), width) if one.burnin else []


def _done(operation: "Done") -> str:
    why = f": {operation.error}" if operation.error else ""
    return f"{operation.at}  run {operation.run}, {operation.kind}: {operation.status}{why}"


def _section(title: str, items: list[str], width: int) -> list[str]:
    """A heading and its items, nothing at all when there are none."""
    folded = [line for item in items for line in hanging("  ", item, width, under=4)]
    return ["", title, *folded] if folded else []
