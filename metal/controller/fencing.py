"""Fence a server by hand: off and proven so, for the watcher to restart its VMs elsewhere."""

import time

from metal.controller.powering import power_switch
from metal.controller.workspace import Workspace
from metal.heal.evidence import switch_off
from metal.model.base import Frozen
from metal.model.errors import MetalError, Refused, Unreachable

HEALING = ("recover", "drain")
"""Operations that a fenced server does not disturb: the first waits for just that."""
WHY = "somebody fences it with `metal fence`"


class Fenced(Frozen):
    """How a server was proven off."""

    server: str
    by: str
    """What switched and read it."""
    readings: tuple[str, ...]


def refuse_healthy(workspace: Workspace, server: str) -> None:
    """Refused where its cluster sees it online, where nobody in its cluster says that it is lost,
    and while it is at work for something else: no healthy server is fenced."""
    holder = workspace.store.journal.holder(f"server {server}")
    kind = workspace.store.journal.show(holder).kind if holder is not None else ""
    if kind and kind not in HEALING:
        _refuse(server, f"operation {holder} ({kind}) is open on it")
    cluster = workspace.inventory.cluster_of(server)
    if cluster is None:
        return
    try:
        seen, nodes, _ = workspace.hypervisor(cluster).look()
    except MetalError as error:
        _refuse(server, f"{cluster} does not say that it is lost: {error.what}")
    if nodes.get(server) == "online":
        _refuse(server, f"{cluster} sees it online: its VMs run there")
    if seen.quorate is not True:
        _refuse(server, f"{cluster} has no quorum: nothing restarts there anyway")
    if nodes.get(server) != "offline":
        _refuse(server, f"{cluster} does not say that it is lost")


def _refuse(server: str, why: str) -> None:
    raise Refused(
        why, where=server, mend="`metal drain` empties one that runs; --force fences it anyway"
    )


def fence(workspace: Workspace, server: str) -> Fenced:
    """Switched off by whatever switches it and read back; Unreachable where that is silent."""
    by_hand = f"pull all its power cords, then `metal fence {server} --i-have-pulled-the-plug`"
    if workspace.inventory.servers[server].power.driver == "manual":
        raise Refused("a person switches it", where=server, mend=by_hand)
    switch = power_switch(workspace, server, key="", why=WHY)
    pause = workspace.inventory.fleet.poll_seconds
    try:
        readings = switch_off(server, switch, lambda: time.sleep(pause))
    except Unreachable as error:
        raise Unreachable(error.what, where=error.where, mend=by_hand) from error
    finally:
        switch.close()
    return Fenced(server=server, by=switch.by, readings=tuple(readings))
