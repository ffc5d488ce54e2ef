"""HA rules of PVE 9, and what PVE 8 has in their place: groups.

A rule says which VMs stay apart, which stay together, and which nodes a VM should run on. A
group of PVE 8 knows only the last.
"""

from typing import Any

from metal.drivers.proxmox import guests
from metal.drivers.proxmox.api import Api
from metal.drivers.proxmox.node import ApiError
from metal.model.found import FoundRule
from metal.model.plan import HaWishes


def has_rules(api: Api) -> bool:
    """False on PVE 8, which has groups instead."""
    try:
        api.get("cluster/ha/rules")
    except ApiError as error:
        if error.status == 501:
            return False
        raise
    return True


def found(api: Api) -> tuple[FoundRule, ...]:
    if not has_rules(api):
        return _groups(api)
    rows = api.get("cluster/ha/rules")
    read = (_rule(row) for row in rows if not int(row.get("disable", 0) or 0))
    return tuple(rule for rule in read if rule is not None)


def ensure_apart(api: Api, group: str, vmids: tuple[int, ...]) -> None:
    """HA keeps these VMs on different nodes (PVE 9; 8 has no such rules: nothing is done)."""
    _ensure_rule(api, f"{guests.TAG}-apart-{group}", "negative", vmids)


def ensure_together(api: Api, name: str, vmids: tuple[int, ...]) -> None:
    """HA keeps these VMs on one node (PVE 9; 8 has no such rules: nothing is done)."""
    _ensure_rule(api, f"{guests.TAG}-together-{name}", "positive", vmids)


def _ensure_rule(api: Api, rule: str, affinity: str, vmids: tuple[int, ...]) -> None:
    managed = guests.ha_managed(api)
    resources = sorted(f"vm:{vmid}" for vmid in set(vmids) & managed)
    if len(resources) < 2:
        return
    wanted = {"type": "resource-affinity", "affinity": affinity, "resources": ",".join(resources)}
    try:
        rules = api.get("cluster/ha/rules")
    except ApiError as error:
        if error.status == 501:
            return
        raise
    found = next((r for r in rules if r["rule"] == rule), None)
    if found is None:
        api.post("cluster/ha/rules", {"rule": rule, **wanted})
    elif sorted(str(found.get("resources", "")).split(",")) != resources:
        api.put(f"cluster/ha/rules/{rule}", wanted)


def ensure_home(api: Api, vmid: int, nodes: tuple[str, ...]) -> None:
    """A rule of PVE 9, a group of PVE 8; the first node before the others, none excluded."""
    if vmid not in guests.ha_managed(api):
        return
    ranked = ",".join(f"{node}:{len(nodes) - place}" for place, node in enumerate(nodes))
    if has_rules(api):
        rule = f"{guests.TAG}-home-{vmid}"
        wanted = {"type": "node-affinity", "nodes": ranked, "resources": f"vm:{vmid}"}
        _ensure(api, "cluster/ha/rules", "rule", rule, wanted, ranked)
        return
    group = f"{guests.TAG}-home-{vmid}"
    _ensure(api, "cluster/ha/groups", "group", group, {"nodes": ranked}, ranked)
    resource = f"cluster/ha/resources/vm:{vmid}"
    api.settle(
        lambda: api.get(resource).get("group") == group,
        lambda: api.put(resource, {"group": group}),
        late=f"VM {vmid} is not in the HA group {group}",
    )


def ensure_wishes(api: Api, wishes: HaWishes) -> None:
    """All of them, and of metal's rules no other. What somebody else's rule says of a VM's nodes
    stays: Proxmox takes one such rule a VM. On PVE 8 a group that is wished no more stays too."""
    for group, vmids in wishes.apart.items():
        ensure_apart(api, group, vmids)
    for name, vmids in wishes.together.items():
        ensure_together(api, name, vmids)
    ours = tuple(f"{guests.TAG}-{kind}-" for kind in ("apart", "together", "home"))
    theirs = {
        vmid
        for rule in found(api)
        if rule.kind == "nodes" and not rule.name.startswith(ours)
        for vmid in rule.vmids
    }
    for vmid, nodes in wishes.home.items():
        if vmid not in theirs:
            ensure_home(api, vmid, nodes)
    if not has_rules(api):
        return
    wanted = {
        *(f"{guests.TAG}-apart-{group}" for group in wishes.apart),
        *(f"{guests.TAG}-together-{name}" for name in wishes.together),
        *(f"{guests.TAG}-home-{vmid}" for vmid in wishes.home),
    }
    for row in api.get("cluster/ha/rules"):
        if str(row["rule"]).startswith(ours) and row["rule"] not in wanted:
            api.delete(f"cluster/ha/rules/{row['rule']}")


def _ensure(api: Api, path: str, key: str, name: str, wanted: dict[str, Any], nodes: str) -> None:
    def now() -> dict[str, Any] | None:
        return next((row for row in api.get(path) if row[key] == name), None)

    def write() -> None:
        if now() is None:
            api.post(path, {key: name, **wanted})
        else:
            api.put(f"{path}/{name}", wanted)

    def as_wanted() -> bool:
        row = now()
        return row is not None and set(str(row["nodes"]).split(",")) == set(nodes.split(","))

    api.settle(as_wanted, write, late=f"HA does not have {name}")


def ensure_renamed(api: Api, old: str, new: str) -> None:
    """Wishes for the node `old` are wishes for `new`."""
    for path, key in _wishes(api):
        for row in api.get(path):
            parts = [part.strip().partition(":") for part in str(row.get("nodes", "")).split(",")]
            if not any(name == old for name, _, _ in parts):
                continue
            names = [f"{new if name == old else name}{colon}{rest}" for name, colon, rest in parts]
            wanted: dict[str, Any] = {"nodes": ",".join(dict.fromkeys(names))}
            if "type" in row and key == "rule":
                wanted["type"] = row["type"]
            api.put(f"{path}/{row[key]}", wanted)


def _wishes(api: Api) -> list[tuple[str, str]]:
    return [("cluster/ha/rules", "rule")] if has_rules(api) else [("cluster/ha/groups", "group")]


def _rule(row: dict[str, Any]) -> FoundRule | None:
    vmids = _vmids(str(row.get("resources", "")))
    if row.get("type") == "node-affinity":
        nodes = _nodes(str(row.get("nodes", "")))
        strict = bool(int(row.get("strict", 0) or 0))
        return FoundRule(
            name=str(row["rule"]), kind="nodes", vmids=vmids, nodes=nodes, strict=strict
        )
    if row.get("type") == "resource-affinity":
        kind = row.get("affinity")
        return FoundRule(
            name=str(row["rule"]), kind="apart" if kind == "negative" else "together", vmids=vmids
        )
    return None


def _groups(api: Api) -> tuple[FoundRule, ...]:
    """PVE 8: the group is the nodes, and each HA resource names its group."""
    members: dict[str, list[int]] = {}
    for row in api.get("cluster/ha/resources"):
        if row.get("group") and str(row["sid"]).startswith("vm:"):
            members.setdefault(str(row["group"]), []).append(int(str(row["sid"])[3:]))
    return tuple(
        FoundRule(
            name=str(row["group"]),
            kind="nodes",
            vmids=tuple(sorted(members.get(str(row["group"]), []))),
            nodes=_nodes(str(row.get("nodes", ""))),
            strict=bool(int(row.get("restricted", 0) or 0)),
        )
        for row in api.get("cluster/ha/groups")
    )


def _vmids(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(sid.strip()[3:]) for sid in text.split(",") if "vm:" in sid))


def _nodes(text: str) -> tuple[str, ...]:
    """Those of the highest priority first: "n1:2,n2:1,n3"."""
    parts = [part.strip().partition(":") for part in text.split(",") if part.strip()]
    ranked = sorted(parts, key=lambda p: (-int(p[2] or 0), p[0]))
    return tuple(name for name, _, _ in ranked)
