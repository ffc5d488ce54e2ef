"""The state after a plan: where every VM is, and which servers carry."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

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
    Restart,
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
    disk_gib: int | None = None
    """None: nobody knows."""
    cpu: str | None = None
    """The processor it asks for."""
    together: frozenset[str] = frozenset()
    """All VMs that must share its server, itself among them; empty where there are none."""
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
    today: date | None = None
    """None: the end of a donation is not looked at."""

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
    def restarts(self) -> list[Restart]:
        return [one for r in self.recoveries if r.restarts for one in r.restarts.planned]

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


def look_ahead(plan: Plan, inventory: Inventory, world: World, today: date | None = None) -> After:
    """What will be; names in the plan must be known (laws/order.py)."""
    company = _companies(inventory)
    earlier = {name: _resident(name, inventory, world, company) for name in world.vms}
    after = After(plan, inventory, world, dict(earlier), earlier, {}, before(plan), today)
    for move in after.moves:
        held = after.residents[move.vm]
        after.residents[move.vm] = replace(held, server=move.target, came=True)
    for restart in after.restarts:
        if restart.vm in after.residents:
            there = after.residents[restart.vm]
            after.residents[restart.vm] = replace(there, server=restart.target, came=True)
    for place in after.places:
        after.residents[place.vm] = Resident(
            name=place.vm,
            vmid=place.vmid,
            cluster=place.cluster,
            server=place.server,
            memory_mib=place.memory_mib,
            vcpus=place.vcpus,
            group=inventory.vms[place.vm].apart,
            disk_gib=place.disk_gib,
            cpu=inventory.vms[place.vm].cpu,
            together=company.get(place.vm, frozenset()),
            came=True,
        )
    for cluster in inventory.clusters:
        after.carrying[cluster] = _carrying(cluster, after)
    return after


def _resident(
    name: str, inventory: Inventory, world: World, company: Mapping[str, frozenset[str]]
) -> Resident:
    """A VM that was seen: what it has or what it is to have, whichever is more."""
    seen = world.vms[name]
    template = seen.kind == "template"
    if name not in inventory.vms or template:
        return Resident(
            name=name,
            vmid=seen.vmid,
            cluster=seen.cluster,
            server=seen.server,
            memory_mib=0 if template else seen.memory_mib,  # it never runs
            vcpus=0 if template else seen.vcpus or 0,
            group=None,
            disk_gib=seen.disk_gib or 0 if template else seen.disk_gib,
        )
    needs, wanted = inventory.needs(name), inventory.vms[name]
    return Resident(
        name=name,
        vmid=seen.vmid,
        cluster=seen.cluster,
        server=seen.server,
        memory_mib=max(needs.memory_mib, seen.memory_mib or 0),
        vcpus=max(needs.vcpus, seen.vcpus or 0),
        group=wanted.apart,
        disk_gib=max(needs.disk_gib, seen.disk_gib or 0),
        cpu=wanted.cpu,
        together=company.get(name, frozenset()),
    )


def _companies(inventory: Inventory) -> dict[str, frozenset[str]]:
    """VM → all that must share its server, directly or through others; of those that must."""
    near: dict[str, set[str]] = {}
    for name, vm in inventory.vms.items():
        for other in vm.together:
            near.setdefault(name, set()).add(other)
            near.setdefault(other, set()).add(name)
    found: dict[str, frozenset[str]] = {}
    for name in near.keys() & inventory.vms.keys():
        if name not in found:
            all_of_it, edge = {name}, {name}
            while edge:
                edge = {o for vm in edge for o in near[vm]} - all_of_it
                all_of_it |= edge
            found |= dict.fromkeys(all_of_it, frozenset(all_of_it))
    return found


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
