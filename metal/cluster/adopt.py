"""A cluster found running, in the inventory's words. Pure: what is read becomes tables.

What a person wrote stands: names, groups, sites, racks and treatments that are there already are
never changed. What the cluster itself says (cores, memory, disks, addresses) is.
"""

from collections.abc import Iterator
from typing import Any

from metal.cluster.adopting import naming, places
from metal.cluster.adopting.vms import tables_of
from metal.model.base import Frozen
from metal.model.errors import Refused
from metal.model.fleet import Inventory
from metal.model.found import FoundCluster, FoundGuest, FoundNode, FoundStorage

Table = tuple[tuple[str, ...], dict[str, Any]]
"""Where in inventory.toml, and the keys that must stand there."""
API_PORT = 8006
CEPH, PLAIN = "ceph-node", "adopted"
"""Profiles of servers with and without Ceph."""


class Adoption(Frozen):
    """What an adoption writes and what it tells."""

    cluster: str
    """Our name for it."""
    site: str
    servers: tuple[str, ...]
    """All of it, whether new or known already."""
    tables: tuple[Table, ...] = ()
    """In order: what is not there is added, what is there gets these keys."""
    told: tuple[str, ...] = ()
    """What is left as it is, and why; what a person should see to."""


def adopt(
    inventory: Inventory, found: FoundCluster, *, name: str | None = None, site: str | None = None
) -> Adoption:
    """Refused, saying what to do, where the cluster and the inventory contradict each other."""
    _nodes_fit(inventory, found)
    cluster = naming.cluster(inventory, found, name)
    place, site_tables = places.site_of(inventory, found, cluster, site)
    vms, told = tables_of(inventory, found, cluster)
    return Adoption(
        cluster=cluster,
        site=place,
        servers=tuple(node.name for node in found.nodes),
        tables=(
            *site_tables,
            *(t for node in found.nodes for t in _server(inventory, found, node, place)),
            *_cluster(inventory, found, cluster),
            *vms,
        ),
        told=(*_strangers(inventory, found, cluster), *told, *_left_alone(found), *found.unread),
    )


def _nodes_fit(inventory: Inventory, found: FoundCluster) -> None:
    addresses = {str(server.address): name for name, server in inventory.servers.items()}
    for node in found.nodes:
        if not naming.GOOD.fullmatch(node.name):
            raise Refused(
                f"its name {node.name!r} is no name for a server here",
                where=node.name,
                mend="lower-case letters, digits and hyphens, a letter first: rename the node in "
                "Proxmox before (the Proxmox wiki has how)",
            )
        if node.address is None:
            raise Refused(
                "nobody tells its address",
                where=node.name,
                mend="let its name lead to its address in /etc/hosts of the other nodes, and "
                "adopt again",
            )
        known = inventory.servers.get(node.name)
        if known is not None and str(known.address) != node.address:
            raise Refused(
                f"the inventory has it at {known.address}, the cluster at {node.address}",
                where=node.name,
                mend="correct whichever is wrong: one server, one name, one address",
            )
        other = addresses.get(node.address, node.name)
        if other != node.name:
            raise Refused(
                f"the inventory calls the server at {node.address} {other}",
                where=node.name,
                mend=f"rename [servers.{other}] to [servers.{node.name}]: the server's name is its "
                "node's name",
            )


def _server(
    inventory: Inventory, found: FoundCluster, node: FoundNode, site: str
) -> Iterator[Table]:
    path = ("servers", node.name)
    if node.name not in inventory.servers:
        profile = CEPH if found.ceph and CEPH in inventory.profiles else PLAIN
        new: dict[str, Any] = {
            "site": site,
            "rack": "?",
            "profile": profile,
            "address": node.address,
        }
        if node.host is not None:
            new["api_host"] = node.host
        port = _port(found, node)
        if port != API_PORT:
            new["api_port"] = port
        # Until somebody says where its BMC is, a person is what switches it.
        yield path, {**new, "power": {"driver": "manual"}}
    learned = _learned(node)
    if learned:
        yield (*path, "learned"), learned


def _port(found: FoundCluster, node: FoundNode) -> int:
    """Of a node that is down what most of its brothers have."""
    if node.answers:
        return node.port
    ports = [other.port for other in found.nodes if other.answers and other.host is None]
    return max(set(ports), key=ports.count, default=API_PORT)


def _learned(node: FoundNode) -> dict[str, Any]:
    told = {
        "cpu": node.cpu,
        "cores": node.cores,
        "threads": node.threads,
        "memory_gib": node.memory_gib,
        "disks": [disk.model_dump(exclude_none=True) for disk in node.disks],
    }
    return {key: value for key, value in told.items() if value}


def _cluster(inventory: Inventory, found: FoundCluster, cluster: str) -> Iterator[Table]:
    nodes = [node.name for node in found.nodes]
    known = inventory.clusters.get(cluster)
    if known is not None:
        servers = [*known.servers, *(n for n in nodes if n not in known.servers)]
        if servers != list(known.servers):
            yield ("clusters", cluster), {"servers": servers}
        return
    new: dict[str, Any] = {"servers": nodes, "ceph": found.ceph}
    if found.name is not None and found.name != cluster:
        new["called"] = found.name
    new["only_pinned"] = True  # nobody asked for more VMs there yet
    if (storage := _shared(found)) is not None:
        new["storage"] = storage.name
        if storage.gib is not None and not found.ceph:  # what Ceph holds its disks tell
            new["storage_gib"] = storage.gib
    yield ("clusters", cluster), new


def _shared(found: FoundCluster) -> FoundStorage | None:
    """A storage for VM disks that every node reaches; Ceph's before others."""
    fit = [s for s in found.storages if s.shared and s.images]
    return min(fit, key=lambda s: (s.kind != "rbd", s.name)) if fit else None


def _strangers(inventory: Inventory, found: FoundCluster, cluster: str) -> Iterator[str]:
    known = inventory.clusters.get(cluster)
    for name in known.servers if known else ():
        if name not in {node.name for node in found.nodes}:
            yield f"{name} is in the inventory's {cluster} and not in the cluster"


def _left_alone(found: FoundCluster) -> Iterator[str]:
    for kind, words in (("container", "counted, not managed"), ("template", "left alone")):
        there = [_called(g) for g in found.guests if g.kind == kind]
        if there:
            plural = "s" if len(there) > 1 else ""
            yield f"{len(there)} {kind}{plural} ({words}): {', '.join(there)}"


def _called(guest: FoundGuest) -> str:
    return f"{guest.vmid} {guest.name}".strip()
