"""A site or a cluster is lost or given up: where each of its VMs goes, and what cannot go."""

from collections.abc import Iterable
from dataclasses import dataclass

from metal.model.fleet import Inventory, Vm
from metal.model.world import World
from metal.schedule.arrive import as_seen
from metal.schedule.place import Placement, Unplaced, place
from metal.schedule.wishes import only_these, together_sets


@dataclass(frozen=True)
class Relocation:
    """Homes elsewhere of all VMs that were seen there, most important first."""

    site: str
    """The name of the site, or of the cluster."""
    homes: dict[str, tuple[str, str]]
    """VM → (cluster, server)."""
    stranded: tuple[Unplaced, ...]
    unpinned: tuple[str, ...]
    """VMs that were pinned to what is given up: the pin must go."""
    unmanaged: tuple[str, ...]
    """VMs at the site that the inventory does not have: nobody planned for them."""
    placement: Placement


def leaving(inventory: Inventory, name: str) -> tuple[set[str], set[str]]:
    """(servers, clusters) that are given up with a site or a cluster; a site's name wins."""
    if name in inventory.sites:
        servers = {s for s, server in inventory.servers.items() if server.site == name}
        return servers, {c for c in inventory.clusters if inventory.site_of(c) == name}
    return set(inventory.clusters[name].servers), {name}


def relocate(inventory: Inventory, world: World, site: str) -> Relocation:
    """The rest of the fleet takes the VMs of a site (or a cluster), each cluster as survivable as
    it was asked."""
    servers, clusters = leaving(inventory, site)
    lost = [vm for vm, seen in world.vms.items() if seen.server in servers]
    managed = {vm for vm in lost if vm in inventory.vms}
    known = inventory.model_copy(update={"vms": only_these(inventory.vms, world.vms)})
    rest = inventory.model_copy(
        update={
            "sites": {n: s for n, s in inventory.sites.items() if n != site},
            "servers": {n: s for n, s in inventory.servers.items() if n not in servers},
            "clusters": {n: c for n, c in inventory.clusters.items() if n not in clusters},
            "vms": {
                name: _freed(
                    as_seen(known, name, world.vms[name]) if name in managed else vm,
                    clusters,
                    name in managed,
                )
                for name, vm in known.vms.items()
            },
        }
    )
    seen = world.model_copy(
        update={
            "servers": {n: s for n, s in world.servers.items() if n not in servers},
            "clusters": {n: c for n, c in world.clusters.items() if n not in clusters},
            "vms": {vm: at for vm, at in world.vms.items() if vm not in lost},
        }
    )
    placement = place(rest, seen)
    order = _together_in_order(inventory, placement.homes)
    return Relocation(
        site=site,
        homes={vm: (placement.homes[vm].cluster, placement.homes[vm].server) for vm in order},
        stranded=placement.unplaced,
        unpinned=tuple(sorted(vm for vm in managed if inventory.vms[vm].cluster in clusters)),
        unmanaged=tuple(sorted(set(lost) - managed)),
        placement=placement,
    )


def _together_in_order(inventory: Inventory, vms: Iterable[str]) -> list[str]:
    """The most important first, and right after it those that it stays together with: days in
    which they are apart are as few as can be."""
    sets = together_sets(inventory.vms)
    first: dict[str, int] = {}
    for vm in vms:
        name = sets.get(vm, vm)
        first[name] = max(first.get(name, 0), inventory.vms[vm].priority)

    def rank(vm: str) -> tuple[int, str, int, str]:
        name = sets.get(vm, vm)
        return -first[name], name, -inventory.vms[vm].priority, vm

    return sorted(vms, key=rank)


def _freed(vm: Vm, clusters: set[str], leaves: bool) -> Vm:
    """As it may be placed anew: not pinned to what is lost, and no longer as it was found there."""
    pin = None if vm.cluster in clusters else vm.cluster
    return vm.model_copy(update={"cluster": pin} | ({"adopted": None} if leaves else {}))
