"""WireGuard: the mesh as each site's gateways and each administrator's machine see it.

For wg-quick. The private key is read from a file when the interface comes up; here are public
ones only. Both gateways of a site have its key; who holds the site's door is called, and the
routes into the mesh are keepalived's, so the other one never calls.
"""

from collections.abc import Iterator

from metal.network import mesh
from metal.network.mesh import Member
from metal.network.view import View

ALIVE = 25
"""Seconds: an administrator behind somebody's NAT keeps its way back open."""


def render_site_mesh(seen: View) -> str:
    """/etc/wireguard/mesh.conf of a site's gateways; empty while the site has no key."""
    me = next((m for m in seen.members if m.site == seen.name), None)
    if me is None:
        return ""
    lines = [
        f"# Gateways of site {seen.name}, rendered by metal: what is changed here by hand is lost.",
        *_interface(me),
        f"ListenPort = {seen.gateways.wireguard_port}",
        "# keepalived sets the routes, on the one that holds the site's door.",
        "Table = off",
    ]
    for other in seen.others:
        lines += ["", *_peer(seen, other)]
    return "\n".join(lines) + "\n"


def render_administrator_mesh(seen: View, name: str) -> str:
    """mesh.conf of an administrator's machine; empty while that person has no key."""
    members = seen.members
    me = next((m for m in members if m.site is None and m.name == name), None)
    if me is None:
        return ""
    lines = [f"# {name}'s machine, rendered by metal.", *_interface(me)]
    for other in members:
        if other.site is not None:
            lines += ["", *_peer(seen, other), f"PersistentKeepalive = {ALIVE}"]
    return "\n".join(lines) + "\n"


def _interface(me: Member) -> Iterator[str]:
    yield "[Interface]"
    yield f"Address = {me.address4}/32, {me.address6}/128"
    yield f"MTU = {mesh.MTU}"
    yield f"PostUp = wg set %i private-key {mesh.KEY}"


def _peer(seen: View, other: Member) -> Iterator[str]:
    door = seen.doors.get(other.site) if other.site is not None else None
    yield f"# {'site' if other.site else 'administrator'} {other.name}"
    yield "[Peer]"
    yield f"PublicKey = {other.key}"
    yield f"AllowedIPs = {', '.join(other.networks)}"
    if other.site is not None and door is not None:
        gateways = seen.inventory.sites[other.site].gateways
        assert gateways is not None  # it has a key
        yield f"Endpoint = {door}:{gateways.wireguard_port}"
