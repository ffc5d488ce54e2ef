"""Which flow carries out which action: the one place where stages, ports and operations meet."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic import TypeAdapter

from metal.cluster.flow import form
from metal.cluster.host_networks import change_network, give_networks
from metal.cluster.hosts import make_hosts
from metal.cluster.ports import ClusterPorts, storage_of
from metal.cluster.rings import change_rings
from metal.cluster.vms import describe, migrate, place, start, tell_ha
from metal.controller.blocklisting import SHUT_OUT, blocklist
from metal.controller.disk_keys import disks_of, dropbear
from metal.controller.heirs import heirs
from metal.controller.hosting import (
    ceph_networks,
    changing_ports,
    host_ports,
    network_ports,
    ring_ports,
    rings,
)
from metal.controller.images import have_root
from metal.controller.live_work import live_ports
from metal.controller.look import look
from metal.controller.powering import switching
from metal.controller.tokens import ensure_token
from metal.controller.workspace import Workspace
from metal.drivers.proxmox import PROMPT
from metal.heal.flow import drain, recover
from metal.heal.ports import HealPorts
from metal.install.by_image import KIND
from metal.install.flow import install
from metal.install.installer.pinning import ensure_installer
from metal.install.medium import medium_of
from metal.install.pins import wanted_pins
from metal.install.ports import InstallPorts, Patience
from metal.model.errors import Failed, Refused
from metal.model.fleet import Inventory
from metal.model.life import Life
from metal.model.plan import (
    Action,
    DescribeVm,
    DrainServer,
    FormCluster,
    InstallServer,
    MigrateVm,
    PlaceVm,
    RecoverServer,
    Restart,
    SetNetwork,
    SetRings,
    StartVm,
    TellHa,
)
from metal.operations.run import Run
from metal.schedule.restarts import plan_restarts, where_it_is

Flow = Callable[[Run], Any]
_ACTION: TypeAdapter[Action] = TypeAdapter(Action)


def subjects(action: Action) -> tuple[str, ...]:
    """What the action's operation claims while it is open: nothing else may touch it."""
    match action:
        case InstallServer():
            return (f"server {action.server}",)
        case FormCluster():
            return (f"cluster {action.cluster}", *(f"server {s}" for s in action.servers))
        case SetRings() | TellHa():
            return (f"cluster {action.cluster}",)
        case SetNetwork():
            return (f"cluster {action.cluster}", f"server {action.server}")
        case PlaceVm() | StartVm() | DescribeVm() | MigrateVm():
            return (f"vm {action.vm}",)
        case DrainServer():
            return (f"server {action.server}", *(f"vm {m.vm}" for m in action.moves))
        case RecoverServer():
            return (f"server {action.server}", *(f"vm {v}" for v in action.vms))


def flow_of(workspace: Workspace, action: Action) -> Flow:
    """The function that carries the action out, its ports filled in. Refused where the inventory
    does not have any more what it is about."""
    _refuse_gone(workspace.inventory, action)
    match action:
        case InstallServer():
            return partial(install, action=action, ports=_install_ports(workspace, action))
        case FormCluster():
            return partial(_form, workspace, action)
        case SetNetwork():
            return partial(
                change_network, action=action, ports=changing_ports(workspace, action.cluster)
            )
        case SetRings():
            return partial(change_rings, action=action, ports=ring_ports(workspace, action.cluster))
        case TellHa():
            return partial(tell_ha, action=action, ports=_cluster_ports(workspace, action.cluster))
        case PlaceVm():
            return partial(place, action=action, ports=_cluster_ports(workspace, action.cluster))
        case StartVm():
            return partial(start, action=action, ports=_cluster_ports(workspace, action.cluster))
        case DescribeVm():
            ports = _cluster_ports(workspace, action.cluster)
            return partial(describe, action=action, ports=ports)
        case MigrateVm():
            return partial(migrate, action=action, ports=_cluster_ports(workspace, action.cluster))
        case DrainServer():
            return partial(drain, action=action, ports=_heal_ports(workspace, action))
        case RecoverServer():
            return partial(recover, action=action, ports=_heal_ports(workspace, action))


def _refuse_gone(inventory: Inventory, action: Action) -> None:
    """Somebody renamed it, or took it out, between two runs."""
    for noun, known in (("server", inventory.servers), ("cluster", inventory.clusters)):
        name = getattr(action, noun, None)
        if name is not None and name not in known:
            raise Refused(
                f"the inventory has no {noun} {name} any more, and this was begun with it",
                where=action.what,
                mend=f"call it {name} again until this is over, or give it up: `metal run list`, "
                "`metal run cancel N`",
            )


def _form(workspace: Workspace, action: FormCluster, run: Run) -> Any:
    """Hosts first: the cluster is spoken to through what they are then."""
    cluster = workspace.inventory.clusters[action.cluster]
    if cluster.libvirt is None:
        fresh = make_hosts(run, action.servers, host_ports(workspace))
        give_networks(run, action.servers, fresh, network_ports(workspace))
    # Who forms asks alone: that reads the whole journal, and a VM's placing has no use for it.
    gone = heirs(workspace.store.journal, cluster.servers)
    return form(run, action, replace(_cluster_ports(workspace, action.cluster), heirs=gone))


def action_of(params: object) -> Action:
    """The action an operation was opened for, from its journal."""
    try:
        return _ACTION.validate_python(params)
    except ValueError as error:
        raise Failed(
            "the journal holds an action this version does not understand",
            mend="resume it with the version that began it, or `metal run cancel` it",
        ) from error


def _install_ports(workspace: Workspace, action: InstallServer) -> InstallPorts:
    source = workspace.installer_source(action.site)

    def fetch() -> None:
        assert workspace.controller_key  # made now: the preseed will hold it
        ensure_installer(source, action.debian)

    return InstallPorts(
        store=workspace.store,
        secrets=workspace.secrets,
        host_keys=workspace.host_keys,
        bmc=workspace.bmc,
        power=switching(workspace, action.server),
        fetch=partial(have_root, workspace, action) if action.method == KIND else fetch,
        disks=lambda: disks_of(workspace, action.server),
        pins=wanted_pins(workspace.inventory, action.server),
        unlock=lambda key: dropbear(workspace, action.server).ensure_unlocked(key),
        held=workspace.inventory.servers[action.server].unlock.held,
        patience=Patience.at_pace(workspace.inventory.fleet.poll_seconds),
        medium=medium_of(workspace, action) if action.by_medium else None,
        live=live_ports(workspace) if action.method == KIND else None,
    )


def _cluster_ports(workspace: Workspace, cluster: str) -> ClusterPorts:
    inventory = workspace.inventory
    network, replication = ceph_networks(inventory, cluster)
    return ClusterPorts(
        hypervisor=workspace.hypervisor(cluster),
        network=network,
        replication=replication,
        rings=rings(inventory, cluster),
        storage=inventory.clusters[cluster].storage or storage_of(inventory.clusters[cluster].ceph),
        ensure_token=lambda: ensure_token(workspace, cluster),
        member=lambda server: workspace.store.servers.move(server, Life.MEMBER),
        every=min(PROMPT, inventory.fleet.poll_seconds),
    )


def _heal_ports(workspace: Workspace, action: DrainServer | RecoverServer) -> HealPorts:
    servers, inventory = workspace.store.servers, workspace.inventory
    cluster = inventory.clusters[action.cluster]

    def place_now(server: str, vm: str) -> Restart:
        world = look(workspace)
        if vm in inventory.vms and vm in world.vms and world.vms[vm].server != server:
            return where_it_is(inventory, world, vm)
        found = plan_restarts(inventory, world, server, [vm])
        if not found.planned:
            why = found.stranded.get(vm, "it was not seen there")
            raise Refused(f"no place for it: {why}", where=server, mend="make room")
        return found.planned[0]

    return HealPorts(
        hypervisor=workspace.hypervisor(action.cluster),
        power=switching(workspace, action.server),
        hold=servers.hold,
        place=place_now,
        storage=cluster.storage or storage_of(cluster.ceph),
        draining=lambda server: servers.move(server, Life.DRAINING),
        shut_out=lambda addresses: blocklist(
            workspace, action.cluster, but=action.server
        ).ensure_listed(addresses, SHUT_OUT),
        removed=workspace.removed,
        crew=workspace.crew,
        answers=workspace.answers,
        pause=workspace.pause,
        monotonic=workspace.store.database.clock.monotonic,
        every=workspace.inventory.fleet.poll_seconds,
    )
