"""Proxmox VE on servers whose Debian is installed: what the stage needs for it."""

from collections.abc import Callable

from metal.cluster.host import TEMPLATE, host_script
from metal.cluster.hosts import HostPorts, HostShell
from metal.controller.rehearsing import refuse_if_pinned
from metal.controller.unlocking import unlock_held
from metal.controller.workspace import Workspace
from metal.drivers.proxmox.hosting import DebianShell
from metal.drivers.ssh import Ssh
from metal.install.render import Templates
from metal.inventory.defaults import defaults

ShellOf = Callable[[str], HostShell]


def shell_of(workspace: Workspace) -> ShellOf:
    """Root's shell on an installed server, logged in to with the controller's own key."""
    return lambda server: DebianShell(Ssh(workspace.ssh_host(server)))


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
