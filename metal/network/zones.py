"""Names and the addresses they lead to: the fleet's zone, and what its addresses are called.

A VM is NAME.DOMAIN, and so is every host name in the fleet's domain that it serves. Names lead to
current prefixes only; all that the gateways carry have names of their own. Inside, and through
the mesh, a VM is NAME.SITE.internal.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from metal.model.fleet import Inventory
from metal.network.ipv6 import reverse_zone
from metal.network.sites import Address
from metal.network.view import View, bare

TTL = 3600
"""Seconds that others may remember a name: how long a change takes at most."""
DNS_PORT = 53
INNER = "internal"
"""The top-level domain that ICANN keeps for networks such as ours."""


@dataclass(frozen=True, order=True)
class Record:
    """One line of a zone; names are whole, with a dot at the end."""

    name: str
    kind: str
    value: str


@dataclass(frozen=True)
class Zone:
    """A zone without its serial."""

    name: str
    servers: tuple[str, ...]
    """The VMs that answer for it, as host names."""
    records: tuple[Record, ...]

    @property
    def file(self) -> str:
        return f"db.{self.name.replace('/', '-')}"


def zones(seen: Mapping[str, View]) -> tuple[Zone, ...]:
    """The fleet's, then the reverse ones; none where no VM serves port 53 to answer for them."""
    first = next(iter(seen.values()), None)
    if first is None:
        return ()
    domain = first.inventory.fleet.domain
    here = {vm for view in seen.values() for vm in view.vms}
    servers = tuple(f"{vm}.{domain}." for vm in name_servers(first.inventory) if vm in here)
    if not servers:
        return ()
    forward = Zone(domain, servers, tuple(sorted(set(_forward(seen.values(), domain)))))
    reverse: dict[str, set[Record]] = {}
    for view in seen.values():
        for zone, record in (*_reverse4(view, domain), *_reverse6(view, domain)):
            reverse.setdefault(zone, set()).add(record)
    return (forward, *(Zone(z, servers, tuple(sorted(r))) for z, r in sorted(reverse.items())))


def name_servers(inventory: Inventory) -> tuple[str, ...]:
    """The VMs that answer for the fleet's zones; the first is the primary, which has the files."""
    return tuple(
        sorted(
            vm
            for vm, wanted in inventory.vms.items()
            if any(first <= DNS_PORT <= last for first, last in (s.ports for s in wanted.serves))
        )
    )


def inner_domain(site: str) -> str:
    return f"{site}.{INNER}"


def public4(seen: View, vm: str) -> IPv4Address | None:
    """Where the world finds a VM over IPv4."""
    has = seen.vms[vm]
    found = bare(has.public_ipv4) or has.shared
    return IPv4Address(found) if found else None


def names_elsewhere(seen: View) -> dict[str, str]:
    """Host name that a VM serves → VM, of those in somebody else's zone."""
    domain = seen.inventory.fleet.domain
    names = ((s.name, vm) for vm in seen.vms for s in seen.inventory.vms[vm].serves)
    return {name: vm for name, vm in names if name and not _within(name, domain)}


def reverse_zone4(address: IPv4Address, network: IPv4Network) -> str:
    """The zone that names `address`: by whole octets, and as RFC 2317 has it below a /24."""
    whole = str(address).split(".")
    if network.prefixlen <= 24:
        return ".".join(reversed(whole[:3])) + ".in-addr.arpa"
    first = str(network.network_address).split(".")[3]
    return f"{first}/{network.prefixlen}." + ".".join(reversed(whole[:3])) + ".in-addr.arpa"


def _forward(seen: Iterable[View], domain: str) -> Iterator[Record]:
    for view in seen:
        for vm in view.vms:
            served = [s.name for s in view.inventory.vms[vm].serves]
            names = {f"{vm}.{domain}", *(n for n in served if n and _within(n, domain))}
            for name in names:
                yield from (_address(name, a) for a in _reached_at(view, vm))


def _reached_at(seen: View, vm: str) -> Iterator[Address]:
    """The addresses that names lead to."""
    public = public4(seen, vm)
    if public is not None:
        yield public
    if seen.prefixes[0].routed:
        yield seen.addresses6(vm)[0]


def _reverse4(seen: View, domain: str) -> Iterator[tuple[str, Record]]:
    """A shared address has the name of the VM that needs it to, or none."""
    network = seen.site.subnets.public_ipv4
    for vm, has in seen.vms.items():
        public = public4(seen, vm)
        own = has.public_ipv4 or "rdns" in seen.inventory.vms[vm].needs
        if public is None or not own or network is None or public not in network:
            continue
        zone = reverse_zone4(public, IPv4Network(network))
        yield zone, Record(f"{str(public).split('.')[3]}.{zone}.", "PTR", f"{vm}.{domain}.")


def _reverse6(seen: View, domain: str) -> Iterator[tuple[str, Record]]:
    routed = [prefix for prefix in seen.prefixes if prefix.routed]
    for vm in seen.vms:
        for prefix, address in zip(routed, seen.addresses6(vm, routed=True), strict=True):
            zone = reverse_zone(address, prefix.network)
            yield zone, Record(f"{address.reverse_pointer}.", "PTR", f"{vm}.{domain}.")


def _address(name: str, address: Address) -> Record:
    kind = "AAAA" if isinstance(address, IPv6Address) else "A"
    return Record(f"{name}.", kind, str(address))


def _within(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")
