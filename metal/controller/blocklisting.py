"""Ceph's blocklist of a cluster, and what is taken off it when a server takes part again."""

from metal.controller.workspace import Workspace
from metal.drivers.ceph import Blocklist
from metal.drivers.ssh import Ssh
from metal.model.life import Life
from metal.schedule.restarts import ceph_addresses

SHUT_OUT = 7 * 86_400.0
"""Seconds. `metal release` ends it; nobody's word is needed for it to end at last."""
_ASKED = frozenset({Life.MEMBER, Life.DRAINING})


def blocklist(workspace: Workspace, cluster: str, *, but: str) -> Blocklist:
    """Through any server of the cluster but that one."""
    records = workspace.store.servers.all()
    hosts = [
        Ssh(workspace.ssh_host(name))
        for name in workspace.inventory.clusters[cluster].servers
        if name != but and name in records and records[name].life in _ASKED
    ]
    return Blocklist(hosts)


def let_in(workspace: Workspace, server: str) -> None:
    """Its Ceph clients may write again. Nothing is asked where metal shuts nobody out."""
    inventory = workspace.inventory
    cluster = inventory.cluster_of(server)
    if cluster is None or not inventory.clusters[cluster].shuts_out:
        return
    addresses = ceph_addresses(inventory, server)
    blocklist(workspace, cluster, but=server).ensure_not_listed(addresses)
