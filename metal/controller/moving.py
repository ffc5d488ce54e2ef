"""A VM goes to another cluster: what is chosen for it, and the operation that carries it out."""

from collections.abc import Sequence
from functools import partial

from metal.cluster.crossing import (
    BEFORE,
    PLACE,
    VERSION,
    Crossing,
    CrossingPorts,
    Way,
    cross,
    give_back,
)
from metal.cluster.ports import storage_of
from metal.controller.ageing import carried_out
from metal.controller.progress import Progress
from metal.controller.tokens import secret_name
from metal.controller.workspace import ROOT_PASSWORD, Workspace
from metal.inventory.edit import edit
from metal.inventory.mistakes import suggest
from metal.inventory.replacing import moved
from metal.model.errors import BadInput, Refused
from metal.model.hypervisor import HaPlace, Holding, Landing
from metal.model.life import Status
from metal.model.world import SeenVm, World
from metal.operations.journal import Operation
from metal.operations.leading import Term
from metal.schedule.arrive import arrive
from metal.schedule.explain import Unplaced

KIND = "move"
"""Of operations, and what the command is called that goes on with one."""
BITS = 8


def order_of(
    workspace: Workspace,
    world: World,
    vm: str,
    cluster: str,
    server: str | None,
    *,
    copy: bool,
    rather: str | None = None,
    limit_mbit: int = 0,
    ask: bool = True,
) -> Crossing:
    """What would be done; Refused with the way out where it cannot be.

    `server`: there and nowhere else; `rather`: there if it can be. `limit_mbit`: that it may take
    of the way. `ask`: else it is a plan for a recorded world, and the clusters are asked nothing.
    One that was begun goes on as it was begun, whatever is asked now.
    """
    if ask and (begun := begun_move(workspace, vm, cluster)):
        return begun
    inventory = workspace.inventory
    if cluster not in inventory.clusters:
        mend = suggest(cluster, inventory.clusters, "cluster")
        raise BadInput(f"there is no cluster {cluster}", where="inventory.toml", mend=mend)
    seen = _seen(world, vm, cluster)
    for name in (seen.cluster, cluster):
        workspace.proxmox(name)  # Refused where it is none of Proxmox's
    way: Way = "copy" if copy or not token_of(workspace, cluster) else "live"
    wanted = inventory.clusters[cluster]
    return Crossing(
        vm=vm,
        vmid=seen.vmid,
        source=seen.cluster,
        target=cluster,
        server=_server(workspace, world, vm, cluster, server, rather, ask),
        storage=wanted.storage or storage_of(wanted.ceph),
        way=way,
        shared=_shared(workspace, seen.cluster, cluster) if ask and way == "copy" else ("", ""),
        limit_mbit=limit_mbit,
    )


def steps_of(workspace: Workspace, order: Crossing, mbit: int) -> list[str]:
    """What is done, and what whoever agrees to it should know."""
    by = order.shared[0] or "a storage that both reach: nobody was asked for one"
    return [
        f"{order.vm} (vmid {order.vmid}) goes from {order.source} to {order.target}, "
        f"on {order.server}, its disks to {order.storage}",
        *([f"by way of a backup on {by}"] if order.way == "copy" else []),
        *warnings(workspace, order, mbit),
    ]


def warnings(workspace: Workspace, order: Crossing, mbit: int) -> list[str]:
    """What whoever agrees to it should know: how long it stands still, what changes."""
    inventory = workspace.inventory
    gib = inventory.needs(order.vm).disk_gib if order.vm in inventory.vms else 0
    mbit = min(mbit, order.limit_mbit or mbit)
    minutes = max(1, round(gib * 1024**3 * BITS / (mbit * 1e6) / 60))
    if order.way == "live":
        told = [
            f"it runs on while its disks ({gib} GiB, some {minutes} min at {mbit} Mbit/s) are "
            "sent, and stands still for a moment at the end; one that is stopped stays so"
        ]
        if not workspace.knows_root(order.source):
            told.append(
                f"only root of {order.source} removes what Proxmox leaves of it there, and no "
                f"root password is kept here: set {ROOT_PASSWORD}, now or when it asks for it"
            )
    else:
        told = [
            f"it stands still while its disks ({gib} GiB) are backed up and restored: some "
            f"{2 * minutes} min at {mbit} Mbit/s, less where they are empty"
        ]
    here, there = inventory.site_of(order.source), inventory.site_of(order.target)
    if here != there:
        told.append(
            f"its addresses are {here}'s and lead nowhere at {there}: give it others in it, or "
            "with cloud-init in Proxmox, when it is there"
        )
    return told


def move(
    workspace: Workspace, order: Crossing, progress: Progress, term: Term | None = None
) -> dict[str, object]:
    """Done, or Failed saying how to go on. The inventory names the cluster where it is then."""
    source, target = workspace.proxmox(order.source), workspace.proxmox(order.target)

    def landing(disk_gib: int) -> Landing:
        token = token_of(workspace, order.target)
        place = target.landing(order.server, token, order.storage, disk_gib)
        return place.model_copy(update={"limit_kib": order.limit_kib})

    every = workspace.inventory.fleet.poll_seconds
    ports = CrossingPorts(
        source, target, landing, partial(write_down, workspace, order.vm, order.target), every
    )
    return carried_out(
        workspace,
        KIND,
        f"{order.vm} {order.target}",
        (f"vm {order.vm}",),
        lambda run: cross(run, order, ports),
        progress,
        VERSION,
        {"order": order.model_dump(mode="json")},
        term,
    )


def give_up(workspace: Workspace, operation: Operation) -> None:
    """HA of the cluster that it was to leave has it as it was, if it has not come over."""
    order = Crossing.model_validate(operation.params["order"])
    told = {step.name: step.result for step in operation.steps if step.done}
    if BEFORE in told and PLACE in told:
        give_back(
            workspace.proxmox(order.source),
            workspace.proxmox(order.target),
            order.vmid,
            Holding.model_validate(told[BEFORE]),
            HaPlace.model_validate(told[PLACE]),
        )


def there_already(
    workspace: Workspace, world: World, vm: str, cluster: str, server: str | None
) -> SeenVm | None:
    """The VM, where it is as asked and no move of it is open: nothing is left to do."""
    seen = world.vms.get(vm)
    if seen is None or seen.cluster != cluster or server not in (None, seen.server):
        return None
    return None if begun_move(workspace, vm, cluster) else seen


def begun_move(workspace: Workspace, vm: str, cluster: str) -> Crossing | None:
    """The move that is open, as it was begun."""
    for operation in workspace.store.journal.list(open_only=True):
        if operation.kind == KIND and operation.subject == f"{vm} {cluster}":
            return Crossing.model_validate(operation.params["order"])
    return None


def _seen(world: World, vm: str, cluster: str) -> SeenVm:
    seen = world.vms.get(vm)
    if seen is None:
        mend = suggest(vm, world.vms, "VM")
        raise BadInput(f"no cluster shows a VM {vm}", where=vm, mend=mend)
    if seen.cluster == cluster:
        raise Refused(f"it is in {cluster} already, on {seen.server}", where=vm)
    if seen.kind != "vm":
        raise Refused(f"it is a {seen.kind}: only VMs go to another cluster", where=vm)
    if seen.state == "unknown":
        raise Refused("whether it runs is unknown", where=f"{vm} on {seen.server}")
    return seen


def _server(
    workspace: Workspace,
    world: World,
    vm: str,
    cluster: str,
    server: str | None,
    rather: str | None,
    ask: bool,
) -> str:
    """Of the cluster (or `server`, if it may be no other) where every server may still die
    with it there; Refused where there is none."""
    members = workspace.inventory.clusters[cluster].servers
    if server is not None and server not in members:
        mend = suggest(server, members, "server")
        raise BadInput(f"{cluster} has no server {server}", where=cluster, mend=mend)
    asked = (server,) if server else members
    ready = [s for s in asked if world.server(s).status is not Status.HELD]
    if ask:
        ready = _with_memory_now(workspace, world, vm, cluster, ready)
    found = arrive(workspace.inventory, world, vm, cluster, [s for s in ready if s == rather])
    if isinstance(found, Unplaced):
        found = arrive(workspace.inventory, world, vm, cluster, ready)
    if isinstance(found, Unplaced):
        raise Refused(f"no place for {vm}: {found.why}", where=cluster, mend=found.mend)
    return found.server


def _with_memory_now(
    workspace: Workspace, world: World, vm: str, cluster: str, ready: Sequence[str]
) -> list[str]:
    """Without the servers of which the hypervisor says that it would not go in now; Refused where
    that leaves none of those that are online."""
    needs, hypervisor = world.vms[vm].memory_mib or 0, workspace.proxmox(cluster)
    online = [s for s in ready if world.server(s).node == "online"]
    short = [s for s in online if hypervisor.resources(s).memory_free_mib < needs]
    if short and len(short) == len(online):
        raise Refused(
            f"{' and '.join(short)} {'have' if short[1:] else 'has'} not {needs} MiB of memory "
            "free now",
            where=cluster,
            mend="`metal capacity` tells what fits where",
        )
    return [s for s in ready if s not in short]


def token_of(workspace: Workspace, cluster: str) -> str:
    return workspace.secrets.reveal(secret_name(cluster)) or ""


def _shared(workspace: Workspace, source: str, target: str) -> tuple[str, str]:
    """A storage for backups that both have, as each calls it."""
    theirs = {key: name for name, key in workspace.proxmox(target).backup_storages().items()}
    for name, key in workspace.proxmox(source).backup_storages().items():
        if key in theirs:
            return name, theirs[key]
    raise Refused(
        f"no storage for backups is one that {source} and {target} both reach",
        where=target,
        mend="give both the same Proxmox Backup Server or NFS export (Datacenter → Storage)",
    )


def write_down(workspace: Workspace, name: str, cluster: str) -> None:
    """Where the inventory ties the VM to the old cluster, it is tied to the new one."""
    vm = workspace.inventory.vms.get(name)
    if vm is None or (vm.cluster is None and not vm.home):
        return
    edit(workspace.folder, [moved(name, cluster)])
    workspace.reload()
