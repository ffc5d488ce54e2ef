"""The keys of a server's disks, as its own cryptsetup handles them."""

from metal.controller.workspace import Workspace
from metal.drivers.luks import Luks, encrypted_disks
from metal.drivers.ssh import Ssh


def disks_of(workspace: Workspace, server: str) -> list[Luks]:
    """The disks that the running server was unlocked with, over SSH as the controller."""
    runner = Ssh(workspace.ssh_host(server))
    return [Luks(runner, device) for device in encrypted_disks(runner)]
