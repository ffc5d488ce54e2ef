"""After a fire: what was at a site or a cluster, and where each of its VMs is made anew. Pure.

What was there nobody can be asked any more: it is what was last seen there, and every VM of the
inventory that nobody shows now, as long as all others answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from metal.model.backup import Backup, Reached
from metal.model.fleet import Inventory
from metal.model.world import SeenVm, World
from metal.schedule.withdraw import Relocation, leaving, relocate


@dataclass(frozen=True)
class Lost:
    """What was there."""

    servers: tuple[str, ...]
    vms: dict[str, SeenVm]
    """As it was last seen, or as the inventory has it."""
    untold: tuple[str, ...]
    """VMs that nobody shows, and that may run in a cluster that does not answer."""


@dataclass(frozen=True)
class Rebuilt:
    """VM → its place, and the backup it is made of: those of both, most important first."""

    name: str
    homes: dict[str, tuple[str, str, Backup]]
    lacks: dict[str, str]
    """VM → why it cannot be brought back, and what would help."""
    relocation: Relocation
    lost: Lost


def what_was_there(inventory: Inventory, world: World, name: str) -> Lost:
    servers, clusters = leaving(inventory, name)
    seen = {vm: at for vm, at in world.vms.items() if at.server in servers}
    quiet = {
        c
        for c in inventory.clusters
        if c not in clusters and c in world.clusters and world.clusters[c].formed is None
    }
    unseen = [vm for vm in inventory.vms if vm not in world.vms]
    untold = [vm for vm in unseen if _may_be_at(inventory, vm, quiet)]
    mine = [vm for vm in unseen if vm not in untold and _may_be_at(inventory, vm, clusters)]
    server = min(servers, default="")
    given = {vm: _unseen(inventory, vm, server) for vm in mine}
    return Lost(tuple(sorted(servers)), seen | given, tuple(sorted(untold)))


def _may_be_at(inventory: Inventory, vm: str, clusters: Iterable[str]) -> bool:
    pin = inventory.vms[vm].cluster
    return bool(set(clusters)) if pin is None else pin in clusters


def _unseen(inventory: Inventory, vm: str, server: str) -> SeenVm:
    needs, adopted = inventory.needs(vm), inventory.vms[vm].adopted
    return SeenVm(
        vmid=adopted.vmid if adopted else 0,
        cluster=inventory.cluster_of(server) or "",
        server=server,
        memory_mib=needs.memory_mib,
        vcpus=needs.vcpus,
    )


def rebuild(
    inventory: Inventory,
    world: World,
    name: str,
    reached: Mapping[str, Reached],
) -> Rebuilt:
    """`reached`: by cluster; one that is not in it takes nothing in."""
    lost = what_was_there(inventory, world, name)
    gone = world.model_copy(update={"vms": world.vms | lost.vms})
    found = relocate(inventory, gone, name)
    homes: dict[str, tuple[str, str, Backup]] = {}
    lacks = {u.vm: f"{u.why} → {u.mend}" for u in found.stranded}
    lacks |= dict.fromkeys(found.unmanaged, "it is not in the inventory: nobody planned for it")
    for vm, (cluster, server) in found.homes.items():
        told = reached.get(cluster, Reached())
        mine = backups_of(inventory, vm, lost.vms[vm], told.backups, gone)
        if newest := newest_of(mine):
            homes[vm] = (cluster, server, newest)
        elif mine:
            lacks[vm] = "none of its backups can be read: " + "; ".join(
                f"{b.name} on {b.storage}: {b.flaw}" for b in mine
            )
        elif cluster not in reached:
            lacks[vm] = f"{cluster}, where it would fit, runs no Proxmox: restore it by hand"
        elif told.silent:
            lacks[vm] = f"{cluster} may reach a backup of it: not all of its storages are known"
        else:
            lacks[vm] = f"{cluster} reaches no backup of it → if it held nothing, `metal apply`"
    return Rebuilt(name, homes, lacks, found, lost)


def newest_of(backups: Sequence[Backup]) -> Backup | None:
    """An older one that can be read is worth more than a newer one that cannot."""
    return max((b for b in backups if not b.flaw), key=lambda b: b.made, default=None)


def backups_of(
    inventory: Inventory, vm: str, seen: SeenVm, backups: Sequence[Backup], world: World
) -> list[Backup]:
    """By the name that was noted with it; by its number only where no other VM ever seen has
    that, as every cluster counts from 100."""
    adopted = inventory.vms[vm].adopted
    names = {vm, *([adopted.called] if adopted else [])}
    same = [n for n, at in world.vms.items() if at.vmid == seen.vmid and n != vm]
    return [
        b
        for b in backups
        if b.called in names or (not b.called and seen.vmid == b.vmid and not same)
    ]
