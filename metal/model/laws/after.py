"""The state after a plan: where every VM is, and which servers carry."""

from dataclasses import dataclass, replace

from metal.model.fleet import Inventory
from metal.model.laws.order import before
from metal.model.life import Life
from metal.model.plan import (
    DrainServer,
    FormCluster,
    InstallServer,
    MigrateVm,
    PlaceVm,
    Plan,
    RecoverServer,
)
from metal.model.world import SeenServer, World


@dataclass(frozen=True)
class Resident:
    """A VM after the plan."""

    name: str
    vmid: int
    cluster: str
    server: str
    memory_mib: int | None
    """None: nobody knows (a VM that the inventory does not have)."""
    vcpus: int
    group: str | None
    """Its `apart` group."""
    came: bool = False
    """The plan puts it where it is."""


@dataclass(frozen=True)
class After:
    """Everything the laws look at."""

    plan: Plan
    inventory: Inventory
    world: World
    residents: dict[str, Resident]
    earlier: dict[str, Resident]
    """The same before the plan."""
    carrying: dict[str, frozenset[str]]
    """Cluster → its servers that can run VMs once the plan is done."""
    before: dict[str, set[str]]
    """Action id → ids of all that is done before it."""

    def seen(self, server: str) -> SeenServer:
        return self.world.servers.get(server) or SeenServer()

    def on(self, server: str) -> list[Resident]:
        return [r for r in self.residents.values() if r.server == server]

    @property
    def installs(self) -> list[InstallServer]:
        return [a for a in self.plan.actions if isinstance(a, InstallServer)]

    @property
    def forms(self) -> list[FormCluster]:
        return [a for a in self.plan.actions if isinstance(a, FormCluster)]

    @property
    def places(self) -> list[PlaceVm]:
        return [a for a in self.plan.actions if isinstance(a, PlaceVm)]

    @property
    def drains(self) -> list[DrainServer]:
        return [a for a in self.plan.actions if isinstance(a, DrainServer)]

    @property
    def recoveries(self) -> list[RecoverServer]:
        return [a for a in self.plan.actions if isinstance(a, RecoverServer)]

    @property
    def emptied(self) -> set[str]:
        """Servers that hold no VM any more once the plan is done."""
        return {d.server for d in self.drains} | {r.server for r in self.recoveries}

    @property
    def lone_moves(self) -> list[MigrateVm]:
        """Migrations that are no part of a drain."""
        return [a for a in self.plan.actions if isinstance(a, MigrateVm)]

    @property
    def moves(self) -> list[MigrateVm]:
        return [*self.lone_moves, *(m for d in self.drains for m in d.moves)]


def look_ahead(plan: Plan, inventory: Inventory, world: World) -> After:
    """What will be; names in the plan must be known (laws/order.py)."""
    earlier = {name: _resident(name, inventory, world) for name in world.vms}
    after = After(plan, inventory, world, dict(earlier), earlier, {}, before(plan))
    for move in after.moves:
        held = after.residents[move.vm]
        after.residents[move.vm] = replace(held, server=move.target, came=True)
    for place in after.places:
        after.residents[place.vm] = Resident(
            name=place.vm,
            vmid=place.vmid,
            cluster=place.cluster,
            server=place.server,
            memory_mib=place.memory_mib,
            vcpus=place.vcpus,
            group=inventory.vms[place.vm].apart,
            came=True,
        )
    for cluster in inventory.clusters:
        after.carrying[cluster] = _carrying(cluster, after)
    return after


def _resident(name: str, inventory: Inventory, world: World) -> Resident:
    """A VM that was seen: what it has or what it is to have, whichever is more."""
    seen = world.vms[name]
    wanted = inventory.needs(name) if name in inventory.vms else None
    if seen.kind == "template":
        wanted, seen = None, seen.model_copy(update={"memory_mib": 0})  # it never runs
    sizes = [m for m in (seen.memory_mib, wanted.memory_mib if wanted else None) if m is not None]
    return Resident(
        name=name,
        vmid=seen.vmid,
        cluster=seen.cluster,
        server=seen.server,
        memory_mib=max(sizes, default=None),
        vcpus=wanted.vcpus if wanted else 0,
        group=inventory.vms[name].apart if wanted else None,
    )


def _carrying(cluster: str, after: After) -> frozenset[str]:
    """Online members and those the plan makes members, without what it empties or recovers."""
    formed = {s for f in after.forms if f.cluster == cluster for s in f.servers}
    return frozenset(
        server
        for server in after.inventory.clusters[cluster].servers
        if server not in after.emptied and (server in formed or _runs(after.seen(server)))
    )


def _runs(seen: SeenServer) -> bool:
    return seen.node == "online" and seen.life not in (Life.DRAINING, Life.RETIRED)
