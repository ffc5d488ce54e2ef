"""How much the disks of a cluster hold, with any one server lost."""

from metal.model.disks import data_disks
from metal.model.fleet import Inventory

CEPH_FULL = 0.85
"""Share of a cluster's disks that is promised: Ceph warns from there on, and stops at 0.95."""
CEPH_COPIES = 3
UNLIMITED = float("inf")
SYSTEM_GIB = 40
"""Of a solo machine's disk, for Debian itself."""


def short_of_disk(limit: float | None, used: int, wanted: int) -> str:
    """Why so many GiB do not fit beside `used`; a limit of None is not known, so nothing fits."""
    if wanted and limit is None:
        return "its disks are not known"
    if limit is not None and used + wanted > limit:
        return f"its disks have {max(0, int(limit - used))} GiB left"
    return ""


def shared_gib(inventory: Inventory, cluster: str) -> float | None:
    """What VMs' disks may take in all; None if that is not known, UNLIMITED where each server has
    a limit of its own."""
    told = inventory.clusters[cluster]
    if told.ceph:
        return ceph_gib(inventory, cluster)
    return UNLIMITED if told.holds_gib is None else told.holds_gib


def ceph_gib(inventory: Inventory, cluster: str) -> float | None:
    """What Ceph can hold in three copies with any one server lost; None if a disk list is
    missing. Three servers keep two copies of all then: they are as full as before."""
    sizes: list[int] = []
    for server in inventory.clusters[cluster].servers:
        disks = data_disks(inventory.profile(server), inventory.servers[server])
        if not disks:
            return None
        sizes.append(sum(d.size_gib for d in disks))
    if len(sizes) <= CEPH_COPIES:
        return CEPH_FULL * min(sizes)
    return CEPH_FULL * min(copied_gib(sizes[:i] + sizes[i + 1 :]) for i in range(len(sizes)))


def copied_gib(sizes: list[int]) -> float:
    """The most that fits in three copies, each on a server of its own: a server larger than all
    the data holds no more than the data."""
    left, copies = sorted(sizes, reverse=True), CEPH_COPIES
    while copies > 1 and left[0] * copies > sum(left):
        left, copies = left[1:], copies - 1
    return sum(left) / copies
