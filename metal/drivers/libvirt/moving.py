"""Live migration between two hosts, driven from here: if we die, the VM stays where it was."""

from typing import Any

from metal.drivers.libvirt.calls import libvirt, told
from metal.drivers.libvirt.disks import LOCAL
from metal.drivers.libvirt.guests import find, forget_stale
from metal.drivers.libvirt.hosts import Host, Hosts
from metal.drivers.libvirt.look import Copy
from metal.model.errors import Failed, Refused, Unreachable


def ensure_migrated(
    hosts: Hosts, vmid: int, target: str, mib_s: int = 0, *, shared_unseen: bool
) -> None:
    """`shared_unseen`: the pool's directory is shared in a way that libvirt cannot tell."""
    at = find(hosts, vmid)
    if at.node == target and at.state != "unknown":
        return
    try:
        there = hosts[target].connection(hosts.patience)
    except Unreachable as error:
        raise Refused(
            f"VM {vmid} cannot move to {target}: {error.what}",
            where=at.node,
            mend="choose another target: plan again",
        ) from error
    if at.state == "unknown":
        raise Unreachable(f"VM {vmid} is paused: it moves, or its disk is gone", where=at.node)
    if at.state == "stopped":
        _redefine(hosts, at, target)
    else:
        _live(hosts, at, target, there, mib_s, shared_unseen)
        forget_stale(hosts, vmid)


def _redefine(hosts: Hosts, at: Copy, target: str) -> None:
    """A stopped VM on a disk that both have is but its definition."""
    if at.told.pool == LOCAL:
        raise Refused(
            f"{at.told.name} is stopped and its disk is on {at.node} only",
            where=at.node,
            mend="start it: while it runs, its disk can be copied along",
        )

    def read(connection: Any) -> str:
        flags = libvirt().VIR_DOMAIN_XML_INACTIVE | libvirt().VIR_DOMAIN_XML_SECURE
        return str(connection.lookupByName(at.told.name).XMLDesc(flags))

    xml = hosts.call(at.node, read)
    hosts.call(target, lambda connection: connection.defineXML(xml))
    hosts.call(at.node, lambda connection: connection.lookupByName(at.told.name).undefine())


def _live(hosts: Hosts, at: Copy, target: str, there: Any, mib_s: int, shared_unseen: bool) -> None:
    module = libvirt()
    flags = (
        module.VIR_MIGRATE_LIVE
        | module.VIR_MIGRATE_PERSIST_DEST
        | module.VIR_MIGRATE_UNDEFINE_SOURCE
        # A guest that writes faster than the network carries is slowed down until it moves.
        | module.VIR_MIGRATE_AUTO_CONVERGE
    )
    if at.told.pool == LOCAL:
        flags |= module.VIR_MIGRATE_NON_SHARED_DISK
    elif shared_unseen:
        flags |= module.VIR_MIGRATE_UNSAFE

    def move(connection: Any) -> None:
        domain = connection.lookupByName(at.told.name)
        try:
            domain.migrate3(there, way(hosts[target], mib_s), flags)
        except module.libvirtError as error:
            raise told(error, at.node) from error

    try:
        hosts.call(at.node, move, seconds=hosts.patience.migrate)
    except Failed as error:
        raise Failed(
            f"{at.told.name} did not move to {target}: {error.what}",
            where=at.node,
            mend="it runs on where it was",
        ) from error
    except Unreachable:
        _abort(hosts, at)
        raise


def way(target: Host, mib_s: int) -> dict[str, Any]:
    """Where a VM is sent, and how fast: its disk, where that is copied along, counts too."""
    module = libvirt()
    address = target.address or (target.where[0] if target.where else "")
    found: dict[str, Any] = {module.VIR_MIGRATE_PARAM_URI: f"tcp://{address}"} if address else {}
    return found | ({module.VIR_MIGRATE_PARAM_BANDWIDTH: mib_s} if mib_s else {})


def _abort(hosts: Hosts, at: Copy) -> None:
    """It took too long: what still runs on the source goes on there."""
    try:
        hosts.call(at.node, lambda connection: connection.lookupByName(at.told.name).abortJob())
    except (Failed, Unreachable):
        return
