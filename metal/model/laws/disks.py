"""The law of disks: what a cluster promises its VMs, it can hold with any one server lost."""

from collections.abc import Iterator

from metal.model.disks import data_disks, system_gib
from metal.model.laws.after import After
from metal.model.laws.breach import Breach

FULL = 0.85
"""Ceph warns from there on."""
COPIES = 3
DEBIAN_GIB = 40
"""Of a disk that Debian and VMs share."""


def disk_laws(after: After) -> Iterator[Breach]:
    """Judged where the plan places something. Disks that nobody knows hold nothing."""
    placed = {p.cluster for p in after.places}
    for cluster in sorted(placed):
        told = after.inventory.clusters[cluster]
        if told.ceph:
            yield from _shared(cluster, after)
        elif told.holds_gib is not None:
            yield from _elsewhere(cluster, told.holds_gib, after)
        else:
            for server in sorted({p.server for p in after.places if p.cluster == cluster}):
                yield from _local(server, after)


def _shared(cluster: str, after: After) -> Iterator[Breach]:
    seen = after.world.clusters.get(cluster)
    if seen and seen.ceph_full:
        what = f"gets VMs, and its Ceph is nearly full ({FULL:.0%}) already"
        yield Breach(law="disk", subject=cluster, what=what)
    guests = [r for r in after.residents.values() if r.cluster == cluster]
    for guest in guests:
        if guest.disk_gib is None:
            what = f"gets VMs beside {guest.name}, whose disks nobody knows"
            yield Breach(law="disk", subject=cluster, what=what)
    wanted = sum(g.disk_gib or 0 for g in guests)
    sizes: list[int] = []
    for server in after.inventory.clusters[cluster].servers:
        disks = data_disks(after.inventory.profile(server), after.inventory.servers[server])
        if not disks:
            what = f"gets VMs, but the disks of {server} are not known"
            yield Breach(law="disk", subject=cluster, what=what)
            return
        sizes.append(sum(d.size_gib for d in disks))
    losses = [sizes[:k] + sizes[k + 1 :] for k in range(len(sizes))]
    left = losses if len(sizes) > COPIES else [sizes]
    if any(not _holds(rest, wanted) for rest in left):
        what = f"{wanted} GiB are promised to VMs, more than Ceph holds at {FULL:.0%}"
        yield Breach(law="disk", subject=cluster, what=what)


def _elsewhere(cluster: str, holds: int, after: After) -> Iterator[Breach]:
    """On a storage that all its servers share and whose size the inventory tells."""
    guests = [r for r in after.residents.values() if r.cluster == cluster]
    for guest in guests:
        if guest.disk_gib is None:
            what = f"gets VMs beside {guest.name}, whose disks nobody knows"
            yield Breach(law="disk", subject=cluster, what=what)
    if (wanted := sum(g.disk_gib or 0 for g in guests)) > holds:
        what = f"{wanted} GiB are promised to VMs, its storage holds {holds}"
        yield Breach(law="disk", subject=cluster, what=what)


def _holds(sizes: list[int], wanted: int) -> bool:
    """A copy a server, so no server is asked for more than all of the data."""
    filled = wanted / FULL
    return sum(min(size, filled) for size in sizes) >= min(COPIES, len(sizes)) * filled - 1e-6


def _local(server: str, after: After) -> Iterator[Breach]:
    size = system_gib(after.inventory.profile(server), after.inventory.servers[server])
    if size is None:
        yield Breach(law="disk", subject=server, what="gets VMs, but its disks are not known")
        return
    room = size - DEBIAN_GIB
    guests = after.on(server)
    for guest in guests:
        if guest.disk_gib is None:
            what = f"gets VMs beside {guest.name}, whose disks nobody knows"
            yield Breach(law="disk", subject=server, what=what)
    if sum(g.disk_gib or 0 for g in guests) > room:
        what = f"{sum(g.disk_gib or 0 for g in guests)} GiB are promised to VMs, it has {room}"
        yield Breach(law="disk", subject=server, what=what)
