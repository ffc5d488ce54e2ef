"""The addresses a site has: its pool, its private network, the /64 of its VMs."""

import hashlib
from collections.abc import Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_interface,
    ip_network,
)

from metal.model.fleet import Site

Address = IPv4Address | IPv6Address

RESERVED_HOSTS = 10
"""The first hosts of a private network are the gateways': never given to a VM."""
LOWEST_INTERFACE = 1 << 16
"""IPv6 interface ids below are the gateways' and hand-made ones: never given to a VM."""


def pool(site: Site) -> tuple[IPv4Address, ...]:
    """The public addresses VMs may use, in the inventory's order, each once.

    The public gateway is never among them, even when a range spans it.
    """
    found: dict[IPv4Address, None] = {}
    for item in site.ipv4_pool:
        first, _, last = item.partition("-")
        low = int(IPv4Address(first.strip()))
        high = int(IPv4Address(last.strip())) if last else low
        found.update((IPv4Address(n), None) for n in range(low, high + 1))
    return tuple(a for a in found if a != site.subnets.public_gateway)


def with_prefix(site: Site, address: IPv4Address) -> str:
    """A public address with the prefix length of its network; /32 when it is in none."""
    network = site.subnets.public_ipv4
    length = network.prefixlen if network is not None and address in network else 32
    return f"{address}/{length}"


def private_network(site: Site) -> IPv4Network:
    return IPv4Network(site.subnets.private_ipv4)


def private_gateway(site: Site) -> IPv4Address:
    return private_network(site).network_address + 1


def private_hosts(site: Site) -> Iterator[IPv4Address]:
    """What VMs may have: every host after the reserved ones, in order."""
    network = private_network(site)
    first, last = int(network[0]) + RESERVED_HOSTS + 1, int(network[-1])
    return (IPv4Address(n) for n in range(first, last))


def is_private_host(site: Site, address: Address) -> bool:
    """True if `private_hosts` would give it."""
    network = private_network(site)
    return address in network and (
        int(network[0]) + RESERVED_HOSTS < int(address) < int(network[-1])
    )


def vm_network6(site: Site) -> IPv6Network | None:
    """The first /64 of the site's prefix holds its VMs; None where there is no IPv6."""
    if site.subnets.ipv6 is None:
        return None
    prefix = IPv6Network(site.subnets.ipv6)
    if prefix.prefixlen >= 64:
        return prefix
    return IPv6Network(ip_network((prefix.network_address, 64)))


def hosts6(network: IPv6Network, name: str) -> Iterator[IPv6Address]:
    """Stable addresses for a VM of this name, the first one first, the next on a collision.

    The interface id is cut from SHA-256 of the name: it depends on no other VM, so it stays
    when others come and go.
    """
    bits = 128 - network.prefixlen
    for attempt in range(1 << 20):
        text = name if attempt == 0 else f"{name} {attempt}"
        digest = hashlib.sha256(text.encode()).digest()
        interface = int.from_bytes(digest[:16], "big") >> (128 - bits)
        if interface >= min(LOWEST_INTERFACE, 1 << (bits - 1)):
            yield network[interface]


def parse(addresses: tuple[str, ...]) -> tuple[Address, ...]:
    """What can be read of a VM's configured addresses; "dhcp" and the like are left out."""
    found: list[Address] = []
    for text in addresses:
        try:
            found.append(ip_interface(text).ip)
        except ValueError:
            continue
    return tuple(found)
