"""What is shown of the fleet, as words: pure functions of inventory and world, for both faces."""

from collections.abc import Iterable
from dataclasses import dataclass

from metal.model.fleet import Inventory
from metal.model.life import Life, Status
from metal.model.world import SeenCluster, SeenServer, SeenVm, World
from metal.tui.grid import Column, safe

SERVER_COLUMNS = (
    Column("SERVER"),
    Column("U", rank=5, right=True),
    Column("LIFE"),
    Column("POWER", rank=1),
    Column("HEALTH", rank=2),
    Column("NODE", rank=4),
    Column("VMS", rank=3, right=True),
    Column("NOTE", rank=6, grows=True, least=10),
)


SILENT = "BMC silent"


@dataclass(frozen=True)
class ServerRow:
    """One server in words."""

    name: str
    site: str
    rack: str
    unit: int | None
    life: str
    power: str
    health: str
    node: str
    vms: str
    """How many run on it, "4/5" where one of five does not, "?" where nobody answered."""
    note: str

    @property
    def cells(self) -> tuple[str, ...]:
        """In the order of SERVER_COLUMNS."""
        return (
            self.name,
            "" if self.unit is None else str(self.unit),
            self.life,
            self.power,
            self.health,
            self.node,
            self.vms,
            self.note,
        )

    @property
    def ailing(self) -> bool:
        """True if a person should look at it."""
        held = self.note.startswith((Status.FAILED, Status.HELD, SILENT))
        bad = self.health in ("warning", "critical") or self.node == "offline"
        dark = self.power == "off" and self.life in (Life.INSTALLED, Life.MEMBER, Life.DRAINING)
        return bad or dark or held


@dataclass(frozen=True)
class RackRows:
    """The servers of one rack, top unit first."""

    site: str
    rack: str
    place: str
    until: str
    """When the donation ends, ISO date; empty while it is open-ended."""
    servers: tuple[ServerRow, ...]

    @property
    def heading(self) -> str:
        end = f", lent until {self.until}" if self.until else ""
        return safe(f"{self.site}, rack {self.rack}{end}: {self.place}")


def racks(inventory: Inventory, world: World) -> tuple[RackRows, ...]:
    """Every server by site and rack, in the inventory's order of sites."""
    places = {(s.site, s.rack): None for s in inventory.servers.values()}
    order = list(inventory.sites)
    return tuple(
        _rack(inventory, world, site, rack)
        for site, rack in sorted(places, key=lambda p: (order.index(p[0]), p[1]))
    )


def _rack(inventory: Inventory, world: World, site: str, rack: str) -> RackRows:
    where = inventory.sites[site]
    names = [n for n, s in inventory.servers.items() if (s.site, s.rack) == (site, rack)]
    names.sort(key=lambda n: (inventory.servers[n].unit or 0, n))
    return RackRows(
        site=site,
        rack=rack,
        place=where.place,
        until=where.donor.until.isoformat() if where.donor.until else "",
        servers=tuple(server_row(inventory, world, name) for name in names),
    )


def server_row(inventory: Inventory, world: World, name: str) -> ServerRow:
    wanted, seen = inventory.servers[name], world.servers.get(name, SeenServer())
    return ServerRow(
        name=name,
        site=wanted.site,
        rack=wanted.rack,
        unit=wanted.unit,
        life=seen.life,
        power=seen.power,
        health=seen.health,
        node=seen.node,
        vms=vm_count(inventory, world, name),
        note=note(world, name, seen),
    )


def vm_count(inventory: Inventory, world: World, server: str) -> str:
    """VMs on a server; "?" when its cluster did not answer: silent is not zero."""
    cluster = inventory.cluster_of(server)
    if cluster and (cluster not in world.clusters or world.clusters[cluster].formed is None):
        return "?"
    return running_of(vm for vm in world.vms.values() if vm.server == server)


def running_of(vms: Iterable[SeenVm]) -> str:
    """ "5" when all run, "4/5" when one does not."""
    states = [vm.state for vm in vms]
    running = states.count("running")
    return str(running) if running == len(states) else f"{running}/{len(states)}"


def note(world: World, name: str, seen: SeenServer) -> str:
    """The most urgent thing to say of a server, in a few words."""
    if seen.status != Status.DONE:
        return f"{seen.status}: {seen.note}" if seen.note else str(seen.status)
    if silence := world.silent.get(f"bmc {name}"):
        return f"{SILENT}: {silence}"
    return seen.note or "; ".join(seen.reasons)


@dataclass(frozen=True)
class Totals:
    """The fleet in numbers."""

    servers: int
    on: int
    ailing: int
    vms: int
    """Wanted."""
    running: int
    dark: int = 0
    """Servers whose power nobody knows."""
    unseen: int = 0
    """VMs that may run in a cluster that did not answer: unknown is not stopped."""

    @property
    def text(self) -> str:
        dark = f", {self.dark} unknown" if self.dark else ""
        ill = f", {self.ailing} need a look" if self.ailing else ""
        unseen = f", {self.unseen} unknown" if self.unseen else ""
        servers = f"{self.servers} servers: {self.on} on{dark}{ill}"
        return f"{servers}   {self.vms} VMs: {self.running} running{unseen}"


def totals(inventory: Inventory, world: World) -> Totals:
    rows = [row for rack in racks(inventory, world) for row in rack.servers]
    return Totals(
        servers=len(rows),
        on=sum(row.power == "on" for row in rows),
        ailing=sum(row.ailing for row in rows),
        vms=len(inventory.vms),
        running=sum(vm.state == "running" for n, vm in world.vms.items() if n in inventory.vms),
        dark=sum(row.power == "unknown" and row.life != Life.FOUND for row in rows),
        unseen=sum(_unseen(inventory, world, name) for name in inventory.vms),
    )


def _unseen(inventory: Inventory, world: World, vm: str) -> bool:
    """Whether it may run where nobody answered."""
    if vm in world.vms:
        return world.vms[vm].state == "unknown"
    pinned = inventory.vms[vm].cluster
    candidates = [pinned] if pinned else list(inventory.clusters)
    return any(world.clusters.get(c, SeenCluster()).formed is None for c in candidates)
