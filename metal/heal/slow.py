"""For how long Ceph has called the disks of one server slow, and nothing else wrong. Pure."""

from collections.abc import Sequence

from metal.heal.past import Look
from metal.model.base import Frozen
from metal.model.world import SeenCluster, World

SLOW = 300.0
"""Seconds in every look: a burst of writes makes any disk slow for a while."""


class Slow(Frozen):
    osds: tuple[str, ...] = ()
    seconds: float = 0.0
    """For which every look has told so; one that did not get to know ends it, too."""

    @property
    def lasts(self) -> bool:
        return self.seconds >= SLOW

    @property
    def said(self) -> tuple[str, ...]:
        if not self.osds:
            return ()
        return (f"Ceph calls {', '.join(self.osds)} slow, no other OSD and nothing else wrong",)

    @property
    def remedy(self) -> str:
        """What a person does about the disk, which serves on when its server is empty of VMs."""
        outs = "; ".join(f"`ceph osd out {osd.removeprefix('osd.')}`" for osd in self.osds)
        safe = " and ".join(f"`ceph osd safe-to-destroy {osd}`" for osd in self.osds)
        return (
            f"Emptying the server does not take the slow disk out of Ceph: {outs} on a node of its "
            f"cluster does. Leave the disk in place until {safe} agrees; then see to it."
        )


def slow(cluster: str | None, server: str, world: World, past: Sequence[Look] = ()) -> Slow:
    """`past`: the looks before this one, oldest first."""
    osds = _osds(cluster, server, world)
    seconds = 0.0
    for look in reversed(past if osds else ()):
        if not _osds(cluster, server, look.world):
            break
        seconds = look.ago
    return Slow(osds=osds, seconds=seconds)


def _osds(cluster: str | None, server: str, world: World) -> tuple[str, ...]:
    return world.clusters.get(cluster or "", SeenCluster()).ceph_slow.get(server, ())
