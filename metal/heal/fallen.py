"""Start again what a server's own restart stopped, where no HA does it. Pure.

It came back before anybody fenced it: its VMs are where they were, and nobody else runs them. A VM
that was stopped while its server ran on is somebody's wish, and left alone: its host knows that it
was stopped. What the host's own start stopped it knows nothing of, and that is believed where
nobody looked meanwhile.
"""

from collections.abc import Collection, Iterator, Sequence

from metal.model.fleet import Inventory
from metal.model.life import Life, Status
from metal.model.plan import Risk, StartVm
from metal.model.world import SeenServer, SeenVm, World


def fell(
    inventory: Inventory, world: World, past: Sequence[World], known: Collection[str]
) -> frozenset[str]:
    """Which VMs went with their server's power, as far as anybody can tell: what ran when it was
    last told of, and is off for no reason or not told of any more. `known`: what was found before;
    `past`: the looks before this one, oldest first.

    Whoever watches next must know it: by then the server may be back, and its VMs just stopped.
    """
    found = {name for name in known if name in inventory.vms and name not in world.vms}
    for name, seen in world.vms.items():
        if not _is_ours(inventory, name, seen) or not _may_have_fallen(name, seen, world, past):
            continue
        if name in known or _ran(name, past):
            found.add(name)
    return frozenset(found)


def _may_have_fallen(name: str, seen: SeenVm, world: World, past: Sequence[World]) -> bool:
    """What is silent once is not written down: one question in a hundred gets no answer."""
    if seen.state != "unknown":
        return seen.state == "stopped" and seen.untold
    lost = world.servers.get(seen.server, SeenServer()).node == "offline"
    before = past[-1].vms.get(name) if past else None
    return lost or (before is not None and before.state == "unknown")


def fallen(
    inventory: Inventory, world: World, before: World | None, down: Collection[str]
) -> Iterator[StartVm]:
    """What of `down`, the VMs that fell, is to be started where it is.

    `stopped` is proof that no other copy runs: while any host of such a cluster is silent, a VM
    that one shows as stopped is told as `unknown`. Two looks in a row must show it.
    """
    for name, seen in sorted(world.vms.items()):
        if name not in down or not _is_ours(inventory, name, seen):
            continue
        if _takes_part(world, seen.server) and _stays_down(name, seen, world, before):
            yield _start(name, seen)


def _is_ours(inventory: Inventory, name: str, seen: SeenVm) -> bool:
    """To run by the inventory, in a cluster where no HA sees to that."""
    wanted, cluster = inventory.vms.get(name), inventory.clusters.get(seen.cluster)
    return wanted is not None and wanted.running and cluster is not None and not cluster.has_ha


def _ran(name: str, past: Sequence[World]) -> bool:
    """When somebody last told whether it runs: a lost server's VMs are `unknown`."""
    states = (look.vms[name].state for look in reversed(past) if name in look.vms)
    return next((state for state in states if state != "unknown"), "stopped") == "running"


def _takes_part(world: World, server: str) -> bool:
    seen = world.servers.get(server, SeenServer())
    return seen.node == "online" and seen.life is Life.MEMBER and seen.status is not Status.HELD


def _stays_down(name: str, seen: SeenVm, world: World, before: World | None) -> bool:
    then = before.vms.get(name) if before else None
    quorate = seen.cluster in world.clusters and world.clusters[seen.cluster].quorate is True
    same = then is not None and (then.state, then.server) == ("stopped", seen.server)
    return quorate and seen.state == "stopped" and same


def _start(name: str, seen: SeenVm) -> StartVm:
    return StartVm(
        vm=name,
        vmid=seen.vmid,
        cluster=seen.cluster,
        server=seen.server,
        what=f"start {name} again on {seen.server}",
        why=f"{seen.server} was away and came back by itself; nobody else runs it",
        risk=Risk.SAFE,
    )
