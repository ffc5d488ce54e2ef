"""Who must be with whom and apart from whom, as the placer asks it."""

from collections.abc import Collection, Iterable, Mapping

from metal.model.fleet import Inventory, Vm
from metal.model.ha import OURS, rule_changes
from metal.model.plan import HaWishes, Risk, TellHa
from metal.model.world import HaRule, SeenCluster, SeenVm, World
from metal.schedule.survival import Guest, units


def together_sets(vms: Mapping[str, Vm]) -> dict[str, str]:
    """VM → the first name of its set, of those that must share a server with another."""
    first: dict[str, str] = {}

    def find(vm: str) -> str:
        while first.get(vm, vm) != vm:
            vm = first[vm]
        return vm

    for vm, wanted in vms.items():
        for other in wanted.together:
            a, b = sorted((find(vm), find(other)))
            first[a] = first.get(a, a)
            first[b] = a
    return {vm: find(vm) for vm in first if vm in vms}


def ha_wishes(inventory: Inventory, world: World, cluster: str) -> HaWishes:
    """What HA should know of the VMs that are in the cluster. Pure."""
    here = {
        vm: seen.vmid
        for vm, seen in world.vms.items()
        if seen.cluster == cluster and vm in inventory.vms
    }
    apart: dict[str, list[int]] = {}
    for vm, vmid in here.items():
        if group := inventory.vms[vm].apart:
            apart.setdefault(group, []).append(vmid)
    sets = members(together_sets(inventory.vms))
    beside = {
        first: tuple(sorted(here[v] for v in vms if v in here)) for first, vms in sets.items()
    }
    # Proxmox takes no wish for a server that is to join yet.
    nodes = world.clusters.get(cluster, SeenCluster()).nodes
    servers = [s for s in inventory.clusters[cluster].servers if s in nodes or not nodes]
    homes = {
        vmid: tuple(s for s in inventory.vms[vm].home if s in servers) for vm, vmid in here.items()
    }
    return HaWishes(
        apart={group: tuple(sorted(ids)) for group, ids in apart.items() if len(ids) > 1},
        together={first: ids for first, ids in beside.items() if len(ids) > 1},
        home={vmid: nodes for vmid, nodes in sorted(homes.items()) if nodes},
        adopted=tuple(sorted(vmid for vm, vmid in here.items() if inventory.vms[vm].adopted)),
    )


def plan_wishes(inventory: Inventory, world: World, but: Collection[str] = ()) -> list[TellHa]:
    """What HA of each cluster is to be told, where it knows otherwise. `but`: clusters that are
    being formed. Pure."""
    actions = []
    for name in inventory.clusters:
        seen = world.clusters.get(name, SeenCluster())
        if seen.ha is None or not seen.quorate or name in but:
            continue
        wishes = ha_wishes(inventory, world, name)
        changes = rule_changes(seen.ha, wishes)
        if changes:
            actions.append(_tell(inventory, world, name, wishes, changes))
    return actions


def _tell(
    inventory: Inventory, world: World, name: str, wishes: HaWishes, changes: tuple[HaRule, ...]
) -> TellHa:
    vms = {seen.vmid: vm for vm, seen in world.vms.items() if seen.cluster == name}
    return TellHa(
        cluster=name,
        wishes=wishes,
        what=f"tell HA of {name} what its VMs wish for: {_words(changes, vms)}",
        why="the inventory says so, and HA knows otherwise",
        # It may move VMs to where they are at home now.
        risk=Risk.DISRUPTS,
    )


def _words(changes: tuple[HaRule, ...], vms: Mapping[int, str]) -> str:
    said = []
    for rule in changes:
        names = ", ".join(vms.get(vmid, str(vmid)) for vmid in rule.vmids)
        if not rule.vmids:
            said.append(f"no more rule {rule.name}")
        elif rule.kind == "nodes" and rule.name.startswith(OURS):
            said.append(f"{names} at home on {', then '.join(rule.nodes)}")
        elif rule.kind == "nodes":
            said.append(f"rule {rule.name} for {names} only")
        else:
            said.append(f"{names} {rule.kind}")
    return "; ".join(said)


def members(sets: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The first name of each set → all of it, by name."""
    found: dict[str, list[str]] = {}
    for vm, first in sets.items():
        found.setdefault(first, []).append(vm)
    return {first: tuple(sorted(those)) for first, those in found.items()}


def only_these(vms: Mapping[str, Vm], names: Collection[str]) -> dict[str, Vm]:
    """These VMs alone, together with each other also where others made them so."""
    sets = members(together_sets(vms))
    company = {vm: tuple(o for o in those if o in names) for those in sets.values() for vm in those}
    return {
        name: vm.model_copy(update={"together": tuple(o for o in company[name] if o != name)})
        if name in company
        else vm
        for name, vm in vms.items()
        if name in names
    }


def guest_of(
    inventory: Inventory, vm: str, sets: Mapping[str, str], seen: SeenVm | None = None
) -> Guest:
    """A VM of the inventory; the larger of what it should have and what it was seen to have."""
    needs, wanted = inventory.needs(vm), inventory.vms[vm]
    memory, vcpus, disk = needs.memory_mib, needs.vcpus, needs.disk_gib
    if seen is not None:
        memory = max(memory, seen.memory_mib or 0)
        vcpus, disk = max(vcpus, seen.vcpus or 0), max(disk, seen.disk_gib or 0)
    return Guest(vm, units(memory), wanted.apart, vcpus, disk, sets.get(vm), wanted.cpu)


def scope(inventory: Inventory, apart_by: str, cluster: str) -> str:
    """What VMs of a group never share, of a cluster: itself, its site, or who lends that."""
    if apart_by in ("server", "cluster"):
        return cluster
    site = inventory.site_of(cluster)
    return site if apart_by == "site" else inventory.sites[site].donor.name


def shared_scope(inventory: Inventory, vm: str, cluster: str, mates: Iterable[str]) -> str:
    """The mates' cluster, site or donor that the VM would share in that cluster; else empty."""
    by = inventory.vms[vm].apart_by
    if by == "server":
        return ""
    here = scope(inventory, by, cluster)
    return here if any(scope(inventory, by, mate) == here for mate in mates) else ""
