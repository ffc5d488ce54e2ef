"""What a site's public addresses can still carry: the judge of "does this VM fit here?"."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from metal.model.fleet import Inventory, Site, Treatment, Vm
from metal.network.sharing import Port, share
from metal.network.sites import Address, parse, pool, vm_network6

PROXY = "(proxy)"
"""The site's proxy among those who share an address; no VM can be called that."""
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

    @property
    def free(self) -> int:
        return self.pool - self.dedicated - self.shared - self.foreign


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
) -> Holdings:
    """Sort the pool addresses seen on VMs into kept and foreign ones."""
    addresses: set[Address] = set(pool(inventory.sites[site]))
    kept: dict[str, IPv4Address] = {}
    foreign: set[Address] = infrastructure(inventory) & addresses
    for vm in sorted(current):
        for address in parse(current[vm]):
            if not isinstance(address, IPv4Address) or address not in addresses - foreign:
                continue
            if (
                vm not in kept
                and address not in kept.values()
                and vm in homes
                and inventory.vms[vm].ipv4 == "dedicated"
                and inventory.site_of(homes[vm]) == site
            ):
                kept[vm] = address
            elif address not in kept.values():
                foreign.add(address)
    return Holdings(kept, frozenset(foreign) - set(kept.values()))


def infrastructure(inventory: Inventory) -> set[Address]:
    """Addresses of servers, BMCs and gateways: never a VM's."""
    texts: list[str] = []
    for server in inventory.servers.values():
        texts += [str(server.address), server.bmc.address]
    for site in inventory.sites.values():
        texts += [str(site.subnets.gateway), str(site.subnets.public_gateway)]
    networks = [vm_network6(site) for site in inventory.sites.values()]
    return set(parse(tuple(texts))) | {n.network_address + 1 for n in networks if n}


def nat_ports(vm: Vm) -> frozenset[Port]:
    return frozenset((s.protocol, s.port) for s in vm.serves)


def proxy_names(vm: Vm) -> frozenset[tuple[str, int]]:
    """(name, port) of what a proxy tells apart for this VM."""
    return frozenset((s.name, s.port) for s in vm.serves if s.name is not None)


def impossible(site: Site, vm: Vm, treatment: Treatment) -> str:
    """Why `site` can never give `vm` this treatment; empty when it can."""
    if treatment == "ipv6":
        return "" if site.subnets.ipv6 else "the site has no IPv6"
    if not pool(site):
        return "the site has no public IPv4 addresses (ipv4_pool)"
    if treatment == "proxy":
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
        self.foreign = foreign
        self.dedicated: set[str] = set()
        self.nat: dict[str, frozenset[Port]] = {}
        self.names: dict[tuple[str, int], str] = {}
        """(name, port) → the VM the proxy sends it to."""
        self.proxied: set[str] = set()
        self._shared = 0

    @property
    def budget(self) -> Budget:
        return Budget(self.site, self.pool, len(self.dedicated), self._shared, self.foreign)

    def refuses(self, vm: str) -> str:
        """Why the site cannot serve `vm` besides those it serves; empty when it can."""
        wanted = self._vms[vm]
        why = impossible(self._site, wanted, wanted.ipv4)
        if why or wanted.ipv4 == "ipv6":
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
                + (f", {self.foreign} held by others" if self.foreign else "")
            )
        return ""

    def add(self, vm: str) -> None:
        wanted = self._vms[vm]
        if wanted.ipv4 == "dedicated":
            self.dedicated.add(vm)
        elif wanted.ipv4 != "ipv6":
            more = self._more(vm)
            if wanted.ipv4 == "nat":
                self.nat[vm] = nat_ports(wanted)
            else:
                self.proxied.add(vm)
                self.names.update((key, vm) for key in proxy_names(wanted))
            self._shared += more

    def remove(self, vm: str) -> None:
        self.dedicated.discard(vm)
        self.nat.pop(vm, None)
        self.proxied.discard(vm)
        self.names = {key: owner for key, owner in self.names.items() if owner != vm}
        self._shared = _count(self.claims())

    def claims(self, vm: str | None = None) -> dict[str, frozenset[Port]]:
        """Who shares addresses and with which ports; with `vm` as if it were here."""
        claims = dict(self.nat)
        ports = self._proxy_ports()
        proxied = bool(self.proxied)
        if vm is not None and self._vms[vm].ipv4 == "nat":
            claims[vm] = nat_ports(self._vms[vm])
        elif vm is not None:
            proxied = True
            ports |= {port for _, port in proxy_names(self._vms[vm])}
        if proxied:
            claims[PROXY] = frozenset(("tcp", port) for port in ports)
        return claims

    def _proxy_ports(self) -> set[int]:
        return {*WEB_PORTS, *(port for _, port in self.names)}

    def _more(self, vm: str) -> int:
        """Addresses it would take besides those in use."""
        wanted = self._vms[vm]
        if wanted.ipv4 == "dedicated":
            return 1
        if wanted.ipv4 == "proxy" and self.proxied:
            ports = self._proxy_ports()
            if all(port in ports for _, port in proxy_names(wanted)):
                return 0
        return _count(self.claims(vm)) - self._shared


def _count(claims: Mapping[str, frozenset[Port]]) -> int:
    return max(share(claims).values(), default=-1) + 1


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


def residents(inventory: Inventory, site: str, homes: Mapping[str, str]) -> Iterable[str]:
    """The VMs of the inventory at `site`, by name."""
    return sorted(
        v for v, c in homes.items() if v in inventory.vms and inventory.site_of(c) == site
    )
