"""Processors by cluster: what each server has, what all have in common."""

from collections.abc import Iterator, Sequence
from typing import Any

from metal.cli.render.hang import hanging
from metal.controller.processors import Common
from metal.model.cpus import DEFAULT
from metal.tui.grid import Column, fit

COLUMNS = (
    Column("SERVER"),
    Column("NEWEST"),
    Column("SAID BY", rank=2),
    Column("PROCESSOR", rank=1, grows=True),
)


def cpu_lines(found: Sequence[Common], width: int = 80) -> list[str]:
    """A heading a cluster with what all of it have, its servers, and what does not fit."""
    rows = [(p.server, p.newest or "?", p.by, p.name or "?") for c in found for p in c.servers]
    grid = fit(COLUMNS, rows, width - 2)
    lines = ["  " + grid.header]
    for cluster in found:
        lines.append(f"{cluster.cluster}: {cluster.newest or 'not known'}")
        for p in cluster.servers:
            lines.append("  " + grid.line((p.server, p.newest or "?", p.by, p.name or "?")))
        for text in _said(cluster):
            lines += hanging("  - ", text, width)
    return lines


def _said(cluster: Common) -> Iterator[str]:
    if cluster.newest is None:
        names = ", ".join(p.server for p in cluster.servers if p.newest is None)
        yield f"nobody knows what {names} can be: `cpu_type` under its `learned` tells it"
    if cluster.usual is False:
        yield f"not all of it has {DEFAULT}: its VMs need an older `cpu`"
    if cluster.beyond:
        names = ", ".join(cluster.beyond)
        yield f"not all of its servers can run what is in it or pinned to it: {names}"


def cpu_documents(found: Sequence[Common]) -> list[dict[str, Any]]:
    """`metal cpu -o json`: one object a cluster."""
    return [
        {
            "cluster": c.cluster,
            "common": c.newest,
            "usual": c.usual,
            "beyond": c.beyond,
            "servers": [vars(p) for p in c.servers],
        }
        for c in found
    ]
