"""How a node is scored for a service: by number (basic) or by configured size (static).

Static scoring is TOPSIS, as Proxmox documents it for `crs`: average CPU 1, highest CPU 2, average
memory 5, highest memory 10, all the less the better.
Source of the method: Hwang and Yoon, Multiple Attribute Decision Making (1981).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from metal.lab.ha.rules import taken
from metal.lab.ha.shared import Service

WEIGHTS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Size:
    """Of a service what it may use, of a node what it has."""

    cpus: float
    """0: as many as the node has."""
    memory: float
    """Bytes."""


def by_number(services: Mapping[str, Service], online: Collection[str]) -> dict[str, float]:
    counts = dict.fromkeys(online, 0.0)
    for service in services.values():
        for node in taken(service, online):
            counts[node] += 1
    return counts


def by_size(
    sid: str,
    services: Mapping[str, Service],
    online: Collection[str],
    sizes: Mapping[str, Size],
    nodes: Mapping[str, Size],
) -> dict[str, float]:
    """Minus the closeness to the ideal, of the service on each node."""
    used = {node: Size(0.0, 0.0) for node in online}
    for other, service in services.items():
        for node in taken(service, online):
            used[node] = _with(used[node], sizes[other], nodes[node])
    rows = {
        target: _criteria(
            [
                (_with(used[n], sizes[sid], nodes[n]) if n == target else used[n], nodes[n])
                for n in sorted(online)
            ]
        )
        for target in sorted(online)
    }
    return {node: -score for node, score in _closeness(rows).items()}


def _with(used: Size, more: Size, node: Size) -> Size:
    return Size(used.cpus + (more.cpus or node.cpus), used.memory + more.memory)


def _criteria(loads: list[tuple[Size, Size]]) -> tuple[float, ...]:
    """Plus 1, so that small differences of idle nodes weigh little."""
    found: list[float] = []
    for values in (
        [used.cpus / node.cpus for used, node in loads],
        [used.memory / node.memory for used, node in loads],
    ):
        found += [1 + math.sqrt(sum(v * v for v in values) / len(values)), 1 + max(values)]
    return tuple(found)


def _closeness(rows: Mapping[str, tuple[float, ...]]) -> dict[str, float]:
    columns = list(zip(*rows.values(), strict=True))
    norms = [math.sqrt(sum(v * v for v in column)) for column in columns]
    weighed = {
        key: [v / n * w / sum(WEIGHTS) for v, n, w in zip(row, norms, WEIGHTS, strict=True)]
        for key, row in rows.items()
    }
    best = [min(column) for column in zip(*weighed.values(), strict=True)]
    worst = [max(column) for column in zip(*weighed.values(), strict=True)]
    scores = {}
    for key, row in weighed.items():
        near, far = math.dist(row, best), math.dist(row, worst)
        scores[key] = far / (near + far) if near + far else 1.0
    return scores
