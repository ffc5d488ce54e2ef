"""One VM leaves its cluster for another: for which, so that every server there may still die."""

from collections.abc import Collection

from metal.model.fleet import Inventory
from metal.model.world import World
from metal.network.sites import parse
from metal.schedule.arrive import as_seen
from metal.schedule.capacity import carries
from metal.schedule.explain import Unplaced
from metal.schedule.orders import ORDERS
from metal.schedule.place import Attempt, Home
from metal.schedule.preflight import unlike


def elsewhere(inventory: Inventory, world: World, vm: str) -> Home | Unplaced:
    """In another cluster of its site, where its addresses are good; else at another site, unless
    the world reaches it by an IPv4 address of this one."""
    source = world.vms[vm].cluster
    site = inventory.site_of(source)
    takers = [c for c in inventory.clusters if c != source and _takes(inventory, c)]
    near = [c for c in takers if inventory.site_of(c) == site]
    found = _place(inventory, world, vm, near, keeps=True)
    if isinstance(found, Home) or _bound(inventory, world, vm):
        return found
    return _place(inventory, world, vm, [c for c in takers if c not in near], keeps=False)


def _takes(inventory: Inventory, cluster: str) -> bool:
    wanted = inventory.clusters[cluster]
    return wanted.restarts and wanted.libvirt is None and not wanted.only_pinned


def _bound(inventory: Inventory, world: World, vm: str) -> bool:
    """Whether it is reached by a public IPv4 address, its own or a shared one."""
    seen = world.vms[vm]
    public = inventory.sites[inventory.site_of(seen.cluster)].subnets.public_ipv4
    held = parse((*seen.addresses, *([seen.shared] if seen.shared else [])))
    return inventory.vms[vm].ipv4 != "ipv6" or any(public and a in public for a in held)


def _place(
    inventory: Inventory, world: World, vm: str, clusters: Collection[str], *, keeps: bool
) -> Home | Unplaced:
    """`keeps`: its addresses, so it needs none that are free."""
    server = world.vms[vm].server
    freed = as_seen(inventory, vm, world.vms[vm]).model_copy(
        update={"adopted": None} | ({"ipv4": "ipv6", "serves": (), "needs": ()} if keeps else {})
    )
    after = inventory.model_copy(
        update={
            "vms": {v: w for v, w in inventory.vms.items() if v in world.vms} | {vm: freed},
        }
    )
    rest = world.model_copy(update={"vms": {v: at for v, at in world.vms.items() if v != vm}})
    servers = [
        s
        for c in clusters
        for s in inventory.clusters[c].servers
        if carries(world, s) and not unlike(inventory, vm, server, s)
    ]
    found = Attempt(after, rest, frozenset(inventory.clusters), (), servers).run(ORDERS[0])
    return found.homes.get(vm) or next(u for u in found.unplaced if u.vm == vm)
