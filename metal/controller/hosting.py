"""Proxmox VE on servers whose Debian is installed: what the stage needs for it."""

from collections.abc import Callable
from dataclasses import replace

from metal.cluster.host import TEMPLATE, host_script
from metal.cluster.host_networks import NetworkPorts
from metal.cluster.hosts import HostPorts
from metal.cluster.rings import RingPorts
from metal.controller.rehearsing import refuse_if_pinned
from metal.controller.unlocking import unlock_held
from metal.controller.workspace import Workspace
from metal.drivers.proxmox.corosync import RingShell
from metal.drivers.proxmox.network_trial import NetworkShell
from metal.drivers.ssh import Ssh
from metal.install.render import Templates
from metal.inventory.defaults import defaults
from metal.model.fleet import Inventory
from metal.network.engines.hosts import render_host_interfaces

ShellOf = Callable[[str], NetworkShell]


def shell_of(workspace: Workspace) -> ShellOf:
    """Root's shell on an installed server, logged in to with the controller's own key."""
    return lambda server: NetworkShell(Ssh(workspace.ssh_host(server)))


def render_host(workspace: Workspace, server: str) -> str:
    """The script that makes a server's Debian a Proxmox VE host."""
    templates = Templates([workspace.folder, defaults()])
    return templates.render(TEMPLATE, **dict(host_script(workspace.inventory, server)))


def host_ports(workspace: Workspace, shell: ShellOf | None = None) -> HostPorts:
    servers = workspace.store.servers
    return HostPorts(
        # What has Proxmox has told its certificate: when it was installed or adopted.
        bare=lambda server: servers.get(server).node_fingerprint is None,
        script=lambda server: render_host(workspace, server),
        shell=shell or shell_of(workspace),
        pin=servers.pin,
        rehearse=lambda server: refuse_if_pinned(workspace, server),
        unlock=lambda server: unlock_held(workspace, server),
        every=workspace.inventory.fleet.poll_seconds,
    )


def network_ports(workspace: Workspace, shell: ShellOf | None = None) -> NetworkPorts:
    inventory = workspace.inventory
    return NetworkPorts(
        shell=shell or shell_of(workspace),
        links=inventory.links,
        address=lambda server: str(inventory.servers[server].address),
        render=lambda server, links: render_host_interfaces(
            server, inventory.places(server, links)
        ),
        every=inventory.fleet.poll_seconds,
    )


NOTICED_AFTER = 15.0
"""Seconds for ifreload, and for corosync to miss a node: its token is lost within some four."""
FENCED_AFTER = 60.0
"""Seconds without quorum after which the watchdog of a node that HA is active on resets it."""


def changing_ports(workspace: Workspace, cluster: str) -> NetworkPorts:
    """Of a cluster that is formed: a host has its old network back before it would be fenced."""
    hypervisor = workspace.proxmox(cluster)
    return replace(
        network_ports(workspace),
        doubts=lambda: hypervisor.condition().doubts(),
        trial=FENCED_AFTER * 2 / 3,
        settle=NOTICED_AFTER,
    )


def ring_ports(workspace: Workspace, cluster: str) -> RingPorts:
    hypervisor = workspace.proxmox(cluster)
    return RingPorts(
        shell=lambda server: RingShell(Ssh(workspace.ssh_host(server))),
        doubts=lambda: hypervisor.condition().doubts(),
        every=workspace.inventory.fleet.poll_seconds,
        trial=FENCED_AFTER * 2 / 3,
    )


def rings(inventory: Inventory, cluster: str) -> dict[str, tuple[str, ...]]:
    """Server → its addresses for corosync: its own network first, management if that fails."""
    found: dict[str, tuple[str, ...]] = {}
    for server in inventory.clusters[cluster].servers:
        places = inventory.places(server, inventory.links(server))
        if "corosync" in places:
            management = inventory.servers[server].address
            found[server] = (str(places["corosync"].address.ip), str(management))
    return found


def ceph_networks(inventory: Inventory, cluster: str) -> tuple[str, str]:
    """(Ceph's, what OSDs copy among themselves, "" where that is the same), by the servers'
    cards."""
    subnets = inventory.sites[inventory.site_of(cluster)].subnets
    links = inventory.links(inventory.clusters[cluster].servers[0])
    network = subnets.ceph if "ceph" in links and subnets.ceph else subnets.management
    apart = subnets.replication if "replication" in links else None
    return str(network), str(apart) if apart else ""
