"""The gateways' nftables of one site: forwards to VMs, the ways out, and nothing else open.

Rendered for `nft -f`: it replaces metal's own two tables and touches no other. Every statement
is on a line of its own: nft 1.0.6 refuses some valid one-liners.

VMs with an IPv4 of their own go past the gateways with it, but their IPv6 comes through here as
everyone's. The rules of the filter are in nft_filter.py.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address

from metal.network import mesh, nat64
from metal.network.engines.nft_filter import forward_rules, input_rules, output_rules
from metal.network.sites import private_gateway, private_network
from metal.network.view import View, bare, leaving

HEADER = """\
#!/usr/sbin/nft -f
# Gateways of site {site}, rendered by metal: what is changed here by hand is lost.
"""


def render_nftables(seen: View) -> str:
    """The ruleset that all gateways of the site have."""
    lines = [
        f'define uplink = "{seen.gateways.uplink}"',
        f'define inside = "{seen.gateways.inside}"',
        f'define nat64 = "{nat64.DEVICE}"',
        f'define mesh = "{mesh.DEVICE}"',
        "",
        *_table("ip metal_nat", _nat(seen)),
        "",
        *_table("inet metal_filter", _filter(seen)),
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


def _filter(seen: View) -> Iterator[str]:
    yield from _chain(
        "input", "filter hook input priority filter; policy accept;", input_rules(seen)
    )
    yield ""
    speaking = output_rules(seen)
    yield from _chain("output", "filter hook output priority filter; policy accept;", speaking)
    yield ""
    yield from _chain(
        "forward", "filter hook forward priority filter; policy drop;", forward_rules(seen)
    )


def _nat(seen: View) -> Iterator[str]:
    yield from _chain(
        "prerouting", "nat hook prerouting priority dstnat; policy accept;", _forwards(seen)
    )
    yield ""
    yield from _chain(
        "postrouting", "nat hook postrouting priority srcnat; policy accept;", _ways_out(seen)
    )


def _forwards(seen: View) -> Iterator[str]:
    for vm, has in seen.vms.items():
        for f in has.forwards:
            yield (
                f"ip daddr {f.public} {f.protocol} dport {f.span} "
                f'dnat to {f.to or bare(has.private_ipv4)} comment "{vm}"'
            )


def _ways_out(seen: View) -> Iterator[str]:
    network, gateway = private_network(seen.site), private_gateway(seen.site)
    yield "# A VM that calls another by its public address: the answer must come back this way."
    yield f"iifname $inside ip saddr {network} ip daddr {network} ct status dnat snat to {gateway}"
    yield from _answers(seen)
    yield "# Out with the address that the VM is known by, or one that has room for its flows."
    main = seen.ways_out[:1]
    for vm, ways in leaving(seen).items():
        if ways != main:
            source, way = _from(seen, vm), _one_of(ways)
            yield f'oifname $uplink ip saddr {source} snat to {way} comment "{vm}"'
    way = f"snat to {main[0]}" if main else "masquerade"
    all_of_them = ", ".join(map(str, [network, *nat64.networks(seen)]))
    yield f"oifname $uplink ip saddr {{ {all_of_them} }} {way}"


def _answers(seen: View) -> Iterator[str]:
    """VMs whose way out is past the gateways would answer the mesh by it, into the void."""
    own = [bare(has.private_ipv4) for has in seen.vms.values() if has.public_ipv4]
    if own and seen.others:
        yield "# A VM with a way out of its own answers the mesh here, and not by that."
        to, gateway = ", ".join(own), private_gateway(seen.site)
        yield f"iifname $mesh oifname $inside ip daddr {{ {to} }} snat to {gateway}"


def _from(seen: View, vm: str) -> str:
    """The VM's private address, and what its IPv6 is translated to."""
    also = [str(a) for a in nat64.translated(seen, vm) if a is not None]
    return f"{{ {', '.join([bare(seen.vms[vm].private_ipv4), *also])} }}"


def _one_of(ways: tuple[IPv4Address, ...]) -> str:
    """The address itself; of several each connection takes the next."""
    if len(ways) == 1:
        return str(ways[0])
    turns = ", ".join(f"{number} : {way}" for number, way in enumerate(ways))
    return f"numgen inc mod {len(ways)} map {{ {turns} }}"
