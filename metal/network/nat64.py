"""NAT64 by rule: each VM's IPv6 address has one IPv4 of its own behind the gateway.

Translating statelessly, VM by VM, keeps what the IPv4 plan promised: a VM that calls an IPv4
host through NAT64 leaves by the same public address as over IPv4, whichever gateway it meets.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_interface
from itertools import islice

from metal.network.sites import private_network
from metal.network.view import View

PREFIX = IPv6Network("64:ff9b::/96")
"""RFC 6052's own: the whole IPv4 Internet in IPv6."""
WITHIN = IPv4Network("198.18.0.0/15")
"""RFC 2544 keeps it for benchmarks: no network of anybody's is in it, and none leaves a gateway."""
AT_MOST = 17
"""Prefix length, so that there are always four of them."""
DEVICE = "nat64"


def networks(seen: View) -> tuple[IPv4Network, ...]:
    """One for each prefix of the site, as large as the VMs' private network if that fits; the
    last is for those that are no VMs of ours.

    While a site is renumbered a VM has two IPv6 addresses, and each is one IPv4's.
    """
    length = max(AT_MOST, private_network(seen.site).prefixlen)
    return tuple(islice(WITHIN.subnets(new_prefix=length), len(seen.prefixes) + 1))


def translator(seen: View) -> IPv4Address:
    """The translator's own address: what would be the gateway's."""
    return networks(seen)[0][1]


def translated(seen: View, vm: str) -> tuple[IPv4Address | None, ...]:
    """What each of a VM's IPv6 addresses is translated to; None beyond the networks."""
    private = ip_interface(seen.vms[vm].private_ipv4)
    number = int(private) - int(private.network.network_address)
    return tuple(
        network[number] if number < network.num_addresses - 1 else None
        for network in networks(seen)[:-1]
    )
