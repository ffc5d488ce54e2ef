"""The libvirt of a cluster, as its inventory says; connections are kept from look to look."""

from metal.controller.workspace import Workspace
from metal.drivers.libvirt import Boot, Host, Libvirt, Machine, Patience
from metal.model.errors import Refused
from metal.model.fleet import LibvirtAccess
from metal.model.life import Life

INSTALLED = frozenset({Life.INSTALLED, Life.MEMBER, Life.DRAINING})


def libvirt_of(workspace: Workspace, cluster: str) -> Libvirt:
    """Its installed servers; one driver a process while the inventory stays as it is."""
    access = workspace.inventory.clusters[cluster].libvirt
    if access is None:
        raise Refused("its servers do not run libvirt", where=cluster)
    hosts = _hosts(workspace, cluster, access)
    key = ("libvirt", cluster, access, tuple(hosts.items()))
    if key not in workspace.kept:
        workspace.kept[key] = _made(workspace, cluster, access, hosts)
    driver: Libvirt = workspace.kept[key]
    return driver


def _hosts(workspace: Workspace, cluster: str, access: LibvirtAccess) -> dict[str, str]:
    """Server → URI."""
    records = workspace.store.servers.all()
    members = workspace.inventory.clusters[cluster].servers
    return {
        name: access.uri.format(address=_bracketed(workspace, name))
        for name in members
        if name in records and records[name].life in INSTALLED
    }


def _bracketed(workspace: Workspace, server: str) -> str:
    address = workspace.inventory.servers[server].address
    return f"[{address}]" if address.version == 6 else str(address)


def _made(
    workspace: Workspace, cluster: str, access: LibvirtAccess, hosts: dict[str, str]
) -> Libvirt:
    boot = None
    if access.kernel and access.initrd:
        boot = Boot(access.kernel, access.initrd, access.cmdline)
    return Libvirt(
        [Host(name, uri) for name, uri in hosts.items()],
        cluster=cluster,
        machine=Machine(accel=access.accel, boot=boot),
        shared_unseen=access.shared_unseen,
        patience=Patience(poll=min(1.0, workspace.inventory.fleet.poll_seconds)),
    )
