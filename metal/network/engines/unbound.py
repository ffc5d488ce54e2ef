"""unbound of a site: names for its VMs, and DNS64 for those that live on IPv6 alone.

Two of them, at two addresses. Who has a way out over IPv4 asks the first: told an IPv6 address
for everything, it would leave by NAT64, and a mail server by another address than its own.
"""

from collections.abc import Iterator

from metal.network import nat64
from metal.network.gateways import dns64_address, gateways
from metal.network.sites import gateway_addresses, private_gateway, private_network
from metal.network.view import View, bare
from metal.network.zones import inner_domain


def render_unbound(seen: View) -> str:
    """/etc/unbound/unbound.conf.d/metal.conf: the resolver of all."""
    lines = [
        f"# Gateways of site {seen.name}, rendered by metal: what is changed here by hand is lost.",
        "server:",
        f"    interface: {private_gateway(seen.site)}",
        *(f"    interface: {gateway_addresses(p.vms)[0]}" for p in seen.prefixes),
        *_own(seen),
        *_behaviour(),
        *(f"    access-control: {network} allow" for network in _askers(seen)),
        *_names(seen),
        *_insecure(seen),
        *_forward(seen),
        *_other_sites(seen),
    ]
    return "\n".join(lines) + "\n"


def render_dns64(seen: View) -> str:
    """/etc/metal/dns64.conf: asks the first, and gives every name an IPv6 address."""
    vms = [prefix.vms for prefix in seen.prefixes]
    lines = [
        f"# Gateways of site {seen.name}, rendered by metal: what is changed here by hand is lost.",
        "server:",
        f"    interface: {dns64_address(seen)}",
        *_behaviour(),
        *(f"    access-control: {network} allow" for network in vms),
        '    module-config: "dns64 iterator"',
        f"    dns64-prefix: {nat64.PREFIX}",
        "    unblock-lan-zones: yes",
        '    pidfile: "/run/unbound-dns64.pid"',
        "",
        "remote-control:",
        "    control-enable: no",
        "",
        "forward-zone:",
        '    name: "."',
        f"    forward-addr: {private_gateway(seen.site)}",
    ]
    return "\n".join(lines) + "\n"


def render_dns64_unit(seen: View) -> str:
    return f"""\
# Gateways of site {seen.name}, rendered by metal: what is changed here by hand is lost.
[Unit]
Description=DNS64 of metal
After=network.target unbound.service

[Service]
ExecStart=/usr/sbin/unbound -d -p -c /etc/metal/dns64.conf
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""


def _own(seen: View) -> Iterator[str]:
    """Where each gateway is asked whether its resolver lives."""
    if seen.gateways.count > 1:
        yield from (f"    interface: {gateway.inside4(seen).ip}" for gateway in gateways(seen))


def _behaviour() -> Iterator[str]:
    yield "    # The address may be the other gateway's for now."
    yield "    ip-freebind: yes"
    yield "    hide-identity: yes"
    yield "    hide-version: yes"


def _askers(seen: View) -> Iterator[str]:
    yield str(private_network(seen.site))
    yield from (str(prefix.vms) for prefix in seen.prefixes)
    yield from seen.remote


def _names(seen: View) -> Iterator[str]:
    domain = inner_domain(seen.name)
    yield f'    domain-insecure: "{domain}"'
    yield f'    local-zone: "{domain}." static'
    for vm, has in seen.vms.items():
        private, ipv6 = bare(has.private_ipv4), bare(has.ipv6)
        yield f'    local-data: "{vm}.{domain}. A {private}"'
        yield f'    local-data-ptr: "{private} {vm}.{domain}"'
        if ipv6:
            yield f'    local-data: "{vm}.{domain}. AAAA {ipv6}"'


def _forward(seen: View) -> Iterator[str]:
    """To the donor's resolvers, where the inventory names some; else it asks the roots itself."""
    servers = seen.site.subnets.nameservers
    if servers:
        yield ""
        yield "forward-zone:"
        yield '    name: "."'
        yield from (f"    forward-addr: {server}" for server in servers)


def _other_sites(seen: View) -> Iterator[str]:
    """Their names are asked for through the mesh."""
    for member in seen.others:
        if member.site is not None:
            site = seen.inventory.sites[member.site]
            yield ""
            yield "forward-zone:"
            yield f'    name: "{inner_domain(member.site)}."'
            yield f"    forward-addr: {private_gateway(site)}"


def _insecure(seen: View) -> Iterator[str]:
    """No root of trust knows the names that are only ours."""
    for member in seen.others:
        if member.site is not None:
            yield f'    domain-insecure: "{inner_domain(member.site)}"'
