"""Rules: which nodes a service may run on, and with or without whom.

Source: Proxmox VE Administration Guide, chapter High Availability, section Rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from metal.lab.ha.shared import Rule, Service

NODE, RESOURCE = "node-affinity", "resource-affinity"
COUNTED = {"started", "request_stop", "fence", "freeze", "error", "recovery"} | {
    "migrate",
    "relocate",
}
"""States in which a service takes its node."""


def effective(rules: Sequence[Rule], nodes: Collection[str]) -> list[Rule]:
    """The rules that can be kept, and those that follow from them."""
    affinities = _one_each([r for r in rules if r.kind == NODE])
    together = _joined([r for r in rules if r.affinity == "positive"])
    apart = [r for r in rules if r.affinity == "negative" and len(r.resources) <= len(nodes)]
    apart = [r for r in apart if not any(len(r.resources & t.resources) > 1 for t in together)]
    return [
        *affinities,
        *_followers(affinities, together),
        *together,
        *apart,
        *_implied(apart, together),
    ]


def _one_each(rules: list[Rule]) -> list[Rule]:
    """A service that two rules bind to nodes is contradictory: neither holds."""
    bound = Counter(sid for rule in rules for sid in rule.resources)
    return [r for r in rules if all(bound[sid] == 1 for sid in r.resources)]


def _joined(rules: list[Rule]) -> list[Rule]:
    """Together with a and a together with b: all three."""
    groups: list[Rule] = []
    for rule in rules:
        touching = [g for g in groups if g.resources & rule.resources]
        members = rule.resources.union(*(g.resources for g in touching))
        groups = [g for g in groups if g not in touching] + [replace(rule, resources=members)]
    return [g for g in groups if len(g.resources) > 1]


def _followers(affinities: list[Rule], together: list[Rule]) -> list[Rule]:
    """Who must be with a service that is bound to nodes is bound to them too."""
    found = []
    for group in together:
        binding = [r for r in affinities if r.resources & group.resources]
        free = group.resources - {sid for r in affinities for sid in r.resources}
        if len(binding) == 1 and free:
            found.append(
                replace(binding[0], name=f"{binding[0].name} by {group.name}", resources=free)
            )
    return found


def _implied(apart: list[Rule], together: list[Rule]) -> list[Rule]:
    """Who must be with a is, as a itself, apart from b: pair by pair."""
    found = []
    for rule in apart:
        for sid in rule.resources:
            for companion in _group(sid, together) - {sid}:
                for other in rule.resources - {sid}:
                    found.append(replace(rule, resources=frozenset({companion, other})))
    return list(dict.fromkeys(found))


def _group(sid: str, together: list[Rule]) -> frozenset[str]:
    return next((r.resources for r in together if sid in r.resources), frozenset({sid}))


@dataclass(frozen=True)
class Company:
    """Whom a service must be with and without, by the nodes these are on now."""

    with_: Counter[str]
    """Node → how many of its companions."""
    without: frozenset[str]
    """Nodes that those hold which it must not meet."""

    def allows(self, node: str) -> bool:
        return node not in self.without and (not self.with_ or node in self.with_)

    def narrow(self, nodes: set[str]) -> set[str]:
        """Never where it would meet who it must not; of the rest where most companions are."""
        nodes = nodes - self.without
        near = {node: self.with_[node] for node in nodes if node in self.with_}
        if not near:
            return nodes
        most = max(near.values())
        return {min(node for node, count in near.items() if count == most)}


def company(
    rules: Sequence[Rule], sid: str, services: Mapping[str, Service], online: Collection[str]
) -> Company:
    near: Counter[str] = Counter()
    far: set[str] = set()
    for rule in rules:
        if rule.kind != RESOURCE or sid not in rule.resources:
            continue
        for other in sorted(rule.resources - {sid}):
            places = taken(services[other], online) if other in services else []
            if rule.affinity == "positive":
                near.update(places[-1:])  # where it goes counts, not where it leaves
            else:
                far.update(places)
    return Company(near, frozenset(far))


def taken(service: Service, online: Collection[str]) -> list[str]:
    """The nodes that a service takes: where it runs and where it goes."""
    places = []
    if service.state in COUNTED and service.node in online:
        places.append(service.node)
    if service.state in ("migrate", "relocate") and service.target in online:
        places.append(service.target)
    return places


def choices(rules: Sequence[Rule], sid: str, online: Collection[str]) -> tuple[set[str], set[str]]:
    """(nodes where it may run, those of them that it prefers)."""
    rule = next((r for r in rules if r.kind == NODE and sid in r.resources), None)
    if rule is None:
        return set(online), set(online)
    ranked: dict[str, int] = {} if rule.strict else dict.fromkeys(online, -1)
    ranked |= {node: priority for node, priority in rule.nodes if node in online}
    best = max(ranked.values(), default=0)
    return set(ranked), {node for node, rank in ranked.items() if rank == best}
