"""The calls about high availability."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from metal.lab.proxmox.calls import Call, handles
from metal.lab.proxmox.errors import ApiError, bad_parameters
from metal.lab.proxmox.formats import split_list

LISTS = ("resources", "nodes")
"""What a rule holds as a list and tells as text."""


def _sid(text: str) -> str:
    """ "100" is short for "vm:100"."""
    return text if ":" in text else f"vm:{text}"


def _resource(call: Call) -> dict[str, Any]:
    sid = _sid(call.params["sid"])
    if sid not in call.cluster.ha.resources:
        raise ApiError(500, f"no such resource '{sid}'")
    return call.cluster.ha.resources[sid]


def _digest(config: object) -> str:
    return hashlib.sha1(json.dumps(config, sort_keys=True).encode()).hexdigest()


@handles("GET", "/cluster/ha/resources")
def resources(call: Call) -> list[dict[str, Any]]:
    digest = _digest(call.cluster.ha.resources)
    return [r | {"digest": digest} for r in call.cluster.ha.resources.values()]


@handles("POST", "/cluster/ha/resources")
def add_resource(call: Call) -> None:
    sid = _sid(call.params["sid"])
    kind, _, number = sid.partition(":")
    if sid in call.cluster.ha.resources:
        raise ApiError(500, f"resource ID '{sid}' already defined")
    if kind != "vm" or int(number) not in call.cluster.vms:
        raise ApiError(500, f"unable to add resource '{sid}' - service does not exist")
    given = {"state": "started"} | call.without("sid", "type")
    call.cluster.ha.add(sid, {"sid": sid, "type": kind} | given)


@handles("GET", "/cluster/ha/resources/{sid}")
def resource(call: Call) -> dict[str, Any]:
    return _resource(call) | {"digest": _digest(call.cluster.ha.resources)}


@handles("PUT", "/cluster/ha/resources/{sid}")
def set_resource(call: Call) -> None:
    held = _resource(call)
    held.update(call.without("sid", "delete", "digest"))
    for name in split_list(call.params.get("delete", "")):
        held.pop(name, None)


@handles("DELETE", "/cluster/ha/resources/{sid}")
def remove_resource(call: Call) -> None:
    sid = _resource(call)["sid"]
    call.cluster.ha.remove(sid)
    if call.node.major >= 9 and call.params.get("purge", True):
        _purge(call.cluster.ha.rules, sid)


def _purge(rules: dict[str, dict[str, Any]], sid: str) -> None:
    """From every rule; one that names nothing else is gone."""
    for name, rule in list(rules.items()):
        left = [other for other in rule["resources"] if other != sid]
        if left:
            rule["resources"] = left
        else:
            del rules[name]


@handles("POST", "/cluster/ha/resources/{sid}/migrate")
def migrate(call: Call) -> dict[str, str]:
    return _command(call, "migrate")


@handles("POST", "/cluster/ha/resources/{sid}/relocate")
def relocate(call: Call) -> dict[str, str]:
    return _command(call, "relocate")


def _command(call: Call, what: str) -> dict[str, str]:
    sid, node = _resource(call)["sid"], call.params["node"]
    if node not in call.cluster.members:
        raise ApiError(500, f"no such node '{node}'")
    call.cluster.ha.command(what, sid, node)
    return {"sid": sid, "requested-node": node}


# ── rules ────────────────────────────────────────────────────────────────────────────────────


def _rule(call: Call) -> dict[str, Any]:
    name = call.params["rule"]
    if name not in call.cluster.ha.rules:
        raise ApiError(500, f"no such ha rule '{name}'")
    return call.cluster.ha.rules[name]


def _held(params: dict[str, Any]) -> dict[str, Any]:
    """A rule as it is kept: its lists as lists."""
    lists = {key: split_list(params[key]) for key in LISTS if key in params}
    if "resources" in lists:
        lists["resources"] = [_sid(sid) for sid in lists["resources"]]
    return params | lists


def _told(rule: dict[str, Any]) -> dict[str, Any]:
    return rule | {key: ",".join(rule[key]) for key in LISTS if key in rule}


def _known(call: Call, given: dict[str, Any]) -> None:
    """PVE::API2::HA::Rules refuses what is none of HA's resources or of the cluster's nodes."""
    strange = [sid for sid in given.get("resources", ()) if sid not in call.cluster.ha.resources]
    if strange:
        raise ApiError(500, f"cannot use unmanaged resource(s) {', '.join(sorted(strange))}.")
    names = {str(node).partition(":")[0] for node in given.get("nodes", ())}
    if absent := names - call.cluster.members.keys():
        raise ApiError(500, f"cannot use non-existant node(s) {', '.join(sorted(absent))}.")


def _judged(rules: dict[str, dict[str, Any]], name: str) -> None:
    """PVE::HA::Rules refuses a rule that cannot be kept beside the others."""
    for sid in rules[name]["resources"]:
        about = [rule for rule in rules.values() if sid in rule["resources"]]
        homes = [rule for rule in about if rule["type"] == "node-affinity"]
        if len(homes) > 1:
            why = f"resource '{sid}' is already used in another node affinity rule"
            raise bad_parameters({"resources": why})
        ranks = {node.partition(":")[2] or "0" for rule in homes for node in rule["nodes"]}
        if len(ranks) > 1 and len(about) > len(homes):
            why = f"resource '{sid}' is in a node affinity rule with multiple priorities"
            raise bad_parameters({"resources": why})
        if len(_homes_of_company(rules, sid)) > 1:
            why = "at least one resource is in a positive resource affinity rule and there are "
            why += "other resources in at least one other node affinity rule already"
            raise bad_parameters({"resources": why})
    _spread(rules, name)


def _spread(rules: dict[str, dict[str, Any]], name: str) -> None:
    """PVE::HA::Rules refuses rules of nodes that leave VMs that are apart too few of them."""
    homes = {n: rule for n, rule in rules.items() if rule["type"] == "node-affinity"}
    for apart, rule in rules.items():
        if rule.get("affinity") != "negative":
            continue
        about = {
            n: home for n, home in homes.items() if {*rule["resources"]} & {*home["resources"]}
        }
        housed = {sid for home in about.values() for sid in home["resources"]}
        nodes = {node.partition(":")[0] for home in about.values() for node in home["nodes"]}
        if len(nodes) >= len(housed & {*rule["resources"]}):
            continue
        if name == apart:
            why = (
                "two or more resources are restricted to less nodes than available to the resources"
            )
            raise bad_parameters({"resources": why})
        if name in about:
            why = (
                "at least one resource is in a negative resource affinity rule and this rule would "
            )
            why += "restrict these to less nodes than available to the resources"
            raise bad_parameters({"resources": why})


def _homes_of_company(rules: dict[str, dict[str, Any]], sid: str) -> set[str]:
    """The node rules of all that it must be with, its own among them."""
    company = {sid}
    for _ in rules:  # a with b and b with c is a with c
        for rule in rules.values():
            if rule.get("affinity") == "positive" and company & set(rule["resources"]):
                company.update(rule["resources"])
    homes = (n for n, rule in rules.items() if rule["type"] == "node-affinity")
    return {name for name in homes if company & set(rules[name]["resources"])}


@handles("GET", "/cluster/ha/rules")
def rules(call: Call) -> list[dict[str, Any]]:
    return [_told(rule) for rule in call.cluster.ha.rules.values()]


@handles("POST", "/cluster/ha/rules")
def add_rule(call: Call) -> None:
    name = call.params["rule"]
    if name in call.cluster.ha.rules:
        raise ApiError(500, f"HA rule '{name}' already exists")
    given = _held(call.params)
    _known(call, given)
    _judged(call.cluster.ha.rules | {name: given}, name)
    call.cluster.ha.rules[name] = given


@handles("GET", "/cluster/ha/rules/{rule}")
def rule(call: Call) -> dict[str, Any]:
    return _told(_rule(call))


@handles("PUT", "/cluster/ha/rules/{rule}")
def set_rule(call: Call) -> None:
    held = _rule(call)
    given = _held(call.without("rule", "delete", "digest"))
    _known(call, given)
    _judged(call.cluster.ha.rules | {held["rule"]: held | given}, held["rule"])
    held.update(given)
    for name in split_list(call.params.get("delete", "")):
        held.pop(name, None)


@handles("DELETE", "/cluster/ha/rules/{rule}")
def remove_rule(call: Call) -> None:
    del call.cluster.ha.rules[_rule(call)["rule"]]


# ── groups, before there were rules ──────────────────────────────────────────────────────────


def _groups(call: Call) -> dict[str, dict[str, Any]]:
    if call.node.major >= 9:
        raise ApiError(500, "cannot index groups: ha groups have been migrated to rules")
    return call.cluster.ha.groups


@handles("GET", "/cluster/ha/groups")
def groups(call: Call) -> list[dict[str, Any]]:
    found = _groups(call)
    return [
        group | {"nodes": ",".join(group["nodes"]), "digest": _digest(found)}
        for group in found.values()
    ]


@handles("POST", "/cluster/ha/groups")
def add_group(call: Call) -> None:
    name = call.params["group"]
    if name in _groups(call):
        raise ApiError(500, f"group ID '{name}' already defined")
    call.cluster.ha.groups[name] = _group(call) | {"group": name, "type": "group"}


@handles("PUT", "/cluster/ha/groups/{group}")
def set_group(call: Call) -> None:
    name = call.params["group"]
    if name not in _groups(call):
        raise ApiError(500, f"no such ha group '{name}'")
    call.cluster.ha.groups[name] |= _group(call)


def _group(call: Call) -> dict[str, Any]:
    given = call.without("group", "type", "delete", "digest")
    return given | ({"nodes": split_list(given["nodes"])} if "nodes" in given else {})


# ── status ───────────────────────────────────────────────────────────────────────────────────


@handles("GET", "/cluster/ha/status/current")
def current(call: Call) -> list[dict[str, Any]]:
    """Quorum, master, agents and services, as the GUI shows them."""
    ha, asked, now = call.cluster.ha, call.node.name, int(call.dc.epoch())
    quorate = call.node.quorate(call.now)
    rows: list[dict[str, Any]] = [
        {
            "id": "quorum",
            "type": "quorum",
            "node": asked,
            "status": "OK" if quorate else "No quorum on node '" + asked + "'!",
            "quorate": int(quorate),
        }
    ]
    if ha.master:
        status = f"{ha.master} (active)"
        rows.append(
            {
                "id": "master",
                "type": "master",
                "node": ha.master,
                "status": status,
                "timestamp": now,
            }
        )
    for name, state in ha.nodes.items():
        busy = any(service.node == name for service in ha.services.values())
        status = f"{name} ({'active' if busy else 'idle'})"
        if state != "online":
            status = f"{name} (old timestamp - dead?)"
        rows.append(
            {
                "id": f"lrm:{name}",
                "type": "lrm",
                "node": name,
                "status": status,
                "timestamp": now,
            }
        )
    return rows + [_service_row(call, sid) for sid in sorted(ha.resources)]


def _service_row(call: Call, sid: str) -> dict[str, Any]:
    ha, held = call.cluster.ha, call.cluster.ha.resources[sid]
    service = ha.services.get(sid)
    vm = call.cluster.vms.get(int(sid.partition(":")[2]))
    node = service.node if service else vm.node if vm else ""
    state = service.state if service else "queued"
    return {
        "id": f"service:{sid}",
        "type": "service",
        "sid": sid,
        "node": node,
        "state": state,
        "crm_state": state,
        "request_state": held["state"],
        "status": f"{sid} ({node}, {state})",
        "max_restart": int(held.get("max_restart", 1)),
        "max_relocate": int(held.get("max_relocate", 1)),
    }


@handles("GET", "/cluster/ha/status/manager_status")
def manager_status(call: Call) -> dict[str, Any]:
    ha, now = call.cluster.ha, int(call.dc.epoch())
    return {
        "manager_status": {
            "master_node": ha.master,
            "timestamp": now,
            "node_status": dict(ha.nodes),
            "service_status": {
                sid: {"state": s.state, "node": s.node} | ({"target": s.target} if s.target else {})
                for sid, s in ha.services.items()
            },
        },
        "quorum": {"node": call.node.name, "quorate": int(call.node.quorate(call.now))},
        "lrm_status": {},
    }
