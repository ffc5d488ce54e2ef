"""`metal rebuild`: what burnt, planned from inventory, backups and keys, and brought back."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from metal.cluster.ports import storage_of
from metal.controller.ageing import carried_out
from metal.controller.leaving import Look, told
from metal.controller.look import look
from metal.controller.moving import token_of, write_down
from metal.controller.progress import Progress
from metal.controller.workspace import Workspace
from metal.heal.rebuilding import VERSION, Piece, Rebuilding, RebuildingPorts, rebuild
from metal.model.backup import Backup, Reached
from metal.model.errors import BadInput, Failed, MetalError, Refused, Unreachable
from metal.model.fleet import Inventory
from metal.model.world import World
from metal.operations.journal import Operation
from metal.schedule.rebuild import Rebuilt
from metal.schedule.rebuild import rebuild as plan_rebuild
from metal.schedule.withdraw import leaving

KIND = "rebuild --act"
"""Of operations, and what the command is called that goes on with one."""
UNASKED = "the recorded world tells of none; `metal look --backups -o json` asks for them"


def planned(
    workspace: Workspace, world: World, name: str, *, ask: bool = True
) -> tuple[Rebuilt, dict[str, str]]:
    """(the plan, storage → why its backups are not known). `ask`: else the world tells of backups.

    BadInput for what is neither site nor cluster; Refused while a server of it is seen to live.
    """
    inventory = workspace.inventory
    if name not in inventory.sites and name not in inventory.clusters:
        known = ", ".join((*inventory.sites, *inventory.clusters))
        raise BadInput("no such site or cluster", where=name, mend=f"the inventory has {known}")
    refuse_alive(workspace, world, name)
    _, gone = leaving(inventory, name)
    others = [c for c in _restoring(inventory, world) if c not in gone]
    unasked = {c: world.backups.get(c, Reached(silent={c: UNASKED})) for c in others}
    reached = backups_reached(workspace, others) if ask else unasked
    silent = {
        cluster if storage == cluster else f"{storage} of {cluster}": why
        for cluster, told in reached.items()
        for storage, why in told.silent.items()
    }
    return plan_rebuild(inventory, world, name, reached), silent


def with_backups(workspace: Workspace, world: World) -> World:
    """The world, with the backups that each of its clusters reaches now."""
    clusters = _restoring(workspace.inventory, world)
    return world.model_copy(update={"backups": backups_reached(workspace, clusters)})


def _restoring(inventory: Inventory, world: World) -> list[str]:
    """Clusters that may bring a VM back from a backup."""
    return [
        name
        for name, about in inventory.clusters.items()
        if not about.libvirt and name in world.clusters and world.clusters[name].formed
    ]


def backups_reached(workspace: Workspace, clusters: Iterable[str]) -> dict[str, Reached]:
    """By cluster; what is silent is told, never raised."""
    return {cluster: _reached(workspace, cluster) for cluster in clusters}


def _reached(workspace: Workspace, cluster: str) -> Reached:
    found: list[Backup] = []
    silent: dict[str, str] = {}
    try:
        hypervisor = workspace.proxmox(cluster)
        for storage in hypervisor.backup_storages():
            try:
                found += hypervisor.backups(storage)
            except MetalError as error:
                silent[storage] = error.what
    except MetalError as error:
        silent[cluster] = error.what
    return Reached(backups=tuple(found), silent=silent)


def keys_of(workspace: Workspace, servers: tuple[str, ...]) -> dict[str, bool]:
    """Server → whether its disk's key is escrowed: a disk that is carried out can be read then."""
    names = set(workspace.secrets.names())
    return {server: f"disk/{server}" in names for server in servers}


def refuse_alive(workspace: Workspace, world: World, name: str) -> None:
    """Refused while anything of it lives: its VMs may run there."""
    servers, _ = leaving(workspace.inventory, name)
    alive = {
        server: "its cluster sees it online" if seen.node == "online" else "its BMC reads power on"
        for server in sorted(servers)
        if (seen := world.server(server)).node == "online" or seen.power == "on"
    }
    if alive:
        raise Refused(
            "it is not gone: " + "; ".join(f"{server}: {why}" for server, why in alive.items()),
            where=name,
            mend=f"`metal evacuate {name}` leaves what still runs; `metal power off` ends it",
        )


def proof(workspace: Workspace, world: World, name: str, word: str) -> str:
    """What says that nothing of it runs; Refused where neither a switch nor a person does."""
    servers, _ = leaving(workspace.inventory, name)
    untold = sorted(s for s in servers if world.server(s).power != "off")
    if not untold:
        return "every one of its servers reads off"
    if not word:
        raise Refused(
            f"nobody says that {', '.join(untold)} are off: silence may be a cut line, and then "
            "its VMs would run twice",
            where=name,
            mend="go and see, or call the donor; then say --i-know-it-is-gone",
        )
    return f"{word} says so"


def begun(workspace: Workspace, name: str) -> tuple[Rebuilding, Operation] | None:
    """The rebuilding that is open, as it was agreed to."""
    for operation in workspace.store.journal.list(open_only=True):
        if operation.kind == KIND and operation.subject == name:
            return Rebuilding.model_validate(operation.params["order"]), operation
    return None


def order_of(workspace: Workspace, found: Rebuilt, why: str) -> Rebuilding:
    inventory = workspace.inventory
    pieces = []
    for vm, (cluster, server, backup) in found.homes.items():
        about, was = inventory.clusters[cluster], found.lost.vms[vm]
        pieces.append(
            Piece(
                vm=vm,
                called=backup.called or vm,
                vmid=backup.vmid,
                priority=inventory.vms[vm].priority,
                cluster=cluster,
                server=server,
                disks=about.storage or storage_of(about.ceph),
                gib=max(inventory.needs(vm).disk_gib, was.disk_gib or 0),
                storage=backup.storage,
                backup=backup.name,
                made=backup.made,
            )
        )
    return Rebuilding(name=found.name, servers=found.lost.servers, why=why, pieces=tuple(pieces))


def carry_out(
    workspace: Workspace, order: Rebuilding, progress: Progress, *, see: Look | None = None
) -> dict[str, Any]:
    """What became of each VM; Failed saying which are not back, and how to go on."""
    ports = RebuildingPorts(
        hold=workspace.store.servers.hold,
        bring=partial(_bring, workspace, order, see or partial(look, workspace)),
    )
    return carried_out(
        workspace,
        KIND,
        order.name,
        (f"rebuilding {order.name}", *(f"server {s}" for s in order.servers)),
        lambda run: rebuild(run, order, ports),
        progress,
        VERSION,
        {"order": order.model_dump(mode="json")},
    )


def _bring(workspace: Workspace, order: Rebuilding, see: Look, piece: Piece) -> dict[str, Any]:
    world = see()
    refuse_alive(workspace, world, order.name)
    seen = world.vms.get(piece.vm)
    if seen is not None and seen.server not in order.servers and seen.cluster != piece.cluster:
        return {"todo": f"{piece.vm} is in {seen.cluster}, on {seen.server}: nothing was done"}
    target = workspace.proxmox(piece.cluster)
    held = target.holding(piece.vmid)
    if held is None:
        token = token_of(workspace, piece.cluster)
        landing = target.landing(piece.server, token, piece.disks, piece.gib)
        target.restore(piece.vmid, landing, piece.storage, piece.backup)
        held = target.holding(piece.vmid)
    if held is None:
        raise Failed(f"nothing came of its backup {piece.backup}", where=piece.server)
    if held.name != piece.called:
        raise Refused(
            f"{piece.cluster} has another VM of its number {piece.vmid}: {held.name}",
            where=piece.vm,
            mend="restore it under another number in Proxmox, and adopt it",
        )
    if held.lock:
        raise Unreachable(f"it is being restored ({held.lock})", where=held.node)
    target.ensure_started(piece.vmid)
    several = len(workspace.inventory.clusters[piece.cluster].servers) > 1
    target.ensure_kept(piece.vmid, (held.ha or "") if several else None, onboot=True)
    write_down(workspace, piece.vm, piece.cluster)
    return told(workspace, see(), piece.vm)
