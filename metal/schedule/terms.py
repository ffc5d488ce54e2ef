"""What donors lend and what of it is used; which sites take nothing new as their end is near."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from metal.model.donor import Donor
from metal.model.fleet import Inventory
from metal.model.life import Life
from metal.model.world import World
from metal.network.sites import parse


@dataclass(frozen=True)
class Use:
    """What one site's donor lends and what is used of it."""

    site: str
    donor: Donor
    servers: tuple[str, ...]
    units: int
    watts: int
    unknown_watts: tuple[str, ...]
    """Servers of which nobody told what they draw: `watts` is without them."""
    addresses: int
    traffic_gb: int
    vms: int

    def over(self, today: date) -> tuple[str, ...]:
        """Where more is used than lent."""
        pairs = (
            ("U", self.units, self.donor.units),
            ("watts", self.watts, self.donor.watts),
            ("IPv4 addresses", self.addresses, self.donor.addresses),
            ("GB a month", self.traffic_gb, self.donor.traffic_gb),
        )
        found = [
            f"{used} {what} used, {lent} lent"
            for what, used, lent in pairs
            if lent is not None and used > lent
        ]
        if self.donor.watts is not None and self.unknown_watts:
            found.append(f"nobody told the `watts` of {', '.join(self.unknown_watts)}")
        if self.donor.over(today) and self.servers:
            found.append(f"lent until {self.donor.until}, and still in use")
        return tuple(found)


def uses(inventory: Inventory, world: World) -> tuple[Use, ...]:
    """Of every site, in the inventory's order."""
    traffic = traffic_at(inventory, ((vm, seen.cluster) for vm, seen in world.vms.items()))
    return tuple(_use(inventory, world, name, traffic.get(name, 0)) for name in inventory.sites)


def traffic_at(inventory: Inventory, homes: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Site → GB a month of the VMs there; `homes`: (VM, cluster)."""
    found: dict[str, int] = {}
    for vm, cluster in homes:
        if vm in inventory.vms and cluster in inventory.clusters:
            site = inventory.site_of(cluster)
            found[site] = found.get(site, 0) + inventory.vms[vm].traffic_gb
    return found


def too_much_traffic(
    inventory: Inventory, traffic: Mapping[str, int], site: str, vms: Iterable[str]
) -> str:
    """Why the site's donor does not allow the VMs besides those there; empty when they may come."""
    lent = inventory.sites[site].donor.traffic_gb
    if lent is None:
        return ""
    more = sum(inventory.vms[vm].traffic_gb for vm in vms)
    if not more or traffic.get(site, 0) + more <= lent:
        return ""
    return f"its donor allows {lent} GB a month, {max(0, lent - traffic.get(site, 0))} GB are left"


def _use(inventory: Inventory, world: World, name: str, traffic: int) -> Use:
    site = inventory.sites[name]
    servers = {
        s: wanted
        for s, wanted in inventory.servers.items()
        if wanted.site == name
        and not (s in world.servers and world.servers[s].life is Life.RETIRED)
    }
    public = site.subnets.public_ipv4
    texts = (a for seen in world.vms.values() for a in (*seen.addresses, seen.shared) if a)
    addresses = {a for a in parse(tuple(texts)) if public is not None and a in public}
    return Use(
        site=name,
        donor=site.donor,
        servers=tuple(servers),
        units=sum(s.height for s in servers.values()),
        watts=sum(s.watts or 0 for s in servers.values()),
        unknown_watts=tuple(s for s, wanted in servers.items() if wanted.watts is None),
        addresses=len(addresses),
        traffic_gb=traffic,
        vms=sum(seen.server in servers for seen in world.vms.values()),
    )


def clusters_over(inventory: Inventory, today: date) -> set[str]:
    """Those at sites whose last day has passed."""
    sites = {name for name, site in inventory.sites.items() if site.donor.over(today)}
    return {name for name in inventory.clusters if inventory.site_of(name) in sites}


def without_closing(inventory: Inventory, today: date) -> tuple[Inventory, tuple[str, ...]]:
    """(the inventory as new VMs are placed by it, warnings): sites that are given back soon take
    none but those that name them."""
    closing = {n: s.donor for n, s in inventory.sites.items() if s.donor.closing(today)}
    clusters = {
        name: cluster.model_copy(update={"only_pinned": True})
        if inventory.site_of(name) in closing
        else cluster
        for name, cluster in inventory.clusters.items()
    }
    warnings = tuple(
        f"{name} is lent until {donor.until}: no VM is placed there that does not name it; "
        f"`metal evacuate {name}` says where its VMs go"
        for name, donor in closing.items()
    )
    return inventory.model_copy(update={"clusters": clusters}) if closing else inventory, warnings
