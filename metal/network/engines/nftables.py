"""The gateway's nftables of one site: forwards to VMs, the way out, and nothing else open.

Rendered for `nft -f`: it replaces metal's own two tables and touches no other. Every statement
is on a line of its own: nft 1.0.6 refuses some valid one-liners.
"""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address

from metal.model.addresses import Addressing
from metal.model.fleet import Gateways, Inventory, Site
from metal.network.sites import private_gateway, private_network, vm_network6
from metal.network.view import View, bare, leaving

HEADER = """\
#!/usr/sbin/nft -f
# Gateway of site {site}, rendered by metal: what is changed here by hand is lost.
"""


def render_nftables(seen: View) -> str:
    """The ruleset of the site's gateways.

    VMs with an IPv4 of their own go past the gateway with it, but their IPv6 comes through here
    as everyone's.
    """
    gateways = seen.site.gateways or Gateways()
    lines = [
        f'define uplink = "{gateways.uplink}"',
        f'define inside = "{gateways.inside}"',
        "",
        *_table("ip metal_nat", _nat(seen)),
        "",
        *_table("inet metal_filter", _filter(seen.inventory, seen.site, seen.vms)),
    ]
    return HEADER.format(site=seen.name) + "\n" + "\n".join(lines) + "\n"


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


def _nat(seen: View) -> Iterator[str]:
    yield from _chain(
        "prerouting",
        "nat hook prerouting priority dstnat; policy accept;",
        _forwards(seen.vms),
    )
    yield ""
    yield from _chain(
        "postrouting",
        "nat hook postrouting priority srcnat; policy accept;",
        _ways_out(seen),
    )


def _forwards(vms: Mapping[str, Addressing]) -> Iterator[str]:
    for vm, has in vms.items():
        for f in has.forwards:
            yield (
                f"ip daddr {f.public} {f.protocol} dport {f.span} "
                f'dnat to {bare(has.private_ipv4)} comment "{vm}"'
            )


def _ways_out(seen: View) -> Iterator[str]:
    network, gateway = private_network(seen.site), private_gateway(seen.site)
    yield "# A VM that calls another by its public address: the answer must come back this way."
    yield f"iifname $inside ip saddr {network} ip daddr {network} ct status dnat snat to {gateway}"
    yield "# Out with the address that the VM is known by, or one that has room for its flows."
    main = seen.ways_out[:1]
    for vm, ways in leaving(seen).items():
        if ways != main:
            source = bare(seen.vms[vm].private_ipv4)
            yield f'oifname $uplink ip saddr {source} snat to {_one_of(ways)} comment "{vm}"'
    way = f"snat to {main[0]}" if main else "masquerade"
    yield f"oifname $uplink ip saddr {network} {way}"


def _one_of(ways: tuple[IPv4Address, ...]) -> str:
    """The address itself; of several each connection takes the next."""
    if len(ways) == 1:
        return str(ways[0])
    turns = ", ".join(f"{number} : {way}" for number, way in enumerate(ways))
    return f"numgen inc mod {len(ways)} map {{ {turns} }}"


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
        private = bare(has.private_ipv4)
        for f in has.forwards:
            yield (
                f"oifname $inside ip daddr {private} {f.protocol} dport {f.span} "
                f'ct status dnat accept comment "{vm}"'
            )
        if has.ipv6 and "ipsec" in inventory.vms[vm].needs:
            yield (
                f"iifname $uplink oifname $inside ip6 daddr {bare(has.ipv6)} "
                f'meta l4proto esp accept comment "{vm}"'
            )
        for service in inventory.vms[vm].serves if has.ipv6 else ():
            yield (
                f"iifname $uplink oifname $inside ip6 daddr {bare(has.ipv6)} "
                f'{service.protocol} dport {service.span} accept comment "{vm}"'
            )


def _shared(vms: Mapping[str, Addressing]) -> set[str]:
    """Every address that NAT or the proxy shares."""
    return {f.public for has in vms.values() for f in has.forwards} | {
        r.public for has in vms.values() for r in has.routes
    }
