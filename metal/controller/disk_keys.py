"""The keys of servers' disks, as their own cryptsetup handles them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from metal.controller.workspace import Workspace
from metal.drivers.dropbear import Dropbear
from metal.drivers.identities import Identity
from metal.drivers.luks import Luks, encrypted_disks
from metal.drivers.ssh import Ssh, agent

Disks = Callable[[str], list[Luks]]
"""Logs in to a server and finds the disks that it unlocks at boot."""


def disks_of(workspace: Workspace, server: str, agent: Path | None = None) -> list[Luks]:
    """Logged in with what the agent holds, else as the controller."""
    runner = Ssh(workspace.ssh_host(server, agent))
    return [Luks(runner, device) for device in encrypted_disks(runner)]


def dropbear(workspace: Workspace, server: str, agent: Path | None = None) -> Dropbear:
    """The door of its initramfs, by that one's own pinned host key."""
    host = workspace.ssh_host(server, agent)
    return Dropbear(host, workspace.host_keys.of(server, "initramfs"))


@contextmanager
def agent_of(identity: Identity | None) -> Iterator[Path | None]:
    """An SSH agent with an administrator's key; None where there is no SSH key at hand, and the
    controller's must do."""
    if identity is None or identity.ssh is None:
        yield None
        return
    with agent(identity.ssh) as socket:
        yield socket


@contextmanager
def logged_in_as(workspace: Workspace, identity: Identity | None) -> Iterator[Disks]:
    """With an administrator's SSH key where one is at hand, else with the controller's."""
    with agent_of(identity) as socket:
        yield lambda server: disks_of(workspace, server, socket)
