"""keepalived of each gateway: who of the pair holds the shared addresses and routes.

One VRRP instance over the VMs' network carries them all, IPv4 and IPv6: they move together, so
that no packet comes in by one gateway and would have to leave by the other. The donor's network
sees no VRRP. Addresses beyond the first are `excluded` from the advertisement, which has room
for few, not from the move.
"""

from collections.abc import Iterator

from metal.network import mesh
from metal.network.engines.alive import asked, engines_of
from metal.network.gateways import Gateway, shared_inside, shared_outside
from metal.network.view import View

PRIORITY = 150


def render_keepalived(seen: View, gateway: Gateway) -> str:
    words, engines = seen.gateways, engines_of(seen)
    first, *rest = shared_inside(seen)
    addresses = [f"{a} dev {words.inside}" for a in rest]
    addresses += [f"{a} dev {words.uplink}" for a in shared_outside(seen)]
    lines = [
        f"# {gateway.name} of site {seen.name}, rendered by metal: "
        "what is changed here by hand is lost.",
        "global_defs {",
        f"    router_id {gateway.name}.{seen.name}",
        "    vrrp_version 3",
        "    # A busy gateway is not a dead one: it speaks in time.",
        "    vrrp_priority -20",
        *(["    script_user root", "    enable_script_security"] if engines else []),
        "    # Switches forget, and a donor's router may have missed the first word.",
        "    vrrp_garp_master_refresh 60",
        "}",
        "",
        *(line for e, port in engines.items() for line in asked(seen, gateway, e, port)),
        "vrrp_instance metal {",
        "    # Both begin as backup, and one that comes back does not take over again.",
        "    state BACKUP",
        "    nopreempt",
        f"    interface {words.inside}",
        f"    virtual_router_id {words.router}",
        f"    priority {PRIORITY - 50 * (gateway.number - 1)}",
        "    advert_int 1",
        *_block("track_interface", [words.uplink]),
        *_block("track_script", list(engines)),
        *_block("virtual_ipaddress", [f"{first} dev {words.inside}"]),
        *_block("virtual_ipaddress_excluded", addresses),
        *_block("virtual_routes", list(_routes(seen))),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _routes(seen: View) -> Iterator[str]:
    """Only who holds the addresses sends by them."""
    words, subnets = seen.gateways, seen.site.subnets
    if seen.ways_out and subnets.public_gateway is not None:
        # What the gateway says itself it says by a shared address too, such as the mesh's door.
        own = seen.doors.get(seen.name, seen.ways_out[0])
        yield f"default via {subnets.public_gateway} dev {words.uplink} src {own} metric 10"
    if words.uplink_gateway6 is not None:
        yield f"default via {words.uplink_gateway6} dev {words.uplink} metric 10"
    for network in seen.remote:
        yield f"{network} dev {mesh.DEVICE}"


def _block(name: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"    {name} {{"
        yield from (f"        {line}" for line in lines)
        yield "    }"
