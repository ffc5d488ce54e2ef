"""HA rules (and groups of Proxmox 8) as wishes of VMs: apart, together, at home."""

from collections import defaultdict
from typing import Any

from metal.cluster.adopting.naming import free
from metal.inventory.slugs import slug
from metal.model.fleet import Inventory
from metal.model.found import FoundCluster
from metal.model.world import HaRule

Wishes = defaultdict[int, dict[str, Any]]


def wishes_of(
    inventory: Inventory, found: FoundCluster, names: dict[int, str]
) -> tuple[Wishes, tuple[str, ...]]:
    """(number → keys of its table, what cannot be said in the inventory's words).

    Only of VMs that are new to the inventory: a known one's wishes are a person's by now.
    """
    wishes: Wishes = defaultdict(dict)
    told: list[str] = []
    used = {vm.apart for vm in inventory.vms.values() if vm.apart}
    for rule in found.rules:
        members = [v for v in rule.vmids if v in names]
        new = [v for v in members if names[v] not in inventory.vms]
        if rule.kind == "nodes" and len(members) == len(rule.vmids) and not rule.strict:
            _at_home(rule, found, new, wishes)
        elif rule.kind == "together" and len(members) > 1 and _disjoint(new, wishes):
            if new:
                others = [names[v] for v in members if v != new[0]]
                wishes[new[0]]["together"] = others
        elif rule.kind == "apart" and 1 < len(members) <= len(found.nodes):
            told += _apart(inventory, rule, members, new, names, used, wishes)
        elif rule.vmids:
            told.append(_as_it_is(rule))
    return wishes, tuple(told)


def _at_home(rule: HaRule, found: FoundCluster, new: list[int], wishes: Wishes) -> None:
    there = {node.name for node in found.nodes}
    for vmid in new:
        wishes[vmid].setdefault("home", [node for node in rule.nodes if node in there])


def _disjoint(new: list[int], wishes: Wishes) -> bool:
    """None of them is in another set already: a chain of sets is no wish that anybody had."""
    return not any(wishes[v].keys() & {"together", "apart"} for v in new)


def _apart(
    inventory: Inventory,
    rule: HaRule,
    members: list[int],
    new: list[int],
    names: dict[int, str],
    used: set[str],
    wishes: Wishes,
) -> list[str]:
    known = [inventory.vms[names[v]].apart for v in members if names[v] in inventory.vms]
    free_ones = [v for v in new if not wishes[v].keys() & {"apart", "together"}]
    group = next((g for g in known if g), None)
    group = group or free(slug(rule.name.removeprefix("metal-apart-")), used, "2")
    if free_ones:
        used.add(group)
    for vmid in free_ones:
        wishes[vmid]["apart"] = group
    twice = [v for v in new if v not in free_ones]
    return [f"HA rule {rule.name}: {', '.join(map(str, twice))} in another too"] if twice else []


def _as_it_is(rule: HaRule) -> str:
    what = {"apart": "apart", "together": "together", "nodes": "on " + ", ".join(rule.nodes)}
    vms = ", ".join(map(str, rule.vmids))
    return f"HA rule {rule.name} ({vms} {what[rule.kind]}) stays Proxmox's own; it is kept there"
