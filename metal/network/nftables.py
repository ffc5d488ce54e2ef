"""The gateway's nftables of one site: forwards to VMs, the way out, and nothing else open.

Rendered for `nft -f`: it replaces metal's own two tables and touches no other. Every statement
is on a line of its own: nft 1.0.6 refuses some valid one-liners.
"""

from collections.abc import Iterator, Mapping
from ipaddress import ip_interface

from metal.model.addresses import Addressing, Forward
from metal.model.fleet import Inventory, Service, Site
from metal.network.budget import residents
from metal.network.sites import private_gateway, private_network, vm_network6

HEADER = """\
#!/usr/sbin/nft -f
# Gateway of site {site}, rendered by metal: what is changed here by hand is lost.
"""


def render_nftables(
    inventory: Inventory,
    site: str,
    homes: Mapping[str, str],
    given: Mapping[str, Addressing],
    *,
    uplink: str = "uplink",
    inside: str = "vms",
) -> str:
    """The ruleset of the gateway of `site`.

    `uplink` and `inside` are its interfaces to the world and to the VMs; `homes` is VM →
    cluster, `given` the planned addresses. VMs with an IPv4 of their own go past the gateway
    with it, but their IPv6 comes through here as everyone's.
    """
    vms = {vm: given[vm] for vm in residents(inventory, site, homes) if vm in given}
    place = inventory.sites[site]
    lines = [
        f'define uplink = "{uplink}"',
        f'define inside = "{inside}"',
        "",
        *_table("ip metal_nat", _nat(place, vms)),
        "",
        *_table("inet metal_filter", _filter(inventory, place, vms)),
    ]
    return HEADER.format(site=site) + "\n" + "\n".join(lines) + "\n"


def _table(name: str, chains: Iterator[str]) -> Iterator[str]:
    """Replace the table whole, in the one transaction that a file is."""
    yield f"table {name}"
    yield f"delete table {name}"
    yield f"table {name} {{"
    yield from (f"    {line}" if line else "" for line in chains)
    yield "}"


def _chain(name: str, hook: str, rules: Iterator[str]) -> Iterator[str]:
    yield f"chain {name} {{"
    yield f"    type {hook}"
    yield from (f"    {rule}" for rule in rules)
    yield "}"


def _nat(site: Site, vms: Mapping[str, Addressing]) -> Iterator[str]:
    yield from _chain(
        "prerouting",
        "nat hook prerouting priority dstnat; policy accept;",
        _forwards(vms),
    )
    yield ""
    yield from _chain(
        "postrouting",
        "nat hook postrouting priority srcnat; policy accept;",
        _ways_out(site, vms),
    )


def _forwards(vms: Mapping[str, Addressing]) -> Iterator[str]:
    for vm, has in vms.items():
        for f in has.forwards:
            yield (
                f"ip daddr {f.public} {f.protocol} dport {_span(f)} "
                f'dnat to {_bare(has.private_ipv4)} comment "{vm}"'
            )


def _ways_out(site: Site, vms: Mapping[str, Addressing]) -> Iterator[str]:
    network, gateway = private_network(site), private_gateway(site)
    yield "# A VM that calls another by its public address: the answer must come back this way."
    yield f"iifname $inside ip saddr {network} ip daddr {network} ct status dnat snat to {gateway}"
    yield "# Out with the address that the VM is known by."
    for vm, has in vms.items():
        for public in sorted({f.public for f in has.forwards}):
            yield (
                f"oifname $uplink ip saddr {_bare(has.private_ipv4)} "
                f'snat to {public} comment "{vm}"'
            )
    shared = sorted({r.public for has in vms.values() for r in has.routes}) or sorted(_shared(vms))
    way = f"snat to {shared[0]}" if shared else "masquerade"
    yield f"oifname $uplink ip saddr {network} {way}"


def _filter(inventory: Inventory, site: Site, vms: Mapping[str, Addressing]) -> Iterator[str]:
    shared = sorted(_shared(vms))
    if shared:
        yield from _chain(
            "input",
            "filter hook input priority filter; policy accept;",
            _proxy_only(vms, shared),
        )
        yield ""
    yield from _chain(
        "forward",
        "filter hook forward priority filter; policy drop;",
        _passages(inventory, site, vms),
    )


def _proxy_only(vms: Mapping[str, Addressing], shared: list[str]) -> Iterator[str]:
    """Of the gateway itself, the shared addresses show the proxy's ports and nothing else."""
    yield "ct state established,related accept"
    ports: dict[str, set[int]] = {}
    for has in vms.values():
        for route in has.routes:
            ports.setdefault(route.public, set()).add(route.port)
    for public in sorted(ports):
        numbers = ", ".join(str(p) for p in sorted(ports[public]))
        yield f'ip daddr {public} tcp dport {{ {numbers} }} accept comment "proxy"'
    for public in shared:
        yield f"ip daddr {public} drop"


def _passages(inventory: Inventory, site: Site, vms: Mapping[str, Addressing]) -> Iterator[str]:
    subnets = site.subnets
    yield "ct state established,related accept"
    yield "# BMCs and hosts are none of the VMs' business."
    for network in (subnets.bmc, subnets.management):
        family = "ip6" if network.version == 6 else "ip"
        yield f"iifname $inside {family} daddr {network} drop"
    yield f"iifname $inside oifname $uplink ip saddr {private_network(site)} accept"
    network6 = vm_network6(site)
    if network6:
        yield f"iifname $inside oifname $uplink ip6 saddr {network6} accept"
    for vm, has in vms.items():
        private = _bare(has.private_ipv4)
        for f in has.forwards:
            yield (
                f"oifname $inside ip daddr {private} {f.protocol} dport {_span(f)} "
                f'ct status dnat accept comment "{vm}"'
            )
        if has.ipv6 and "ipsec" in inventory.vms[vm].needs:
            yield (
                f"iifname $uplink oifname $inside ip6 daddr {_bare(has.ipv6)} "
                f'meta l4proto esp accept comment "{vm}"'
            )
        for service in inventory.vms[vm].serves if has.ipv6 else ():
            yield (
                f"iifname $uplink oifname $inside ip6 daddr {_bare(has.ipv6 or '')} "
                f'{service.protocol} dport {_span(service)} accept comment "{vm}"'
            )


def _shared(vms: Mapping[str, Addressing]) -> set[str]:
    """Every address that NAT or the proxy shares."""
    return {f.public for has in vms.values() for f in has.forwards} | {
        r.public for has in vms.values() for r in has.routes
    }


def _span(ports: Forward | Service) -> str:
    return str(ports.port) if ports.last is None else f"{ports.port}-{ports.last}"


def _bare(address: str) -> str:
    return str(ip_interface(address).ip)
