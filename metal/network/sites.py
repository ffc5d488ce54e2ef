"""The addresses a site has: its pool, its private network, the /64 of its VMs."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_interface,
)

from metal.model.fleet import Site

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MOST_GATEWAYS = 2
"""Base addresses that are kept free for them in every network of VMs."""

RESERVED_HOSTS = 10
"""The first hosts of a private network are the gateways': never given to a VM."""
LOWEST_INTERFACE = 1 << 16
"""IPv6 interface ids below are the gateways' and hand-made ones: never given to a VM."""


def pool(site: Site) -> tuple[IPv4Address, ...]:
    """The public addresses VMs may use, in the inventory's order, each once.

    The public gateway is never among them, even when a range spans it.
    """
    return _pool(site.ipv4_pool, site.subnets.public_gateway)


@lru_cache(maxsize=512)
def _pool(texts: tuple[str, ...], gateway: Address | None) -> tuple[IPv4Address, ...]:
    found: dict[IPv4Address, None] = {}
    for low, high in spans(texts):
        found.update((IPv4Address(n), None) for n in range(low, high + 1))
    return tuple(a for a in found if a != gateway)


def base_addresses(site: Site) -> tuple[IPv4Address, ...]:
    """The gateways' own public addresses: the first of the pool, none where private ones do."""
    if site.gateways is None or site.gateways.base == "private":
        return ()
    return pool(site)[: site.gateways.count]


def gateway_addresses(network: Network) -> tuple[Address, ...]:
    """Of the VMs' network: the virtual one that they know, then each gateway's own."""
    first = network.network_address
    return tuple(first + n for n in range(1, 2 + MOST_GATEWAYS))


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
    ranges = spans(site.subnets.metallb)
    return (
        IPv4Address(n)
        for n in range(first, last)
        if not any(low <= n <= high for low, high in ranges)
    )


def is_private_host(site: Site, address: Address) -> bool:
    """True if `private_hosts` would give it."""
    network = private_network(site)
    return (
        address in network
        and int(network[0]) + RESERVED_HOSTS < int(address) < int(network[-1])
        and not any(low <= int(address) <= high for low, high in spans(site.subnets.metallb))
    )


def spans(items: Iterable[str]) -> list[tuple[int, int]]:
    """Single addresses and ranges first-last as (first, last)."""
    ends = [[int(IPv4Address(end.strip())) for end in item.split("-")] for item in items]
    return [(pair[0], pair[-1]) for pair in ends]


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
