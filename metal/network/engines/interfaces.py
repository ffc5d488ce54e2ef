"""A gateway's own addresses, for Debian's ifupdown, and the kernel's settings.

While the other of the pair holds the shared addresses, this one reaches the world through it.
"""

from collections.abc import Iterator

from metal.network.gateways import Gateway
from metal.network.sites import gateway_addresses, private_gateway
from metal.network.view import View

OWN_METRIC, BACKUP_METRIC = 4000, 4242
"""Worse than the routes that keepalived sets on the one that holds the addresses."""


def render_interfaces(seen: View, gateway: Gateway) -> str:
    """/etc/network/interfaces.d/metal."""
    lines = [
        f"# {gateway.name} of site {seen.name}, rendered by metal: "
        "what is changed here by hand is lost.",
        *_inside(seen, gateway),
        "",
        *_uplink(seen, gateway),
    ]
    return "\n".join(lines) + "\n"


def _inside(seen: View, gateway: Gateway) -> Iterator[str]:
    name = seen.gateways.inside
    first, *rest = gateway.inside6(seen)
    yield f"auto {name}"
    yield f"iface {name} inet static"
    yield f"    address {gateway.inside4(seen)}"
    yield f"    up {_backup(f'{private_gateway(seen.site)} dev {name}', 4)}"
    yield ""
    yield f"iface {name} inet6 static"
    yield f"    address {first}"
    yield "    accept_ra 0"
    yield from (f"    up ip -6 address replace {more} dev {name}" for more in rest)
    yield f"    up {_backup(f'{gateway_addresses(first.network)[0]} dev {name}', 6)}"


def _backup(via: str, family: int) -> str:
    """The route is refused, and not needed, where the shared address is here already."""
    return f"ip -{family} route replace default via {via} metric {BACKUP_METRIC} || true"


def _uplink(seen: View, gateway: Gateway) -> Iterator[str]:
    name, own = seen.gateways.uplink, gateway.outside4(seen)
    yield f"auto {name}"
    if own is None:
        yield f"iface {name} inet manual"
        yield "    # No address of its own: it has those that the pair shares, or none."
        yield f"    up ip link set {name} up"
    else:
        yield f"iface {name} inet static"
        yield f"    address {own}"
        yield f"    gateway {seen.site.subnets.public_gateway}"
        yield f"    metric {OWN_METRIC}"


def render_sysctl(seen: View) -> str:
    """/etc/sysctl.d/90-metal.conf."""
    words = seen.gateways
    settings = {
        "net.ipv4.ip_forward": 1,
        "net.ipv6.conf.all.forwarding": 1,
        f"net.ipv6.conf.{words.uplink}.accept_ra": 0,
        f"net.ipv6.conf.{words.inside}.accept_ra": 0,
        # The proxy and the resolvers listen on shared addresses that may be elsewhere now.
        "net.ipv4.ip_nonlocal_bind": 1,
        "net.ipv6.ip_nonlocal_bind": 1,
        # The donor's network hears of the uplink's addresses and of no others.
        f"net.ipv4.conf.{words.uplink}.arp_ignore": 1,
        f"net.ipv4.conf.{words.uplink}.arp_announce": 2,
        # A packet may come in by the interface its answer does not leave by.
        "net.ipv4.conf.all.rp_filter": 2,
    }
    lines = [f"# Gateways of site {seen.name}, rendered by metal."]
    return "\n".join([*lines, *(f"{key} = {value}" for key, value in settings.items())]) + "\n"
