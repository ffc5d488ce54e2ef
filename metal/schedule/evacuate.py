"""A donor withdraws: what goes where, in which order and on which day, and what goes back.

Between clusters a VM is copied: its disks go over the site's uplink, one VM after the other, the
most important first. While they arrive every cluster stays survivable: it was placed with all of
them there, and fewer are never harder to restart.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from metal.model.fleet import Inventory, Learned, Server
from metal.model.world import World
from metal.schedule.terms import without_closing
from metal.schedule.withdraw import Relocation, leaving, relocate

SHARE = 0.5
"""Of an uplink that the copies may fill: what still runs there needs the rest."""
INSIDE_MBIT = 1000
"""Between servers of one site."""
GB_PER_GIB = 1024**3 / 1000**3


@dataclass(frozen=True)
class Departure:
    """One VM on its way."""

    vm: str
    priority: int
    cluster: str
    server: str
    site: str
    gib: int
    """Of its disks, all of which are copied."""
    mbit: float | None
    """That it may take of the uplink; None where nobody told what that carries."""
    begins: datetime | None
    ends: datetime | None
    """Both None where nobody told what the uplinks carry. It is sent in between."""
    renumbered: bool
    """It gets other addresses, for it comes to another site: its names must follow."""

    @property
    def hours(self) -> float | None:
        if self.begins is None or self.ends is None:
            return None
        return (self.ends - self.begins).total_seconds() / 3600


@dataclass(frozen=True)
class HandBack:
    """A server that is carried out, and what is owed for it."""

    server: str
    rack: str
    unit: int | None
    vendor: str | None
    model: str | None
    serial: str | None
    sku: str | None
    wipe: tuple[str, ...]
    """Serial numbers (or names, where there is none) of disks that must be erased before."""
    duty: str
    """The donor's `returns`."""


@dataclass(frozen=True)
class Evacuation:
    name: str
    departures: tuple[Departure, ...]
    """In the order in which they go."""
    relocation: Relocation
    hand_back: tuple[HandBack, ...]
    by: datetime | None
    """When all must be gone; None: no end was told."""
    unknown: tuple[str, ...]
    """Sites of which nobody told what the uplink carries."""
    helpers: tuple[str, ...]
    """Tang servers that stand there: disks elsewhere may need them to open."""
    warnings: tuple[str, ...]

    @property
    def gib(self) -> int:
        return sum(d.gib for d in self.departures)

    @property
    def ends(self) -> datetime | None:
        return max((d.ends for d in self.departures if d.ends), default=None)

    @property
    def late(self) -> tuple[str, ...]:
        """VMs that arrive after the end."""
        return tuple(d.vm for d in self.departures if d.ends and self.by and d.ends > self.by)


def evacuate(
    inventory: Inventory,
    world: World,
    name: str,
    begin: datetime,
    by: datetime | None = None,
    mbit: int | None = None,
) -> Evacuation:
    """The evacuation of a site or cluster, from `begin` on. `mbit` stands for what the uplinks
    carry; else the donors' terms tell it. Sites that are given back soon take nothing."""
    open_to, warnings = without_closing(inventory, begin.date())
    found = relocate(open_to, world, name)
    home = name if name in inventory.sites else inventory.site_of(name)
    servers, _ = leaving(inventory, name)
    departures: list[Departure] = []
    unknown: dict[str, None] = {}
    at: datetime | None = begin
    for vm, (cluster, server) in found.homes.items():
        site = inventory.site_of(cluster)
        rate = _rate(inventory, home, site, mbit)
        unknown |= dict.fromkeys(_untold(inventory, home, site) if rate is None else ())
        gib = max(inventory.needs(vm).disk_gib, world.vms[vm].disk_gib or 0)
        ends = None if at is None or rate is None else at + _time(gib, rate)
        departures.append(
            Departure(
                vm=vm,
                priority=inventory.vms[vm].priority,
                cluster=cluster,
                server=server,
                site=site,
                gib=gib,
                mbit=rate,
                begins=at if ends else None,
                ends=ends,
                renumbered=site != home,
            )
        )
        at = ends
    end = by or _end(inventory, home)
    return Evacuation(
        name=name,
        departures=tuple(departures),
        relocation=found,
        hand_back=tuple(hand_back(inventory, sorted(servers))),
        by=end,
        unknown=tuple(unknown),
        helpers=_helpers(inventory, home if name in inventory.sites else "", servers, found),
        warnings=tuple(w for w in warnings if not w.startswith(f"{home} ")),
    )


def _end(inventory: Inventory, site: str) -> datetime | None:
    until = inventory.sites[site].donor.until
    # The last day counts whole.
    return datetime.combine(until, time()) + timedelta(days=1) if until else None


def _rate(inventory: Inventory, home: str, site: str, mbit: int | None) -> float | None:
    """Mbit a second that a copy gets; None where nobody told."""
    if site == home:
        return float(mbit or INSIDE_MBIT)
    told = [mbit or inventory.sites[s].donor.mbit for s in (home, site)]
    known = [m for m in told if m is not None]
    return SHARE * min(known) if len(known) == len(told) else None


def _untold(inventory: Inventory, *sites: str) -> list[str]:
    return [site for site in sites if inventory.sites[site].donor.mbit is None]


def _time(gib: int, mbit: float) -> timedelta:
    return timedelta(seconds=gib * GB_PER_GIB * 8000 / mbit)


def _helpers(
    inventory: Inventory, site: str, servers: Iterable[str], found: Relocation
) -> tuple[str, ...]:
    there = {*servers, *found.homes, *(u.vm for u in found.stranded)}
    return tuple(
        name
        for name, tang in inventory.tang.items()
        if tang.runs_on in there or (tang.site is not None and tang.site == site)
    )


def hand_back(inventory: Inventory, servers: Iterable[str]) -> Iterable[HandBack]:
    """What the donor gets, or we fetch: a server each, by its papers."""
    for name in servers:
        server = inventory.servers[name]
        learned, duty = server.learned or Learned(), inventory.sites[server.site].donor.returns
        yield HandBack(
            server=name,
            rack=server.rack,
            unit=server.unit,
            vendor=learned.vendor,
            model=learned.model,
            serial=learned.serial,
            sku=learned.sku,
            wipe=_disks(server) if duty == "wiped" else (),
            duty=duty,
        )


def _disks(server: Server) -> tuple[str, ...]:
    disks = server.learned.disks if server.learned else ()
    return tuple(d.serial or d.name for d in disks)
