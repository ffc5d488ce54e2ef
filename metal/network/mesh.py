"""The mesh: every site's gateways and every administrator, over WireGuard.

Addresses in it are by rule, from names, like those of VMs. A site is reached at its door, a
public address that its gateways share; an administrator calls from anywhere and has none.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeVar

from metal.model.fleet import Inventory
from metal.network.ipv6 import VM_PREFIX, prefixes, unique_local
from metal.network.sites import hosts6, private_network

DEVICE = "mesh"
KEY = "/etc/wireguard/mesh.key"
"""Where a gateway and an administrator keep the private key: no text that metal writes has it."""
NETWORK4 = IPv4Network("100.64.0.0/10")
"""Between carriers and customers (RFC 6598): no site's network, and no host's at home."""
MTU = 1420
A = TypeVar("A", IPv4Address, IPv6Address)


@dataclass(frozen=True)
class Member:
    """One end of the mesh."""

    name: str
    key: str
    """Its public one."""
    address4: IPv4Address
    address6: IPv6Address
    site: str | None = None
    """None: an administrator."""
    behind: tuple[str, ...] = ()
    """The networks it leads to, IPv4 first: the VMs' of a site."""

    @property
    def networks(self) -> tuple[str, ...]:
        """All that is sent to it, with prefix length."""
        return (f"{self.address4}/32", f"{self.address6}/128", *self.behind)


def mesh(inventory: Inventory) -> tuple[Member, ...]:
    """All that have a key: the sites, then the administrators."""
    keys: list[tuple[str, str | None, str | None]] = [
        (name, site.gateways.wireguard, name)
        for name, site in inventory.sites.items()
        if site.gateways is not None
    ]
    keys += [(name, who.wireguard, None) for name, who in inventory.administrators.items()]
    network6 = mesh_network6(inventory)
    taken4: set[IPv4Address] = set()
    taken6: set[IPv6Address] = set()
    found: list[Member] = []
    for name, key, site in keys:
        if key is None:
            continue
        whole = f"{'site' if site else 'administrator'} {name}"
        address4 = _first_free(_hosts4(whole), taken4)
        address6 = _first_free(hosts6(network6, whole), taken6)
        behind = networks_behind(inventory, site) if site else ()
        found.append(Member(name, key, address4, address6, site, behind))
    return tuple(found)


def mesh_network6(inventory: Inventory) -> IPv6Network:
    """The /64 that the members' own addresses are of."""
    prefix = unique_local(inventory.fleet.domain, "the mesh")
    return IPv6Network((prefix.network_address, VM_PREFIX))


def networks_behind(inventory: Inventory, site: str) -> tuple[str, ...]:
    """The VMs' networks of a site: what the mesh leads to."""
    mine = inventory.sites[site]
    vms = [str(prefix.vms) for prefix in prefixes(inventory, site)]
    return (str(private_network(mine)), *vms)


def _hosts4(name: str) -> Iterator[IPv4Address]:
    for attempt in range(1 << 10):
        digest = hashlib.sha256(f"{name} {attempt}".encode()).digest()
        number = int.from_bytes(digest[:4], "big") % (NETWORK4.num_addresses - 2)
        yield NETWORK4[number + 1]


def _first_free(candidates: Iterable[A], taken: set[A]) -> A:
    address = next(a for a in candidates if a not in taken)
    taken.add(address)
    return address
