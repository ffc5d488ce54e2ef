"""What it would take to take in what has nowhere to go: the smallest room that is missing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from metal.model.fleet import Disk, Inventory, Server
from metal.model.world import World
from metal.schedule.withdraw import leaving, relocate

MOST_GIB = 1024
"""Memory a server that is tried at most."""
MOST_DISK_GIB = 16_384
MOST_ADDRESSES = 64
NOBODYS = IPv4Address("240.0.0.1")
"""The first of addresses that no network has: they stand for those that would be added."""
TRIED = 8
"""Clusters that are tried, those with most memory first."""


@dataclass(frozen=True)
class Missing:
    """With so much more in each server of a cluster, and at its site, all VMs have a place."""

    cluster: str
    site: str
    servers: int
    memory_gib: int
    """A server; 0: its memory does."""
    disk_gib: int
    """A server; 0: its disks do."""
    addresses: int
    """Public IPv4 addresses of its site; 0: those it has do."""

    def __str__(self) -> str:
        parts = [f"{self.memory_gib} GiB of memory"] if self.memory_gib else []
        parts += [f"{self.disk_gib} GiB of disk"] if self.disk_gib else []
        said = [f"{' and '.join(parts)} more in each server of {self.cluster}"] if parts else []
        if self.addresses:
            noun = "address" if self.addresses == 1 else "addresses"
            said.append(f"{self.addresses} more IPv4 {noun} at {self.site}")
        return " and ".join(said)


def missing(inventory: Inventory, world: World, name: str) -> tuple[Missing, ...]:
    """For each cluster that could take in the rest if it were larger, the least that does; the
    smallest first. Empty where no room would help: something else is missing."""
    found = [m for c in _clusters(inventory, name) for m in _least(inventory, world, name, c)]
    return tuple(
        sorted(found, key=lambda m: (m.memory_gib * m.servers, m.disk_gib, m.addresses, m.cluster))
    )


def _clusters(inventory: Inventory, name: str) -> list[str]:
    _, gone = leaving(inventory, name)
    several = {
        c: cluster.servers
        for c, cluster in inventory.clusters.items()
        if c not in gone and cluster.restarts
    }
    memory = {c: sum(_memory(inventory, s) for s in servers) for c, servers in several.items()}
    return sorted(several, key=lambda c: (-memory[c], c))[:TRIED]


def _memory(inventory: Inventory, server: str) -> int:
    learned = inventory.servers[server].learned
    return (learned.memory_gib or 0) if learned else 0


def _least(inventory: Inventory, world: World, name: str, cluster: str) -> Iterator[Missing]:
    def enough(memory: int, disk: int, addresses: int) -> bool:
        grown = larger(inventory, cluster, memory, disk, addresses)
        return not relocate(grown, world, name).stranded

    if not enough(MOST_GIB, MOST_DISK_GIB, MOST_ADDRESSES):
        return
    memory = _smallest(MOST_GIB, lambda m: enough(m, MOST_DISK_GIB, MOST_ADDRESSES))
    disk = _smallest(MOST_DISK_GIB, lambda d: enough(memory, d, MOST_ADDRESSES))
    addresses = _smallest(MOST_ADDRESSES, lambda a: enough(memory, disk, a))
    yield Missing(
        cluster=cluster,
        site=inventory.site_of(cluster),
        servers=len(inventory.clusters[cluster].servers),
        memory_gib=memory,
        disk_gib=disk,
        addresses=addresses,
    )


def _smallest(most: int, enough: Callable[[int], bool]) -> int:
    """By halving, of what does; `most` does."""
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return high


def larger(inventory: Inventory, cluster: str, memory: int, disk: int, addresses: int) -> Inventory:
    """With so much more in each server of the cluster, where it is known what they have, and so
    many more addresses at its site."""
    names, site = inventory.clusters[cluster].servers, inventory.site_of(cluster)
    grown = {name: _grown(inventory.servers[name], memory, disk) for name in names}
    pool = inventory.sites[site].ipv4_pool
    if addresses:
        pool = (*pool, f"{NOBODYS}-{NOBODYS + (addresses - 1)}")
    sites = {site: inventory.sites[site].model_copy(update={"ipv4_pool": pool})}
    return inventory.model_copy(
        update={"servers": inventory.servers | grown, "sites": inventory.sites | sites}
    )


def _grown(server: Server, memory: int, disk: int) -> Server:
    learned = server.learned
    if learned is None:
        return server
    has = learned.memory_gib
    more = {
        "memory_gib": None if has is None else has + memory,
        "disks": _with_more(learned.disks, disk),
    }
    return server.model_copy(update={"learned": learned.model_copy(update=more)})


def _with_more(disks: tuple[Disk, ...], gib: int) -> tuple[Disk, ...]:
    """The largest holds so much more: it is none that Debian is on, where there are several."""
    if not disks:
        return disks
    largest = max(range(len(disks)), key=lambda n: disks[n].size_gib)
    grown = disks[largest].model_copy(update={"size_gib": disks[largest].size_gib + gib})
    return (*disks[:largest], grown, *disks[largest + 1 :])
