"""Which node a service should be on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from metal.lab.ha.rules import choices, company
from metal.lab.ha.shared import Resource, Rule, Service, Shared
from metal.lab.ha.world import World

Wish = Literal["stay", "best", "next"]
"""stay: its node if that will do. best: the best. next: another one than failed."""


def choose(
    world: World,
    shared: Shared,
    rules: Sequence[Rule],
    sid: str,
    online: Collection[str],
    wish: Wish,
) -> str:
    """The node; "" if there is none."""
    service, resource = shared.services[sid], shared.resources[sid]
    allowed, preferred = choices(rules, sid, online)
    if not preferred:
        return ""
    others = company(rules, sid, shared.services, online)
    if wish == "stay" and _may_stay(service, resource, allowed) and others.allows(service.node):
        return service.node
    if wish == "next":
        preferred -= set(service.failed_nodes)
    preferred = others.narrow(preferred)
    if service.maintenance_node in preferred:
        return service.maintenance_node
    if wish == "stay" and service.node in preferred:
        return service.node
    return _best(world, sid, online, preferred, service.node, wish)


def _may_stay(service: Service, resource: Resource, allowed: set[str]) -> bool:
    return not resource.failback and service.node in allowed


def _best(
    world: World, sid: str, online: Collection[str], nodes: set[str], now_on: str, wish: Wish
) -> str:
    scores = world.score(sid, online)
    ranked = sorted(nodes, key=lambda node: (scores[node], node))
    if wish == "next" and now_on in ranked[:-1]:
        return ranked[ranked.index(now_on) + 1]
    return ranked[0] if ranked else ""
