"""One VM comes to another cluster: on which of its servers, so that every one may still die."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from metal.model.fleet import Inventory, Vm, VmSize
from metal.model.world import SeenVm, World
from metal.schedule.explain import Unplaced
from metal.schedule.orders import ORDERS
from metal.schedule.place import Attempt, Home
from metal.schedule.wishes import members, only_these, together_sets

WHY = "it was there before"


def arrive(
    inventory: Inventory,
    world: World,
    vm: str,
    cluster: str,
    servers: Collection[str] | None = None,
) -> Home | Unplaced:
    """Its home in `cluster`, on one of `servers` (any when None), or why it has none there.

    Whoever stays together with it and is not there yet is thought to come, too.
    """
    sets = together_sets(inventory.vms)
    company = members(sets).get(sets.get(vm, vm), (vm,))
    coming = {v for v in company if v in world.vms and world.vms[v].cluster != cluster}
    if untold := _untold(inventory, world.vms[vm], vm):
        why = f"nobody told how much {untold} it has"
        return Unplaced(vm, why, f"get {world.vms[vm].cluster} to tell, or write [vms.{vm}]")
    seen = {name: at for name, at in world.vms.items() if name not in coming}
    known = only_these(inventory.vms, world.vms)
    inventory = inventory.model_copy(update={"vms": inventory.vms | known})
    wanted = {v: _pinned(inventory, world.vms[v], v, cluster) for v in coming}
    sizes = inventory.sizes | {v: _size(world.vms[v]) for v in coming if v not in inventory.vms}
    after = inventory.model_copy(update={"vms": known | wanted, "sizes": sizes})
    attempt = Attempt(
        after, world.model_copy(update={"vms": seen}), frozenset(inventory.clusters), (), servers
    )
    found = attempt.run(ORDERS[0])
    if vm in found.homes:
        return found.homes[vm]
    left = next(u for u in found.unplaced if u.vm == vm)
    reasons = _reasons(attempt, vm, cluster, servers or ())
    return replace(left, why="; ".join(reasons)) if reasons else left


def _reasons(attempt: Attempt, vm: str, cluster: str, servers: Iterable[str]) -> list[str]:
    """What each of the servers says against it; nothing where it is not the servers."""
    item, hosts = attempt.units.item(attempt.units.first(vm)), attempt.fleet.rooms[cluster].hosts
    said = {s: hosts[s].refuses(item) for s in servers if s in hosts}
    return [f"{server}: {why}" for server, why in said.items()] if all(said.values()) else []


def as_seen(inventory: Inventory, vm: str, seen: SeenVm) -> Vm:
    """A VM of the inventory at the larger of the size it should have and the one it has."""
    needs = inventory.needs(vm)
    return inventory.vms[vm].model_copy(
        update={
            "vcpus": max(needs.vcpus, seen.vcpus or 0),
            "memory_gib": max(needs.memory_mib, seen.memory_mib or 0) / 1024,
            "disk_gib": max(needs.disk_gib, seen.disk_gib or 0),
        }
    )


def _pinned(inventory: Inventory, seen: SeenVm, vm: str, cluster: str) -> Vm:
    """As it is to be placed: there, whatever it was tied to. At its own site it keeps what
    addresses it has; at another it needs new ones."""
    if vm in inventory.vms:
        ties: dict[str, Any] = {"cluster": cluster, "home": (), "adopted": None}
        if inventory.site_of(seen.cluster) == inventory.site_of(cluster):
            ties |= {"ipv4": "ipv6", "serves": (), "needs": ()}
        return as_seen(inventory, vm, seen).model_copy(update=ties)
    return Vm(size=vm, why=WHY, cluster=cluster)


def _size(seen: SeenVm) -> VmSize:
    """Of one that the inventory lacks: what it has."""
    memory = (seen.memory_mib or 0) / 1024
    return VmSize(vcpus=seen.vcpus or 1, memory_gib=memory, disk_gib=seen.disk_gib or 1)


def _untold(inventory: Inventory, seen: SeenVm, vm: str) -> str:
    if vm in inventory.vms:
        return ""
    sizes = {"memory": seen.memory_mib, "disk": seen.disk_gib, "vCPUs": seen.vcpus}
    return " and ".join(what for what, size in sizes.items() if size is None)
