"""NAT64 by rule: each VM's IPv6 address has one IPv4 of its own behind the gateway.

Translating statelessly, VM by VM, keeps what the IPv4 plan promised: a VM that calls an IPv4
host through NAT64 leaves by the same public address as over IPv4, whichever gateway it meets.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Network

from metal.model.fleet import Site
from metal.network.sites import private_network

PREFIX = IPv6Network("64:ff9b::/96")
"""RFC 6052's own: the whole IPv4 Internet in IPv6."""
WITHIN = IPv4Network("198.18.0.0/15")
"""RFC 2544 keeps it for benchmarks: no network of anybody's is in it, and none leaves a gateway."""
DEVICE = "nat64"


def translated_network(site: Site) -> IPv4Network:
    """As large as the VMs' private network, up to all of `WITHIN`."""
    length = max(WITHIN.prefixlen, private_network(site).prefixlen)
    return IPv4Network((WITHIN.network_address, length))


def translator(site: Site) -> IPv4Address:
    """The translator's own address: what would be the gateway's."""
    return translated_network(site)[1]


def translated(site: Site, private: IPv4Address) -> IPv4Address | None:
    """What a VM's IPv6 is translated to; None beyond `WITHIN`, where it takes what is free."""
    number = int(private) - int(private_network(site).network_address)
    network = translated_network(site)
    return network[number] if number < network.num_addresses - 1 else None
