"""The IPv6 plan of a site, all of it by rule: nothing of it is remembered anywhere.

A site has the prefix its donor gave, or a unique local one (RFC 4193) cut from the fleet's and
the site's names. Each network of a site is one /64 of it, by a number that never changes. A VM's
interface id is cut from its name (`hosts6`), so it is the same under every prefix: renumbering a
site changes the first half of its addresses only.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_interface
from typing import Literal

from metal.model.fleet import Inventory, Site

NETWORKS = {"vms": 0, "hosts": 1, "bmcs": 2}
"""The number of each network's /64 in its site's prefix. Numbers are added, never changed."""
VM_PREFIX = 64
LOCAL = IPv6Network("fc00::/7")
Use = Literal["current", "next", "old"]


@dataclass(frozen=True)
class Prefix:
    """A prefix of a site, and what it is to it."""

    network: IPv6Network
    use: Use
    """Names lead to the current one only; the others are carried while a site is renumbered."""

    @property
    def routed(self) -> bool:
        """Whether the world can reach it: unique local ones stay inside."""
        return not self.network.subnet_of(LOCAL)

    @property
    def vms(self) -> IPv6Network:
        """The network of the VMs."""
        return _slice(self.network, NETWORKS["vms"])


def prefixes(inventory: Inventory, site: str) -> tuple[Prefix, ...]:
    """What the site's gateways carry, the current one first."""
    subnets = inventory.sites[site].subnets
    if subnets.ipv6 is None:
        return (Prefix(unique_local(inventory.fleet.domain, site), "current"),)
    words: tuple[tuple[object, Use], ...] = (
        (subnets.ipv6, "current"),
        (subnets.ipv6_next, "next"),
        (subnets.ipv6_old, "old"),
    )
    return tuple(Prefix(n, use) for n, use in words if isinstance(n, IPv6Network))


def unique_local(fleet: str, site: str) -> IPv6Network:
    """The /48 of a site that has no prefix: the same whenever it is asked for.

    RFC 4193 wants 40 random bits, so that two networks that meet one day do not clash. A hash of
    the fleet's domain and the site's name is as good, and needs no place to be kept.
    """
    digest = hashlib.sha256(f"{fleet} {site}".encode()).digest()
    return IPv6Network((bytes([0xFD]) + digest[:5] + bytes(10), 48))


def network6(inventory: Inventory, site: str, kind: str = "vms") -> IPv6Network | None:
    """The /64 of one network; None where the prefix is too long to have it."""
    prefix = prefixes(inventory, site)[0].network
    number = NETWORKS[kind]
    if number and number >= 1 << max(0, VM_PREFIX - prefix.prefixlen):
        return None
    return _slice(prefix, number)


def vm_network6(inventory: Inventory, site: str) -> IPv6Network:
    """The network of a site's VMs under its current prefix."""
    return prefixes(inventory, site)[0].vms


def has_world6(site: Site) -> bool:
    """Whether the world can reach the site's VMs over IPv6."""
    return site.subnets.ipv6 is not None


def under(address: str | IPv6Address, network: IPv6Network) -> IPv6Address:
    """The same interface id under another prefix."""
    ip = ip_interface(str(address)).ip
    return IPv6Address(int(network.network_address) | int(ip) & int(network.hostmask))


def reverse_zone(address: IPv6Address, prefix: IPv6Network) -> str:
    """The zone under ip6.arpa that names `address`, of those the prefix is delegated as.

    Zones end at whole hex digits: a prefix that does not is delegated as several.
    """
    digits = -(-prefix.prefixlen // 4)
    return ".".join(address.reverse_pointer.split(".")[32 - digits :])


def reverse_zones(prefix: IPv6Network) -> Iterator[str]:
    """All zones that a donor delegates with the prefix."""
    whole = -(-prefix.prefixlen // 4) * 4
    for part in prefix.subnets(new_prefix=whole):
        yield reverse_zone(part.network_address, prefix)


def _slice(prefix: IPv6Network, number: int) -> IPv6Network:
    if prefix.prefixlen >= VM_PREFIX:
        return prefix
    return IPv6Network((int(prefix.network_address) + (number << 64), VM_PREFIX))


@dataclass(frozen=True)
class SitePlan:
    """What a site has of IPv6."""

    site: str
    prefixes: tuple[Prefix, ...]
    networks: dict[str, IPv6Network]
    """Of the current prefix."""
    zones: tuple[str, ...]
    """Reverse zones that the donor delegates with the prefixes; none of unique local ones."""

    def told(self) -> dict[str, object]:
        """In plain words, for JSON."""
        return {
            "site": self.site,
            "prefixes": [{"prefix": str(p.network), "use": p.use} for p in self.prefixes],
            "routed": self.prefixes[0].routed,
            "networks": {kind: str(network) for kind, network in self.networks.items()},
            "zones": list(self.zones),
        }


def site_plan(inventory: Inventory, site: str) -> SitePlan:
    mine = prefixes(inventory, site)
    networks = {kind: network6(inventory, site, kind) for kind in NETWORKS}
    return SitePlan(
        site,
        mine,
        {kind: network for kind, network in networks.items() if network is not None},
        tuple(zone for p in mine if p.routed for zone in reverse_zones(p.network)),
    )
