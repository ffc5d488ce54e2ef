"""What a cluster shows now. Nothing is concluded from silence."""

from dataclasses import dataclass, field
from typing import Any

from metal.drivers.proxmox import ceph, guests, networks, rules
from metal.drivers.proxmox.api import Api, Standing
from metal.drivers.proxmox.configs import addresses, disk_of
from metal.drivers.proxmox.node import Node
from metal.model.errors import MetalError
from metal.model.world import NodeState, SeenCluster, SeenVm


@dataclass(frozen=True)
class Known:
    """What the inventory tells of a cluster: of VMs that were there before metal, and of hosts."""

    names: dict[int, str] = field(default_factory=dict)
    """Number → what the inventory calls it, whatever Proxmox does."""
    addresses: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """What was read when it was adopted."""
    linked: frozenset[str] = frozenset()
    """Nodes of whose cards the inventory says what they carry: a call each."""


def look(
    api: Api, cluster_name: str, *, solo: bool, known: Known, thorough: bool
) -> tuple[SeenCluster, dict[str, str], dict[str, SeenVm]]:
    """(cluster, node → state, VM name → VM); all unknown when no node answers.

    Addresses are what the HA manager's comments and the inventory remember of a VM: six calls
    tell a whole cluster. `thorough` asks each VM's configuration, a call a VM.
    """
    try:
        chosen, standing = api.choose()
    except MetalError:
        return SeenCluster(), dict.fromkeys(api.nodes, "unknown"), {}
    silent = dict(api.silent)
    states = _states(api, standing, silent)
    cluster = SeenCluster(
        formed=_formed(standing, silent, solo),
        quorate=standing.quorate if standing.name or solo else None,
        nodes=_members(chosen.name, standing, solo),
    )
    try:
        if standing.name:
            cluster = cluster.model_copy(update=ceph.seen(api))
            if linked := [n for n in sorted(known.linked) if standing.nodes.get(n)]:
                found = {"networks": networks.seen(api, linked), "rings": networks.rings(api)}
                cluster = cluster.model_copy(update=found)
        rows = guests.rows(api)
        resources = api.get("cluster/ha/resources") if rows else []
        if resources and standing.name:
            cluster = cluster.model_copy(update={"ha": rules.seen(api, resources, cluster.nodes)})
        vms = _vms(api, cluster_name, standing, known, thorough, rows, guests.told_by(resources))
    except MetalError as error:
        # VMs that could not be listed must not look as if there were none.
        api.silent = {**silent, chosen.name: error.what}
        return SeenCluster(), dict.fromkeys(api.nodes, "unknown"), {}
    api.silent = silent
    return cluster, dict(states), vms


def _states(api: Api, standing: Standing, silent: dict[str, str]) -> dict[str, NodeState]:
    states: dict[str, NodeState] = {}
    for name, node in api.nodes.items():
        if standing.name and name in standing.nodes:
            # A node without quorum sees only itself: what it misses may well be alive.
            missing: NodeState = "offline" if standing.quorate else "unknown"
            states[name] = "online" if standing.nodes[name] else missing
        elif name in silent:
            states[name] = "unknown"
        else:
            states[name] = _answers(node, silent)
    return states


def _answers(node: Node, silent: dict[str, str]) -> NodeState:
    try:
        Standing.of(node)
    except MetalError as error:
        silent[node.name] = error.what
        return "unknown"
    return "online"


def _formed(standing: Standing, silent: dict[str, str], solo: bool) -> bool | None:
    if standing.name or solo:
        return True
    # Nobody who answers is in a cluster; one who is silent might be.
    return None if silent else False


def _members(chosen: str, standing: Standing, solo: bool) -> tuple[str, ...]:
    if standing.name:
        return tuple(sorted(standing.nodes))
    return (chosen,) if solo else ()


def _vms(
    api: Api,
    cluster: str,
    standing: Standing,
    known: Known,
    thorough: bool,
    rows: list[dict[str, Any]],
    labels: dict[int, guests.Label],
) -> dict[str, SeenVm]:
    found: dict[str, SeenVm] = {}
    claimed = set(known.names.values())
    for row in rows:
        vmid, node = int(row["vmid"]), str(row["node"])
        label = labels.get(vmid, guests.Label(f"vm-{vmid}"))
        name = known.names.get(vmid) or str(row.get("name") or label.name)
        if name in found or (name in claimed and vmid not in known.names):
            name = f"{name}#{vmid}"
        # Of a node that is gone the cluster only repeats what it last heard.
        online = standing.nodes.get(node, False)
        own, shared = known.addresses.get(vmid, label.addresses), label.shared
        disk = None
        if online and vmid not in known.addresses and (thorough or vmid not in labels):
            config = _config(api, row)
            own, shared, disk = addresses(config), guests.shared(config), disk_of(config) or 0
        found[name] = SeenVm(
            vmid=vmid,
            cluster=cluster,
            server=node,
            state=guests.state_of(row) if online else "unknown",
            addresses=own,
            shared=shared,
            memory_mib=int(row["maxmem"]) >> 20 if row.get("maxmem") else None,
            vcpus=int(row["maxcpu"]) if row.get("maxcpu") else None,
            disk_gib=disk,
            kind=guests.kind_of(row),
        )
    return found


def _config(api: Api, row: dict[str, Any]) -> dict[str, Any]:
    """Empty where it cannot be read now."""
    path = f"nodes/{row['node']}/{row['type']}/{row['vmid']}/config"
    try:
        config: dict[str, Any] = api.node().get(path)
    except MetalError:
        return {}
    return config
