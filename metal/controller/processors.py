"""Which processor the VMs of each cluster can have: by the inventory, or as its hosts tell."""

from dataclasses import dataclass

from metal.controller.workspace import Workspace
from metal.model.cpus import DEFAULT, common, newest_of, offers, runs
from metal.model.errors import MetalError
from metal.model.fleet import Inventory
from metal.model.world import World


@dataclass(frozen=True)
class Processor:
    """Of one server."""

    server: str
    name: str | None
    newest: str | None
    """The newest type that its VMs can have; None when nobody knows."""
    by: str
    """Who says so, or why nobody does."""


@dataclass(frozen=True)
class Common:
    """Of one cluster."""

    cluster: str
    servers: tuple[Processor, ...]
    newest: str | None
    """The newest type that all of them have: what a VM may ask for and still move anywhere."""
    usual: bool | None
    """Whether all of them have what a VM gets that asks for nothing; None when nobody knows."""
    beyond: tuple[str, ...]
    """VMs pinned to it, or seen in it, that ask for what not all of its servers have."""


def processors(workspace: Workspace, world: World, *, ask: bool) -> tuple[Common, ...]:
    """Each cluster, in the inventory's order. `ask`: its hosts, for what they are running on."""
    inventory = workspace.inventory
    found: list[Common] = []
    for name, cluster in inventory.clusters.items():
        seen = tuple(_processor(workspace, name, server, ask) for server in cluster.servers)
        newests = [p.newest for p in seen]
        known = None not in newests
        offered = [offers(newest) for newest in newests]
        found.append(
            Common(
                cluster=name,
                servers=seen,
                newest=common(newests),
                usual=all(DEFAULT in (o or ()) for o in offered) if known else None,
                beyond=tuple(
                    vm
                    for vm, wanted in inventory.vms.items()
                    if name in (wanted.cluster, _seen_in(world, vm))
                    and not all(runs(wanted.cpu, o) for o in offered)
                ),
            )
        )
    return tuple(found)


def _seen_in(world: World, vm: str) -> str | None:
    return world.vms[vm].cluster if vm in world.vms else None


def _processor(workspace: Workspace, cluster: str, server: str, ask: bool) -> Processor:
    told = _of_inventory(workspace.inventory, server)
    if not ask:
        return told
    try:
        has = workspace.hypervisor(cluster).resources(server)
    except MetalError as error:
        return Processor(server, told.name, told.newest, f"{told.by}; {error.what}")
    found = newest_of(has.cpu, has.flags)
    if found is None:
        return Processor(server, has.cpu or told.name, told.newest, told.by)
    return Processor(server, has.cpu, found, "the host" + (", its flags too" if has.flags else ""))


def _of_inventory(inventory: Inventory, server: str) -> Processor:
    learned = inventory.servers[server].learned
    newest = inventory.cpu_of(server)
    if learned is not None and learned.cpu_type:
        by = "cpu_type in the inventory"
    elif newest:
        by = "its name"
    else:
        by = "nobody told a name that is known" if learned and learned.cpu else "nobody told"
    return Processor(server, learned.cpu if learned else None, newest, by)
