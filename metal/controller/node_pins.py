"""Trust another certificate of a Proxmox node, once its cluster or a person vouched for it."""

from collections.abc import Callable

from metal.controller.repinning import check_shown
from metal.controller.workspace import Workspace
from metal.drivers.proxmox.contact import shown
from metal.inventory.mistakes import refuse_unknown
from metal.model.base import Frozen
from metal.model.errors import MetalError, Refused


class NodeRepinned(Frozen):
    server: str
    old: str | None
    new: str
    changed: bool
    by: str = ""
    """Which other node of its cluster vouched for it; "" for a person."""


def repin(
    workspace: Workspace,
    server: str,
    agreed: Callable[[str | None, str], bool],
    expected: str | None = None,
) -> NodeRepinned:
    """Pin what its API shows now. No credential is sent to it before.

    Refused where it is not the one `expected`, whatever is pinned and whoever vouches for it.
    """
    inventory = workspace.inventory
    refuse_unknown(server, inventory.servers, "server")
    known = inventory.servers[server]
    old = workspace.store.servers.get(server).node_fingerprint
    new = shown(*known.api)
    check_shown(server, new, expected)
    if new == old:
        return NodeRepinned(server=server, old=old, new=new, changed=False)
    by = _vouched(workspace, server, new)
    if not by and not agreed(old, new):
        raise Refused(
            "nothing was changed: that is not the certificate it should show",
            where=server,
            mend="somebody may sit in between: ask from another network",
        )
    workspace.store.servers.unpin(server)
    workspace.store.servers.pin(server, new)
    return NodeRepinned(server=server, old=old, new=new, changed=True, by=by)


def _vouched(workspace: Workspace, server: str, shows: str) -> str:
    """Another node of its cluster that says the same of it."""
    cluster = workspace.inventory.cluster_of(server)
    if cluster is None:
        return ""
    try:
        by, told = workspace.proxmox(cluster).certificate_of(server)
    except MetalError:
        return ""
    return by if told == shows else ""
