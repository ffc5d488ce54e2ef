"""The gateways of a site by rule: what each is called, its own addresses and the shared ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface

from metal.network.sites import (
    Address,
    base_addresses,
    gateway_addresses,
    private_network,
    with_prefix,
)
from metal.network.view import View

LINK_LOCAL = IPv6Address("fe80::1")
"""The pair's router address: what router advertisements come from, whichever sends them."""
DNS64 = 0x64
"""Interface id of the resolver for those who live on IPv6 alone."""


@dataclass(frozen=True)
class Gateway:
    """One of the pair."""

    number: int
    """From 1; the first is preferred when both begin at once."""

    @property
    def name(self) -> str:
        return f"gateway{self.number}"

    def inside4(self, seen: View) -> IPv4Interface:
        network = private_network(seen.site)
        return IPv4Interface((gateway_addresses(network)[self.number], network.prefixlen))

    def inside6(self, seen: View) -> tuple[IPv6Interface, ...]:
        networks = [prefix.vms for prefix in seen.prefixes]
        return tuple(
            IPv6Interface((int(gateway_addresses(n)[self.number]), n.prefixlen)) for n in networks
        )

    def log_in(self, seen: View) -> Address:
        """Where metal logs in to it."""
        told = seen.gateways.addresses
        return told[self.number - 1] if told else self.inside4(seen).ip

    def outside4(self, seen: View) -> str | None:
        """Its own public address with prefix length; None where the pair has shared ones only."""
        own = base_addresses(seen.site)
        return with_prefix(seen.site, own[self.number - 1]) if own else None


def gateways(seen: View) -> tuple[Gateway, ...]:
    """None where somebody else routes."""
    count = seen.site.gateways.count if seen.site.gateways else 0
    return tuple(Gateway(number) for number in range(1, count + 1))


def shared_inside(seen: View) -> Iterator[str]:
    """With prefix length: what VMs know as their gateway, and the resolvers."""
    network = private_network(seen.site)
    yield f"{gateway_addresses(network)[0]}/{network.prefixlen}"
    yield f"{LINK_LOCAL}/64"
    for prefix in seen.prefixes:
        yield f"{gateway_addresses(prefix.vms)[0]}/{prefix.vms.prefixlen}"
    yield f"{dns64_address(seen)}/128"


def shared_outside(seen: View) -> Iterator[str]:
    """With prefix length: what the world knows."""
    yield from (with_prefix(seen.site, way) for way in seen.ways_out)
    if seen.gateways.uplink_ipv6 is not None:
        yield str(seen.gateways.uplink_ipv6)


def dns64_address(seen: View) -> IPv6Address:
    return seen.prefixes[0].vms[DNS64]
