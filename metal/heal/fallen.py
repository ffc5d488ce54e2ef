"""Start again what a server's own restart stopped, where no HA does it. Pure.

It came back before anybody fenced it: its VMs are where they were, and nobody else runs them. A VM
that was stopped while its server ran on is somebody's wish, and left alone.
"""

from collections.abc import Iterator, Sequence

from metal.heal.past import Look
from metal.model.fleet import Inventory
from metal.model.life import Life, Status
from metal.model.plan import Risk, StartVm
from metal.model.world import SeenServer, SeenVm, World


def fallen(inventory: Inventory, world: World, past: Sequence[Look]) -> Iterator[StartVm]:
    """What is to be started where it is.

    `stopped` is proof that no other copy runs: while any host of such a cluster is silent, a VM
    that one shows as stopped is told as `unknown`. Two looks in a row must show it.
    """
    for name, seen in sorted(world.vms.items()):
        wanted = inventory.vms.get(name)
        cluster = inventory.clusters.get(seen.cluster)
        if wanted is None or not wanted.running or cluster is None or cluster.has_ha:
            continue
        back = _takes_part(world, seen.server) and _was_away(seen.server, past)
        if back and _stays_down(name, seen, world, past):
            yield _start(name, seen)


def _takes_part(world: World, server: str) -> bool:
    seen = world.servers.get(server, SeenServer())
    return seen.node == "online" and seen.life is Life.MEMBER and seen.status is not Status.HELD


def _stays_down(name: str, seen: SeenVm, world: World, past: Sequence[Look]) -> bool:
    before = past[-1].world.vms.get(name) if past else None
    quorate = seen.cluster in world.clusters and world.clusters[seen.cluster].quorate is True
    same = before is not None and (before.state, before.server) == ("stopped", seen.server)
    return quorate and seen.state == "stopped" and same


def _was_away(server: str, past: Sequence[Look]) -> bool:
    """It was lost to its cluster in one of the looks that are remembered."""
    return any(look.world.servers.get(server, SeenServer()).node == "offline" for look in past)


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
