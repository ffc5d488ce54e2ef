"""What a site's public addresses can still carry: the judge of "does this VM fit here?"."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import NamedTuple, TypeVar

from metal.model.fleet import Inventory, Site, Treatment, Vm
from metal.network.choose import FLOWS
from metal.network.ipv6 import prefixes
from metal.network.packing import Shared
from metal.network.sharing import Port, bins_of, share
from metal.network.sites import Address, base_addresses, gateway_addresses, parse, pool

K = TypeVar("K")
V = TypeVar("V")

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
    found: set[Address] = set(parse(tuple(s.bmc.address for s in inventory.servers.values())))
    found |= {server.address for server in inventory.servers.values()}
    for vm in inventory.vms.values():
        found |= {a.ip for a in (vm.adopted.addresses if vm.adopted else ())}
    for site in inventory.sites.values():
        found |= {a for a in (site.subnets.gateway, site.subnets.public_gateway) if a}
        found |= set(base_addresses(site))
    networks = [prefix.vms for site in inventory.sites for prefix in prefixes(inventory, site)]
    return found | {a for n in networks for a in gateway_addresses(n)}


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


class _Mark(NamedTuple):
    """What a ledger held of a VM before it was tried."""

    vm: str
    dedicated: bool
    flows: int | None
    nat: frozenset[Port] | None
    proxied: bool
    owners: dict[tuple[str, int], str | None]
    """Who had its names."""


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
        self._proxy_ports = Counter[int](WEB_PORTS)
        """Port → how many names are told apart on it; those of the web are never given away."""
        self.proxied: set[str] = set()
        self.flows: dict[str, int] = {}
        """Of those who go out through a shared address."""
        self._through = 0
        self._named: dict[str, frozenset[tuple[str, int]]] = {}
        """`proxy_names` of those that were asked about."""
        self._tried: list[_Mark] | None = None
        """How it was before each of those that are only tried; None when none are."""
        self._packing: Shared | None = None
        """None when it must be packed anew."""
        self._bins = bins_of(share(self.claims()))
        """Addresses that the shared ports take."""

    @property
    def _shared(self) -> int:
        """Shared addresses: for the ports, and for the flows where anything is shared at all."""
        return max(self._bins, _addresses(self._through)) if self._bins else 0

    @property
    def _free(self) -> int:
        """As `budget` says it: asked for each of thousands of VMs."""
        taken = len(self.dedicated) + self._shared + self.foreign + self.gateways
        return self.pool - taken

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
            for name, port in sorted(self._names_of(vm)):
                other = self.names.get((name, port))
                if other not in (None, vm):
                    return f"{other} serves {name} port {port} here already"
        # Also when others were served beyond the pool already.
        # Where too many were promised already, who takes none makes it no worse.
        free = max(0, self._free) if wanted.ipv4 == "ipv6" else self._free
        if self._more(vm) > free:
            return (
                f"its public IPv4 addresses are used up: {self.pool} in the pool, "
                f"{len(self.dedicated)} dedicated, {self._shared} shared"
                + (f", {self.gateways} the gateways' own" if self.gateways else "")
                + (f", {self.foreign} held by others" if self.foreign else "")
            )
        return ""

    def add(self, vm: str) -> None:
        wanted = self._vms[vm]
        if self._tried is not None:
            self._tried.append(self._mark(vm))
        if wanted.ipv4 == "dedicated":
            self.dedicated.add(vm)
        else:
            bins = self._bins_with(vm)
            self._through += wanted.flows - self.flows.get(vm, 0)
            self.flows[vm] = wanted.flows
            if wanted.ipv4 == "nat":
                self.nat[vm] = ports = nat_ports(wanted)
                self._take(ports, bins)
            elif wanted.ipv4 == "proxy":
                if bins != self._bins or not self._routed(vm):
                    self._packing = None
                named = self._names_of(vm)
                self._proxy_ports.update(port for _, port in named - self.names.keys())
                self.proxied.add(vm)
                self.names.update(dict.fromkeys(named, vm))
            self._bins = bins

    @contextmanager
    def trying(self) -> Iterator[None]:
        """What is added inside was never added, once it ends."""
        through, bins, packing = self._through, self._bins, self._packing
        self._tried = []
        try:
            yield
        finally:
            for mark in reversed(self._tried):
                self._undo(mark)
            self._tried = None
            self._through, self._bins, self._packing = through, bins, packing

    def _mark(self, vm: str) -> "_Mark":
        owners = {key: self.names.get(key) for key in self._names_of(vm)}
        held = (vm in self.dedicated, self.flows.get(vm), self.nat.get(vm), vm in self.proxied)
        return _Mark(vm, *held, owners if self._vms[vm].ipv4 == "proxy" else {})

    def _undo(self, mark: "_Mark") -> None:
        vm = mark.vm
        if not mark.dedicated:
            self.dedicated.discard(vm)
        if not mark.proxied:
            self.proxied.discard(vm)
        _put_back(self.flows, vm, mark.flows)
        _put_back(self.nat, vm, mark.nat)
        for key, owner in mark.owners.items():
            if owner is None:
                self._proxy_ports[key[1]] -= 1
                if not self._proxy_ports[key[1]]:
                    del self._proxy_ports[key[1]]
            _put_back(self.names, key, owner)

    def _take(self, ports: frozenset[Port], bins: int) -> None:
        if self._packing is None:
            return
        number = self._packing.fit(ports)
        if number is None and bins > len(self._packing):
            number = len(self._packing)
        if number is None:
            self._packing = None
        else:
            self._packing = self._packing.taking(number, ports)

    def remove(self, vm: str) -> None:
        self.dedicated.discard(vm)
        self._through -= self.flows.pop(vm, 0)
        if vm in self.nat or vm in self.proxied:
            self.nat.pop(vm, None)
            self.proxied.discard(vm)
            for key in [key for key, owner in self.names.items() if owner == vm]:
                del self.names[key]
                self._proxy_ports[key[1]] -= 1
            self._proxy_ports = +self._proxy_ports
            self._packing = None
            self._bins = bins_of(share(self.claims()))

    def claims(self, vm: str | None = None) -> dict[str, frozenset[Port]]:
        """Who shares addresses and with which ports; with `vm` as if it were here."""
        claims = dict(self.nat)
        gateway = gateway_ports(self._site)
        if gateway is not None:
            claims[GATEWAY] = gateway
        ports = set(self._proxy_ports)
        proxied = bool(self.proxied)
        if vm is not None and self._vms[vm].ipv4 == "nat":
            claims[vm] = nat_ports(self._vms[vm])
        elif vm is not None and self._vms[vm].ipv4 == "proxy":
            proxied = True
            ports |= {port for _, port in self._names_of(vm)}
        if proxied:
            claims[PROXY] = frozenset(("tcp", port, port) for port in ports)
        return claims

    def _more(self, vm: str) -> int:
        """Addresses it would take besides those in use."""
        wanted = self._vms[vm]
        if wanted.ipv4 == "dedicated":
            return 1
        through = self._through + (0 if vm in self.flows else wanted.flows)
        bins = self._bins_with(vm)
        return (max(bins, _addresses(through)) if bins else 0) - self._shared

    def _bins_with(self, vm: str) -> int:
        """Addresses that the shared ports take with it."""
        wanted = self._vms[vm]
        if wanted.ipv4 == "ipv6" or (wanted.ipv4 == "proxy" and self._routed(vm)):
            return self._bins
        if wanted.ipv4 == "nat" and vm not in self.nat:
            if self._packing is None:
                self._packing = Shared(self.claims())
            ports = nat_ports(wanted)
            if self._packing.fit(ports) is not None:
                return self._bins
            if self._packing.full(ports):
                return len(self._packing) + 1
        return bins_of(share(self.claims(vm)))

    def _routed(self, vm: str) -> bool:
        """Whether the proxy has all of its ports already."""
        return bool(self.proxied) and all(p in self._proxy_ports for _, p in self._names_of(vm))

    def _names_of(self, vm: str) -> frozenset[tuple[str, int]]:
        if vm not in self._named:
            self._named[vm] = proxy_names(self._vms[vm])
        return self._named[vm]


def _put_back(of: dict[K, V], key: K, value: V | None) -> None:
    if value is None:
        of.pop(key, None)
    else:
        of[key] = value


def _addresses(flows: int) -> int:
    """That so many flows need."""
    return -(-flows // FLOWS)


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
