"""Forming a cluster, and what it tells of itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metal.lab.proxmox.calls import Call, handles
from metal.lab.proxmox.errors import ApiError, TaskError
from metal.lab.proxmox.state import Cluster, Node
from metal.lab.proxmox.tasks import Work


@handles("GET", "/cluster/status")
def status(call: Call) -> list[dict[str, Any]]:
    cluster, now = call.cluster, call.now
    seen = {node.name for node in call.node.partition(now)}
    answer: list[dict[str, Any]] = []
    if cluster.name is not None:
        answer.append(
            {
                "type": "cluster",
                "id": "cluster",
                "name": cluster.name,
                "nodes": len(cluster.members),
                "quorate": int(call.node.quorate(now)),
                "version": cluster.version,
            }
        )
    for node in cluster.members.values():
        answer.append(
            {
                "type": "node",
                "id": f"node/{node.name}",
                "name": node.name,
                "nodeid": node.nodeid,
                "ip": node.address,
                "local": int(node is call.node),
                "online": int(node.name in seen),
                "level": "",
            }
        )
    return answer


@handles("GET", "/cluster/config/nodes")
def config_nodes(call: Call) -> list[dict[str, Any]]:
    if call.cluster.name is None:
        return []
    return [
        {
            "name": n.name,
            "node": n.name,
            "nodeid": str(n.nodeid),
            "quorum_votes": "1",
            **{f"ring{link}_addr": at for link, at in rings(call.cluster, n).items()},
        }
        for n in call.cluster.members.values()
    ]


@handles("GET", "/cluster/config/join")
def join_info(call: Call) -> dict[str, Any]:
    cluster = call.cluster
    if cluster.name is None:
        raise ApiError(424, "node is not in a cluster, no join info available!")
    preferred = call.params.get("node", call.node.name)
    if preferred not in cluster.members:
        raise ApiError(500, f"no such node '{preferred}'")
    return {
        "config_digest": f"{cluster.version:040x}",
        "preferred_node": preferred,
        "nodelist": [
            {
                "name": n.name,
                "nodeid": str(n.nodeid),
                "pve_addr": n.address,
                "pve_fp": n.certificate.fingerprint,
                "quorum_votes": "1",
                **{f"ring{link}_addr": at for link, at in rings(cluster, n).items()},
            }
            for n in cluster.members.values()
        ],
        "totem": {
            "cluster_name": cluster.name,
            "config_version": str(cluster.version),
            "interface": {link: {"linknumber": link} for link in _links_of(cluster)},
            "secauth": "on",
            "version": "2",
        },
    }


def _asked_links(call: Call) -> dict[str, str]:
    """corosync's links of a create or a join, their priorities left out."""
    return {
        key.removeprefix("link"): str(value).partition(",")[0].removeprefix("address=")
        for key, value in call.params.items()
        if key.startswith("link")
    }


def rings(cluster: Cluster, node: Node) -> dict[str, str]:
    return cluster.rings.get(node.name) or {"0": node.address}


def _links_of(cluster: Cluster) -> list[str]:
    """Those that every member has to have."""
    return sorted({link for node in cluster.members.values() for link in rings(cluster, node)})


@handles("POST", "/cluster/config")
def create(call: Call) -> str:
    return call.task("clustercreate", call.params["clustername"], _create(call))


def _create(call: Call) -> Work:
    cluster, node, pace = call.cluster, call.node, call.dc.pace
    if cluster.name is not None:
        raise TaskError("cluster config '/etc/pve/corosync.conf' already exists")
    yield pace.create
    cluster.name = call.params["clustername"]
    cluster.version = 1
    cluster.rings[node.name] = _asked_links(call)
    cluster.quorate_from = call.now + pace.quorate_after_create
    node.nodeid = call.params.get("nodeid", 1)
    node.silent_until = call.now + pace.silent_in_create
    call.dc.note_ready(node.name, cluster.quorate_from)
    call.dc.note_ready(node.name, node.silent_until)
    call.dc.event(node.name, f"created cluster {cluster.name}")
    return None


@handles("POST", "/cluster/config/join")
def join(call: Call) -> str:
    return call.task("clusterjoin", "", _join(call))


def _join(call: Call) -> Work:
    node, pace, params = call.node, call.dc.pace, call.params
    yield 1
    _assert_joinable(node)
    peer = call.dc.node_at(params["hostname"])
    if peer is None:
        host = params["hostname"]
        raise TaskError(f"500 Can't connect to {host}:8006 (No route to host)")
    if params["fingerprint"].upper() != peer.certificate.fingerprint:
        raise TaskError(f"fingerprint '{peer.certificate.fingerprint}' not verified, abort!")
    if not peer.password_check(params["password"]):
        raise TaskError("401 authentication failure")
    cluster = peer.cluster
    if cluster.name is None:
        raise TaskError("500 cluster does not exist on the peer: no '/etc/pve/corosync.conf'")
    if not peer.quorate(call.now):
        raise TaskError("An error occured on the cluster node: cluster not ready - no quorum?")
    if node.name in cluster.members:
        raise TaskError(
            f"An error occured on the cluster node: can't add existing node '{node.name}'"
        )
    if (asked := set(_asked_links(call)) or {"0"}) != (links := set(_links_of(cluster))):
        odd = ", ".join(sorted(asked ^ links))
        raise TaskError(
            f"An error occured on the cluster node: corosync link {odd} is not on all nodes"
        )
    if cluster.joining:
        _enter(call, cluster)
        node.outdated = True
        yield pace.join
        raise TaskError(
            f"corosync has config_version {cluster.version - 1}, the cluster "
            f"{cluster.version}: two nodes joined at once, can't get quorum"
        )
    yield from _enter_alone(call, cluster)
    return None


def _enter_alone(call: Call, cluster: Cluster) -> Work:
    cluster.joining = call.node.name
    try:
        yield call.dc.pace.join / 2
        _enter(call, cluster)
        yield call.dc.pace.join / 2 + call.dc.pace.membership
    finally:
        cluster.joining = ""
    return None


def _assert_joinable(node: Node) -> None:
    faults = []
    if node.cluster.name is not None:
        faults.append("* cluster config '/etc/pve/corosync.conf' already exists")
    if node.cluster.vms:
        faults.append("* this host already contains virtual guests")
    if faults:
        faults.append("Check if node may join a cluster failed!")
        raise TaskError("\n".join(faults))


def _enter(call: Call, cluster: Cluster) -> None:
    """The node becomes a member; what it had of its own (tokens, storages) is replaced."""
    node, now = call.node, call.now
    node.nodeid = 1 + max((n.nodeid for n in cluster.members.values()), default=0)
    node.cluster = cluster
    cluster.members[node.name] = node
    cluster.rings[node.name] = _asked_links(call)
    cluster.version += 1
    node.member_from = now + call.dc.pace.join / 2
    node.silent_until = now + call.dc.pace.silent_in_join
    call.dc.note_ready(node.name, node.member_from)
    call.dc.note_ready(node.name, node.silent_until)
    call.dc.event(node.name, f"entered cluster {cluster.name}")


@handles("DELETE", "/cluster/config/nodes/{node}")
def remove_node(call: Call) -> None:
    """pvecm delnode: the node must be off, or it will come back as a stranger."""
    name, cluster = call.params["node"], call.cluster
    if cluster.name is None or name not in cluster.members:
        raise ApiError(500, f"Node/IP: {name} is not a known host of the cluster.")
    if name == call.node.name:
        raise ApiError(500, "Cannot delete myself from cluster!")
    gone = cluster.members.pop(name)
    cluster.version += 1
    cluster.rings.pop(name, None)
    gone.outdated = True
    cluster.ha.forget(name)
    call.dc.event(name, f"removed from cluster {cluster.name}")


@handles("GET", "/cluster/nextid")
def next_id(call: Call) -> str:
    taken = call.cluster.vms
    wanted = call.params.get("vmid")
    if wanted is not None:
        if wanted in taken:
            raise ApiError(
                400, "Parameter verification failed.", {"vmid": f"VM {wanted} already exists"}
            )
        return str(wanted)
    return str(next(n for n in range(100, 1_000_000_000) if n not in taken))


@handles("GET", "/cluster/options")
def options(call: Call) -> dict[str, Any]:
    return {"allowed-tags": []} | call.cluster.options


@handles("PUT", "/cluster/options")
def set_options(call: Call) -> None:
    for name in str(call.params.get("delete", "")).replace(",", " ").split():
        call.cluster.options.pop(name, None)
    call.cluster.options |= call.without("delete")


@handles("GET", "/cluster/tasks")
def recent_tasks(call: Call) -> list[dict[str, Any]]:
    found = [task.entry() for node in call.node.partition(call.now) for task in node.tasks.values()]
    return sorted(found, key=lambda entry: -int(str(entry["starttime"])))[:25]


@handles("GET", "/cluster/resources")
def resources(call: Call) -> list[dict[str, Any]]:
    wanted = call.params.get("type")
    parts = {"vm": _vms, "node": _nodes, "storage": _storages}
    return [
        entry
        for kind, entries in parts.items()
        if wanted in (None, kind)
        for entry in entries(call)
    ]


def _vms(call: Call) -> Iterator[dict[str, Any]]:
    from metal.lab.proxmox.qemu import summary

    online = {node.name for node in call.node.partition(call.now)}
    for vm in call.cluster.vms.values():
        told = summary(call, vm)
        if vm.node not in online:
            told = {"vmid": vm.vmid, "status": "unknown"}
        yield told | {
            "id": f"{vm.kind}/{vm.vmid}",
            "type": vm.kind,
            "node": vm.node,
            "template": int(vm.config.get("template", 0)),
        }


def _nodes(call: Call) -> Iterator[dict[str, Any]]:
    from metal.lab.proxmox.nodes import entry

    for node in call.cluster.members.values():
        told = entry(call, node)
        told.pop("ssl_fingerprint")
        yield told


def _storages(call: Call) -> Iterator[dict[str, Any]]:
    online = {node.name for node in call.node.partition(call.now)}
    for node in call.cluster.members.values():
        for name, config in call.cluster.storages.items():
            yield {
                "id": f"storage/{node.name}/{name}",
                "type": "storage",
                "storage": name,
                "node": node.name,
                "plugintype": config["type"],
                "content": config.get("content", "images"),
                "shared": int(bool(config.get("shared"))),
                "status": "available" if node.name in online else "unknown",
            }
