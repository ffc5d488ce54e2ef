"""The keys of servers' disks, as their own cryptsetup handles them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from metal.controller.workspace import Workspace
from metal.drivers.identities import Identity
from metal.drivers.luks import Luks, encrypted_disks
from metal.drivers.ssh import Ssh, SshHost, agent

Disks = Callable[[str], list[Luks]]
"""Logs in to a server and finds the disks that it unlocks at boot."""


def disks_of(workspace: Workspace, server: str) -> list[Luks]:
    """Logged in as the controller."""
    return _disks(workspace.ssh_host(server))


@contextmanager
def logged_in_as(workspace: Workspace, identity: Identity | None) -> Iterator[Disks]:
    """With an administrator's SSH key where one is at hand, else with the controller's."""
    if identity is None or identity.ssh is None:
        yield lambda server: disks_of(workspace, server)
        return
    with agent(identity.ssh) as socket:
        yield lambda server: _disks(workspace.ssh_host(server, socket))


def _disks(host: SshHost) -> list[Luks]:
    runner = Ssh(host)
    return [Luks(runner, device) for device in encrypted_disks(runner)]
