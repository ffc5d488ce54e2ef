"""The fleet as a table and as data."""

from typing import Any

from metal.cli.render.hang import hanging
from metal.model.fleet import Inventory
from metal.model.world import World
from metal.tui.grid import Column, cut, fit
from metal.tui.rows import SERVER_COLUMNS, ServerRow, racks, totals

INDENT = "  "
VM_COLUMNS = (
    Column("VM"),
    Column("CLUSTER", rank=2),
    Column("SERVER"),
    Column("STATE"),
    Column("ADDRESSES", rank=3, grows=True, least=12),
)


def fleet_lines(inventory: Inventory, world: World, width: int = 80) -> list[str]:
    """Every server by site and rack, then who was silent, then the totals."""
    found = racks(inventory, world)
    rows = [row.cells for rack in found for row in rack.servers]
    grid = fit(SERVER_COLUMNS, rows, width - len(INDENT))
    lines = [INDENT + grid.header]
    for rack in found:
        lines.append(cut(rack.heading, width))
        lines += [INDENT + grid.line(row.cells) for row in rack.servers]
    total = hanging("", totals(inventory, world).text, width, under=2)
    return [*lines, "", *silent_lines(world, width), *total]


def silent_lines(world: World, width: int = 80) -> list[str]:
    """What did not answer: unknown is not off."""
    if not world.silent:
        return []
    together: dict[tuple[str, str], list[str]] = {}
    for who, why in world.silent.items():
        kind, _, name = who.partition(" ")
        together.setdefault((kind, why), []).append(name)
    return ["No answer (unknown, not off):"] + [
        line
        for (kind, why), names in together.items()
        for line in hanging(INDENT, f"{kind} {', '.join(names)}: {why}", width, under=4)
    ]


def vm_lines(inventory: Inventory, world: World, width: int = 80) -> list[str]:
    """Every VM that is wanted or seen."""
    names = list(dict.fromkeys([*inventory.vms, *world.vms]))
    rows = [_vm_cells(world, name) for name in names]
    grid = fit(VM_COLUMNS, rows, width)
    return [grid.header, *(grid.line(row) for row in rows)]


def _vm_cells(world: World, name: str) -> tuple[str, ...]:
    seen = world.vms.get(name)
    if seen is None:
        return (name, "", "", "not seen", "")
    return (name, seen.cluster, seen.server, seen.state, " ".join(seen.addresses))


def fleet_document(inventory: Inventory, world: World, looked_at: str | None) -> dict[str, Any]:
    """`metal status -o json`."""
    count = totals(inventory, world)
    return {
        "fleet": inventory.fleet.name,
        "looked_at": looked_at,
        "totals": count.__dict__,
        "servers": server_documents(inventory, world),
        "clusters": world.clusters,
        "vms": world.vms,
        "silent": world.silent,
    }


def server_documents(inventory: Inventory, world: World) -> list[dict[str, Any]]:
    """`metal status -o ndjson`: one server a line."""
    return [
        _server(inventory, world, row) for rack in racks(inventory, world) for row in rack.servers
    ]


def _server(inventory: Inventory, world: World, row: ServerRow) -> dict[str, Any]:
    return {
        "server": row.name,
        "site": row.site,
        "rack": row.rack,
        "unit": row.unit,
        "cluster": inventory.cluster_of(row.name),
        "life": row.life,
        "power": row.power,
        "health": row.health,
        "node": row.node,
        "vms": sorted(name for name, vm in world.vms.items() if vm.server == row.name),
        "note": row.note,
    }
