"""What a site's public addresses can still carry: the judge of "does this VM fit here?"."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from ipaddress import IPv4Address

from metal.model.fleet import Inventory, Site, Treatment, Vm
from metal.network.choose import FLOWS
from metal.network.ipv6 import prefixes
from metal.network.sharing import Port, bins_of, share
from metal.network.sites import Address, base_addresses, gateway_addresses, parse, pool

PROXY = "(proxy)"
"""The site's proxy among those who share an address; no VM can be called that."""
GATEWAY = "(gateway)"
"""The gateways' virtual address among those: the way out, and the mesh's door."""
WEB_PORTS = frozenset({80, 443})
"""The proxy's own, whatever names it serves today: nobody else gets them on its address."""


@dataclass(frozen=True)
class Budget:
    """Public IPv4 addresses of one site."""

    site: str
    pool: int
    dedicated: int
    shared: int
    """Addresses that NAT and the proxy share."""
    foreign: int
    """Held by VMs that must not have them: unmanaged ones, or ones not moved off yet."""
    gateways: int = 0
    """The gateways' own; what they share by VRRP counts as shared."""

    @property
    def free(self) -> int:
        return self.pool - self.dedicated - self.shared - self.foreign - self.gateways


Holders = Mapping[Address, Sequence[tuple[str, int]]]


@dataclass(frozen=True)
class Holdings:
    """Who holds which address of a site's pool already."""

    kept: dict[str, IPv4Address]
    """VMs that want an address of their own and have one."""
    foreign: frozenset[Address]


def holdings(
    inventory: Inventory,
    site: str,
    homes: Mapping[str, str],
    current: Mapping[str, tuple[str, ...]],
    *,
    holders: Holders | None = None,
    reserved: AbstractSet[Address] | None = None,
) -> Holdings:
    """Sort the pool addresses seen on VMs into kept and foreign ones.

    Who asks for many sites brings `holders` (address → the VMs that have it) and `reserved`,
    which are the same for all.
    """
    holders = held_by(current) if holders is None else holders
    reserved = infrastructure(inventory) if reserved is None else reserved
    place = inventory.sites[site]
    own = base_addresses(place)
    addresses: set[Address] = {a for a in pool(place) if a not in own}
    kept: dict[str, IPv4Address] = {}
    foreign: set[Address] = {address for address in addresses if address in reserved}
    seen = sorted((vm, n, a) for a in addresses - foreign for vm, n in holders.get(a, ()))
    for vm, _, address in seen:
        assert isinstance(address, IPv4Address)  # it is of the pool
        if address in kept.values() or address in foreign:
            continue
        mine = vm in homes and inventory.vms[vm].ipv4 == "dedicated" and vm not in kept
        if mine and inventory.site_of(homes[vm]) == site:
            kept[vm] = address
        else:
            foreign.add(address)
    return Holdings(kept, frozenset(foreign))


def held_by(current: Mapping[str, tuple[str, ...]]) -> Holders:
    """Who has which address, and as which of its own."""
    found: dict[Address, list[tuple[str, int]]] = {}
    for vm, texts in current.items():
        for number, address in enumerate(parse(texts)):
            found.setdefault(address, []).append((vm, number))
    return found


def infrastructure(inventory: Inventory) -> set[Address]:
    """Addresses of servers, BMCs, gateways and adopted VMs: never given to a VM."""
    texts: list[str] = []
    for server in inventory.servers.values():
        texts += [str(server.address), server.bmc.address]
    for vm in inventory.vms.values():
        texts += [str(a) for a in (vm.adopted.addresses if vm.adopted else ())]
    for site in inventory.sites.values():
        texts += [str(site.subnets.gateway), str(site.subnets.public_gateway)]
        texts += map(str, base_addresses(site))
    networks = [prefix.vms for site in inventory.sites for prefix in prefixes(inventory, site)]
    return set(parse(tuple(texts))) | {a for n in networks for a in gateway_addresses(n)}


def nat_ports(vm: Vm) -> frozenset[Port]:
    """What a VM behind NAT must have for itself on its address; its reverse name is one of it."""
    name: frozenset[Port] = frozenset({("rdns", 0, 0)}) if "rdns" in vm.needs else frozenset()
    return name | {(s.protocol, *s.ports) for s in vm.serves}


def gateway_ports(site: Site) -> frozenset[Port] | None:
    """What the gateways must have for themselves on a shared address; None when there are none."""
    if site.gateways is None or not pool(site):
        return None
    port = site.gateways.wireguard_port
    return frozenset({("udp", port, port)} if site.gateways.wireguard else ())


def proxy_names(vm: Vm) -> frozenset[tuple[str, int]]:
    """(name, port) of what a proxy tells apart for this VM."""
    return frozenset((s.name, s.port) for s in vm.serves if s.name is not None)


def impossible(site: Site, vm: Vm, treatment: Treatment) -> str:
    """Why `site` can never give `vm` this treatment; empty when it can."""
    if treatment == "ipv6":
        if site.subnets.ipv6 or not vm.serves:
            return ""
        return "the site has no IPv6 that the world could reach it by"
    if not pool(site):
        return "the site has no public IPv4 addresses (ipv4_pool)"
    if treatment == "proxy":
        if vm.needs:
            return (
                f"its need {vm.needs[0]!r} cannot be met behind a proxy: give it nat or dedicated"
            )
        for service in vm.serves:
            if service.protocol != "tcp" or service.name is None:
                return (
                    f"a proxy cannot tell {service.protocol} port {service.port} apart: "
                    "give the service a name, or the VM nat or dedicated"
                )
    return ""


class Ledger:
    """The public addresses of one site, VM by VM."""

    def __init__(self, inventory: Inventory, site: str, foreign: int = 0) -> None:
        self._vms = inventory.vms
        self._site = inventory.sites[site]
        self.site = site
        self.pool = len(pool(self._site))
        self.gateways = len(base_addresses(self._site))
        self.foreign = foreign
        self.dedicated: set[str] = set()
        self.nat: dict[str, frozenset[Port]] = {}
        self.names: dict[tuple[str, int], str] = {}
        """(name, port) → the VM the proxy sends it to."""
        self.proxied: set[str] = set()
        self.flows: dict[str, int] = {}
        """Of those who go out through a shared address."""
        self._shared = self._count(self.claims())

    @property
    def budget(self) -> Budget:
        own = len(self.dedicated)
        return Budget(self.site, self.pool, own, self._shared, self.foreign, self.gateways)

    def refuses(self, vm: str) -> str:
        """Why the site cannot serve `vm` besides those it serves; empty when it can."""
        wanted = self._vms[vm]
        why = impossible(self._site, wanted, wanted.ipv4)
        if why:
            return why
        if wanted.ipv4 == "proxy":
            for name, port in sorted(proxy_names(wanted)):
                other = self.names.get((name, port))
                if other not in (None, vm):
                    return f"{other} serves {name} port {port} here already"
        more = self._more(vm)
        if more > self.budget.free:  # also when others were served beyond the pool already
            return (
                f"its public IPv4 addresses are used up: {self.pool} in the pool, "
                f"{len(self.dedicated)} dedicated, {self._shared} shared"
                + (f", {self.gateways} the gateways' own" if self.gateways else "")
                + (f", {self.foreign} held by others" if self.foreign else "")
            )
        return ""

    def add(self, vm: str) -> None:
        wanted = self._vms[vm]
        if wanted.ipv4 == "dedicated":
            self.dedicated.add(vm)
        else:
            more = self._more(vm)
            self.flows[vm] = wanted.flows
            if wanted.ipv4 == "nat":
                self.nat[vm] = nat_ports(wanted)
            elif wanted.ipv4 == "proxy":
                self.proxied.add(vm)
                self.names.update((key, vm) for key in proxy_names(wanted))
            self._shared += more

    def remove(self, vm: str) -> None:
        self.dedicated.discard(vm)
        self.nat.pop(vm, None)
        self.proxied.discard(vm)
        self.flows.pop(vm, None)
        self.names = {key: owner for key, owner in self.names.items() if owner != vm}
        self._shared = self._count(self.claims())

    def claims(self, vm: str | None = None) -> dict[str, frozenset[Port]]:
        """Who shares addresses and with which ports; with `vm` as if it were here."""
        claims = dict(self.nat)
        gateway = gateway_ports(self._site)
        if gateway is not None:
            claims[GATEWAY] = gateway
        ports = self._proxy_ports()
        proxied = bool(self.proxied)
        if vm is not None and self._vms[vm].ipv4 == "nat":
            claims[vm] = nat_ports(self._vms[vm])
        elif vm is not None and self._vms[vm].ipv4 == "proxy":
            proxied = True
            ports |= {port for _, port in proxy_names(self._vms[vm])}
        if proxied:
            claims[PROXY] = frozenset(("tcp", port, port) for port in ports)
        return claims

    def _proxy_ports(self) -> set[int]:
        return {*WEB_PORTS, *(port for _, port in self.names)}

    def _more(self, vm: str) -> int:
        """Addresses it would take besides those in use."""
        wanted = self._vms[vm]
        if wanted.ipv4 == "dedicated":
            return 1
        flows = sum(self.flows.values()) + (0 if vm in self.flows else wanted.flows)
        if -(-flows // FLOWS) <= self._shared:
            if wanted.ipv4 == "ipv6":
                return 0
            if wanted.ipv4 == "proxy" and self.proxied:
                ports = self._proxy_ports()
                if all(port in ports for _, port in proxy_names(wanted)):
                    return 0
        return self._count(self.claims(vm), flows) - self._shared

    def _count(self, claims: Mapping[str, frozenset[Port]], flows: int | None = None) -> int:
        """Shared addresses: for the ports, and for the flows where anything is shared at all."""
        through = sum(self.flows.values()) if flows is None else flows
        bins = bins_of(share(claims))
        return max(bins, -(-through // FLOWS)) if claims else 0


def budget(
    inventory: Inventory,
    site: str,
    homes: Mapping[str, str],
    current: Mapping[str, tuple[str, ...]] | None = None,
) -> Budget:
    """What the VMs that live at `site` (homes: VM → cluster) take of its pool.

    `free` is negative by as many addresses as are missing.
    """
    held = holdings(inventory, site, homes, current or {})
    ledger = Ledger(inventory, site, len(held.foreign))
    for vm in residents(inventory, site, homes):
        ledger.add(vm)
    return ledger.budget


def by_site(inventory: Inventory, homes: Mapping[str, str]) -> dict[str, list[str]]:
    """Site → its VMs of the inventory, by name."""
    site_of = {cluster: inventory.site_of(cluster) for cluster in inventory.clusters}
    found: dict[str, list[str]] = {}
    for vm in sorted(homes):
        if vm in inventory.vms:
            found.setdefault(site_of[homes[vm]], []).append(vm)
    return found


def residents(inventory: Inventory, site: str, homes: Mapping[str, str]) -> Iterable[str]:
    """The VMs of the inventory at `site`, by name."""
    return sorted(
        v for v, c in homes.items() if v in inventory.vms and inventory.site_of(c) == site
    )
