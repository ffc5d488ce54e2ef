"""HA rules of PVE 9, and what PVE 8 has in their place: groups.

A rule says which VMs stay apart, which stay together, and which nodes a VM should run on. A
group of PVE 8 knows only the last.
"""

from collections.abc import Collection
from typing import Any

from metal.drivers.proxmox import guests
from metal.drivers.proxmox.api import Api
from metal.drivers.proxmox.node import ApiError
from metal.model.errors import Failed
from metal.model.ha import apart_rule, home_rule, rule_changes, together_rule, too_few_nodes
from metal.model.hypervisor import HaPlace
from metal.model.plan import HaWishes
from metal.model.world import HaRule, SeenHa

Rows = list[dict[str, Any]]
LOOKS = 10
"""How often a rule is written that somebody else writes as well."""


def _rows(api: Api) -> Rows | None:
    """The rules; None on PVE 8, which has groups instead."""
    try:
        rows: Rows = api.get("cluster/ha/rules")
    except ApiError as error:
        if error.status == 501:
            return None
        raise
    return rows


def seen(api: Api, resources: Rows | None = None, members: Collection[str] = ()) -> SeenHa:
    """`resources`: those of HA, where they were just asked for. `members`: the cluster's nodes; a
    rule may still name others."""
    if resources is None:
        resources = api.get("cluster/ha/resources")
    rows = _rows(api)
    return SeenHa(
        managed=tuple(sorted(guests.managed(resources))),
        rules=tuple(
            rule.model_copy(update={"nodes": tuple(n for n in rule.nodes if n in members)})
            if members
            else rule
            for rule in (_groups(api, resources) if rows is None else _in_force(rows))
        ),
        groups=rows is None,
    )


def found(api: Api) -> tuple[HaRule, ...]:
    return seen(api).rules


def _in_force(rows: Rows) -> tuple[HaRule, ...]:
    read = (_rule(row) for row in rows if not int(row.get("disable", 0) or 0))
    return tuple(rule for rule in read if rule is not None)


def ensure_wishes(api: Api, wishes: HaWishes) -> None:
    """All of them, and of metal's rules no other: see `rule_changes`."""
    ha = seen(api)
    there = {rule.name for rule in ha.rules}
    for rule in rule_changes(ha, wishes):
        if ha.groups:
            _ensure_group(api, rule.name, rule.vmids[0], rule.nodes)
        elif not rule.vmids:
            api.delete(f"cluster/ha/rules/{rule.name}")
            there.discard(rule.name)
        elif rule.name in there:
            kept = rule.nodes if rule.name == home_rule(rule.vmids[0]) else ()
            api.put(f"cluster/ha/rules/{rule.name}", _written(rule, kept))
        else:
            api.post("cluster/ha/rules", {"rule": rule.name, **_written(rule, rule.nodes)})


def _written(rule: HaRule, nodes: tuple[str, ...]) -> dict[str, Any]:
    """`nodes`: its own; none where those that it has are to stay."""
    resources = ",".join(f"vm:{vmid}" for vmid in rule.vmids)
    if rule.kind == "nodes":
        own = {"nodes": _ranked(nodes)} if nodes else {}
        return {"type": "node-affinity", "resources": resources, **own}
    affinity = "negative" if rule.kind == "apart" else "positive"
    return {"type": "resource-affinity", "affinity": affinity, "resources": resources}


def _ranked(nodes: tuple[str, ...]) -> str:
    """The first node before the others, none excluded."""
    return ",".join(f"{node}:{len(nodes) - place}" for place, node in enumerate(nodes))


# ── for a VM that was made just now ─────────────────────────────────────────────────────────────


def ensure_apart(api: Api, group: str, vmids: tuple[int, ...]) -> None:
    """HA keeps these VMs on different nodes (PVE 9; 8 has no such rules: nothing is done)."""
    _ensure_set(api, HaRule(name=apart_rule(group), kind="apart", vmids=vmids))


def ensure_together(api: Api, name: str, vmids: tuple[int, ...]) -> None:
    """HA keeps these VMs on one node (PVE 9; 8 has no such rules: nothing is done)."""
    _ensure_set(api, HaRule(name=together_rule(name), kind="together", vmids=vmids))


def _ensure_set(api: Api, wanted: HaRule) -> None:
    """Two VMs of a rule may be made at once: what one wrote is looked at again, and an error that
    the other's rule was the reason of is none."""
    for _ in range(LOOKS):
        ha = seen(api)
        vmids = tuple(sorted(set(wanted.vmids) & set(ha.managed)))
        rule = wanted.model_copy(update={"vmids": vmids})
        now = _named(ha, rule.name)
        if ha.groups or len(vmids) < 2 or now == rule:
            return
        try:
            _write_set(api, ha, rule, now)
        except ApiError:
            if _named(seen(api), rule.name) == now:
                raise
    raise Failed(f"somebody else changes HA's rule {wanted.name} again and again")


def _named(ha: SeenHa, name: str) -> HaRule | None:
    return next((rule for rule in ha.rules if rule.name == name), None)


def _write_set(api: Api, ha: SeenHa, rule: HaRule, now: HaRule | None) -> None:
    homes = [home for home in ha.rules if home.name in map(home_rule, rule.vmids)]
    for home in _refused(ha, rule, homes):
        api.delete(f"cluster/ha/rules/{home.name}")
        homes.remove(home)
    for home in homes:
        # Proxmox takes several priorities only of VMs that no other rule is about.
        if len(home.nodes) > 1:
            api.put(f"cluster/ha/rules/{home.name}", _written(home, home.nodes[:1]))
    if now is None:
        api.post("cluster/ha/rules", {"rule": rule.name, **_written(rule, ())})
    else:
        api.put(f"cluster/ha/rules/{rule.name}", _written(rule, ()))


def _refused(ha: SeenHa, rule: HaRule, homes: list[HaRule]) -> list[HaRule]:
    """Homes that Proxmox does not take beside the set: of VMs that stay together it takes one rule
    of nodes, of those that are apart as many as there are nodes in them."""
    if rule.kind == "together":
        return homes[1:]
    taken, refused = [other for other in ha.rules if other not in homes], []
    for home in homes:
        first = home.model_copy(update={"nodes": home.nodes[:1]})
        if too_few_nodes(set(rule.vmids), [*taken, first]):
            refused.append(home)
        else:
            taken.append(first)
    return refused


def ensure_home(api: Api, vmid: int, nodes: tuple[str, ...]) -> None:
    """A rule of PVE 9, a group of PVE 8; the first node before the others, none excluded. One that
    stays together with who has a home follows it, and has none of its own; nor has one whose node
    is the home of who is apart from it."""
    ha = seen(api)
    if vmid not in ha.managed or _follows(ha, vmid):
        return
    name = home_rule(vmid)
    if ha.groups:
        _ensure_group(api, name, vmid, nodes)
        return
    if any(rule.kind != "nodes" and vmid in rule.vmids for rule in ha.rules):
        nodes = nodes[:1]
    rule = HaRule(name=name, kind="nodes", vmids=(vmid,), nodes=nodes)
    others = [other for other in ha.rules if other.name != name]
    apart = (set(other.vmids) for other in others if other.kind == "apart" and vmid in other.vmids)
    if any(too_few_nodes(vmids, [*others, rule]) for vmids in apart):
        return
    _ensure(api, "cluster/ha/rules", "rule", name, _written(rule, nodes), _ranked(nodes))


def _follows(ha: SeenHa, vmid: int) -> bool:
    sets = (set(r.vmids) for r in ha.rules if r.kind == "together" and vmid in r.vmids)
    mates = set[int]().union(*sets) - {vmid}
    return any(r.kind == "nodes" and mates & set(r.vmids) for r in ha.rules)


def _ensure_group(api: Api, group: str, vmid: int, nodes: tuple[str, ...]) -> None:
    ranked = _ranked(nodes)
    _ensure(api, "cluster/ha/groups", "group", group, {"nodes": ranked}, ranked)
    resource = f"cluster/ha/resources/vm:{vmid}"
    api.settle(
        lambda: api.get(resource).get("group") == group,
        lambda: api.put(resource, {"group": group}),
        late=f"VM {vmid} is not in the HA group {group}",
    )


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


# ── of a VM that leaves the cluster, and may come back ───────────────────────────────────────────

RESOURCE = frozenset(
    {"sid", "state", "comment", "group", "max_restart", "max_relocate", "failback"}
)
RULE = frozenset({"rule", "type", "resources", "nodes", "strict", "affinity", "comment", "disable"})


def place_of(api: Api, vmid: int) -> HaPlace:
    """All that HA has of it."""
    sid = f"vm:{vmid}"
    rows = (row for row in api.get("cluster/ha/resources") if row["sid"] == sid)
    resource = next((_only(row, RESOURCE) for row in rows), {})
    about = [_only(row, RULE) for row in _rows(api) or [] if sid in _sids(row)]
    return HaPlace(resource=resource, rules=tuple(about))


def ensure_place(api: Api, vmid: int, place: HaPlace) -> None:
    """HA has it as it was. A rule that is gone is made anew, with those of its VMs that HA has."""
    if not place.resource:
        return
    sid = f"vm:{vmid}"
    api.settle(
        lambda: vmid in guests.ha_managed(api),
        lambda: api.post("cluster/ha/resources", place.resource),
        late=f"VM {vmid} is not HA-managed",
    )
    managed = {f"vm:{other}" for other in guests.ha_managed(api)}
    for was in place.rules:
        now = next((row for row in _rows(api) or [] if row["rule"] == was["rule"]), None)
        if now is None:
            resources = ",".join(s for s in _sids(was) if s in managed)
            api.post("cluster/ha/rules", was | {"resources": resources})
        elif sid not in _sids(now):
            resources = ",".join([*_sids(now), sid])
            given = {"type": was["type"], "resources": resources}
            api.put(f"cluster/ha/rules/{was['rule']}", given)


def _only(row: dict[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key in keys}


def _sids(row: dict[str, Any]) -> list[str]:
    return [sid.strip() for sid in str(row.get("resources", "")).split(",") if sid.strip()]


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
    has_rules = _rows(api) is not None
    return [("cluster/ha/rules", "rule")] if has_rules else [("cluster/ha/groups", "group")]


def _rule(row: dict[str, Any]) -> HaRule | None:
    vmids = _vmids(str(row.get("resources", "")))
    if row.get("type") == "node-affinity":
        nodes = _nodes(str(row.get("nodes", "")))
        strict = bool(int(row.get("strict", 0) or 0))
        return HaRule(name=str(row["rule"]), kind="nodes", vmids=vmids, nodes=nodes, strict=strict)
    if row.get("type") == "resource-affinity":
        kind = row.get("affinity")
        return HaRule(
            name=str(row["rule"]), kind="apart" if kind == "negative" else "together", vmids=vmids
        )
    return None


def _groups(api: Api, resources: Rows) -> tuple[HaRule, ...]:
    """PVE 8: the group is the nodes, and each HA resource names its group."""
    members: dict[str, list[int]] = {}
    for row in resources:
        if row.get("group") and str(row["sid"]).startswith("vm:"):
            members.setdefault(str(row["group"]), []).append(int(str(row["sid"])[3:]))
    return tuple(
        HaRule(
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
