"""What the gateways let pass: each rule is a promise of the plan, and the rest is dropped."""

from collections.abc import Iterable, Iterator

from metal.network import mesh, nat64
from metal.network.engines.alive import PROXY_PORT
from metal.network.sites import Address, Network, gateway_addresses, private_network
from metal.network.view import View, bare

SSH = 22


def input_rules(seen: View) -> Iterator[str]:
    """To the gateway itself."""
    yield "ct state invalid drop"
    yield "ct state established,related accept"
    yield 'iifname "lo" accept'
    yield "# Both protocols need theirs: neighbours, routers, and how large a packet may be."
    yield "meta l4proto { icmp, ipv6-icmp } accept"
    yield from _management(seen)
    yield "# The world sees the proxy and the door of the mesh."
    yield from _proxy(seen, "$uplink")
    door = seen.doors.get(seen.name)
    if door and seen.others:
        port = seen.gateways.wireguard_port
        yield f'iifname $uplink ip daddr {door} udp dport {port} accept comment "mesh"'
    yield "iifname $uplink drop"
    yield "# The VMs see the proxy and the resolvers; the other gateway is trusted, and"
    yield "# who stands by is reached by administrators through it."
    own = ", ".join(map(str, gateway_addresses(private_network(seen.site))))
    yield f"iifname $inside ip saddr {{ {own} }} meta l4proto vrrp accept"
    ports = f"{{ {SSH}, {PROXY_PORT} }}" if seen.proxies else f"{SSH}"
    yield f"iifname $inside ip saddr {{ {own} }} tcp dport {ports} accept"
    for family, addresses in _by_family(_administrators(seen)):
        yield f"iifname $inside {family} saddr {_set(addresses)} tcp dport {SSH} accept"
    yield "iifname $inside meta l4proto { tcp, udp } th dport 53 accept"
    yield from _proxy(seen, "$inside")
    yield "iifname $inside drop"
    yield "# Through the mesh come administrators, and VMs that ask for names."
    yield "iifname $mesh meta l4proto { tcp, udp } th dport 53 accept"
    for family, addresses in _by_family(_administrators(seen)):
        yield f"iifname $mesh {family} saddr {_set(addresses)} tcp dport {SSH} accept"
    yield "iifname { $mesh, $nat64 } drop"


def _management(seen: View) -> Iterator[str]:
    """Beside those in the mesh, who need not be in it: metal itself, before there is one."""
    for family, networks in _by_family(seen.inventory.fleet.management_from):
        ours = "iifname { $uplink, $inside }"
        yield f"{ours} {family} saddr {_set(networks)} tcp dport {SSH} accept"


def output_rules(seen: View) -> Iterator[str]:
    """From the gateway itself. Both gateways have the key of the mesh, but only who holds the door
    may speak: else those who called would follow the other one's voice, and not find it again."""
    door = seen.doors.get(seen.name)
    if door and seen.others:
        yield f"ip saddr != {door} udp sport {seen.gateways.wireguard_port} drop"


def forward_rules(seen: View) -> Iterator[str]:
    """From and to the VMs."""
    yield "ct state invalid drop"
    yield "ct state established,related accept"
    yield "# Nobody out there has our addresses."
    for family, inner in _by_family(_ours(seen)):
        yield f"iifname $uplink {family} saddr {_set(inner)} drop"
    yield "# BMCs and hosts are none of the VMs' business."
    subnets = [site.subnets for site in seen.inventory.sites.values()]
    for family, inner in _by_family({n for s in subnets for n in (s.bmc, s.management)}):
        yield f"iifname {{ $inside, $nat64, $mesh }} {family} daddr {_set(inner)} drop"
    yield "# Out."
    yield f"iifname $inside oifname $uplink ip saddr {private_network(seen.site)} accept"
    routed = [p.vms for p in seen.prefixes if p.routed]
    if routed:
        yield f"iifname $inside oifname $uplink ip6 saddr {_set(routed)} accept"
        yield "# Whoever measures the way to a VM, or asks whether it is there, is answered."
        yield (
            f"iifname $uplink oifname $inside ip6 daddr {_set(routed)} "
            "icmpv6 type echo-request accept"
        )
    yield f"iifname $inside oifname $nat64 ip6 saddr {_set(p.vms for p in seen.prefixes)} accept"
    translated = _set(nat64.networks(seen))
    yield f"iifname $nat64 oifname $uplink ip saddr {translated} accept"
    yield from _mesh(seen)
    yield "# In: what each VM serves."
    for vm in seen.vms:
        yield from _served(seen, vm)


def _proxy(seen: View, interface: str) -> Iterator[str]:
    for public, ports in seen.proxies.items():
        to = f"ip daddr {public} tcp dport {{ {', '.join(map(str, ports))} }}"
        yield f'iifname {interface} {to} accept comment "proxy"'


def _mesh(seen: View) -> Iterator[str]:
    if not seen.remote:
        return
    yield "# Between our sites, and from administrators, through the mesh."
    yield "oifname $mesh tcp flags syn tcp option maxseg size set rt mtu"
    here = mesh.networks_behind(seen.inventory, seen.name)
    for family in ("ip", "ip6"):
        near, beyond = (_set(_of(family, networks)) for networks in (here, seen.remote))
        yield f"iifname $inside oifname $mesh {family} saddr {near} {family} daddr {beyond} accept"
        yield f"iifname $mesh oifname $inside {family} saddr {beyond} {family} daddr {near} accept"


def _of(family: str, networks: Iterable[str]) -> list[str]:
    return [network for network in networks if (":" in network) == (family == "ip6")]


def _served(seen: View, vm: str) -> Iterator[str]:
    has, wanted = seen.vms[vm], seen.inventory.vms[vm]
    for f in has.forwards:
        to = f.to or bare(has.private_ipv4)
        yield (
            f"oifname $inside ip daddr {to} {f.protocol} dport {f.span} "
            f'ct status dnat accept comment "{vm}"'
        )
    addresses = seen.addresses6(vm, routed=True)
    if not addresses:
        return
    to = f"iifname $uplink oifname $inside ip6 daddr {_set(addresses)}"
    if "ipsec" in wanted.needs:
        yield f'{to} meta l4proto esp accept comment "{vm}"'
    for service in wanted.serves:
        yield f'{to} {service.protocol} dport {service.span} accept comment "{vm}"'


def _ours(seen: View) -> list[Network]:
    """What no packet from the world may claim to come from."""
    return [
        private_network(seen.site),
        *nat64.networks(seen),
        *(prefix.vms for prefix in seen.prefixes),
    ]


def _administrators(seen: View) -> list[Address]:
    return [
        address
        for member in seen.others
        if member.site is None
        for address in (member.address4, member.address6)
    ]


def _by_family(items: Iterable[Address | Network]) -> Iterator[tuple[str, list[Address | Network]]]:
    """("ip" or "ip6", those of it), families without any left out."""
    listed = list(items)
    for version, family in ((4, "ip"), (6, "ip6")):
        found = [item for item in listed if item.version == version]
        if found:
            yield family, sorted(found, key=str)


def _set(items: Iterable[Address | Network | str]) -> str:
    found = list(map(str, items))
    return found[0] if len(found) == 1 else f"{{ {', '.join(found)} }}"
