"""All files of the network, as they lie in the folder that `metal network render` fills.

SITE/GATEWAY/etc/…   copied as it is to the root of that gateway
SITE/firewall/…      /etc/pve/firewall of the clusters there, by Proxmox's API
SITE/metallb.yaml    for the Kubernetes clusters on the VMs there
dns/…                /etc/bind/metal of the fleet's primary name server
mesh/NAME.conf       /etc/wireguard/mesh.conf of an administrator's machine
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from metal.network.engines.alive import render_alive
from metal.network.engines.haproxy import render_haproxy
from metal.network.engines.interfaces import render_interfaces, render_sysctl
from metal.network.engines.keepalived import render_keepalived
from metal.network.engines.metallb import render_metallb
from metal.network.engines.nftables import render_nftables
from metal.network.engines.proxmox import DATACENTER, firewalled, render_proxmox
from metal.network.engines.radvd import render_radvd
from metal.network.engines.tayga import render_nat64_unit, render_tayga
from metal.network.engines.unbound import render_dns64, render_dns64_unit, render_unbound
from metal.network.engines.wireguard import render_administrator_mesh, render_site_mesh
from metal.network.engines.zonefile import own_file, render_named, render_next
from metal.network.gateways import Gateway, gateways
from metal.network.view import View
from metal.network.zones import names_elsewhere, zones

FOR_ALL: dict[str, tuple[str, Callable[[View], str]]] = {
    "etc/nftables.conf": ("nft", render_nftables),
    "etc/haproxy/haproxy.cfg": ("haproxy", render_haproxy),
    "etc/radvd.conf": ("radvd", render_radvd),
    "etc/unbound/unbound.conf.d/metal.conf": ("unbound", render_unbound),
    "etc/metal/dns64.conf": ("unbound", render_dns64),
    "etc/systemd/system/metal-dns64.service": ("", render_dns64_unit),
    "etc/metal/tayga.conf": ("tayga", render_tayga),
    "etc/systemd/system/metal-nat64.service": ("", render_nat64_unit),
    "etc/wireguard/mesh.conf": ("wireguard", render_site_mesh),
    "etc/metal/alive": ("", render_alive),
    "etc/sysctl.d/90-metal.conf": ("", render_sysctl),
}
"""The same on every gateway of a site: path → (the engine that judges it, what renders it)."""
FOR_EACH: dict[str, tuple[str, Callable[[View, Gateway], str]]] = {
    "etc/keepalived/keepalived.conf": ("keepalived", render_keepalived),
    "etc/network/interfaces.d/metal": ("ifupdown", render_interfaces),
}


@dataclass(frozen=True)
class File:
    """One text, and the engine that can tell whether it is right; "" for none."""

    text: str
    engine: str = ""
    zone: str = ""
    """Of a zone file."""
    own: str = ""
    """What people wrote, and the text includes."""

    @property
    def judged(self) -> str:
        """The text as its engine would read it where it belongs."""
        lines = [line for line in self.text.splitlines() if not line.startswith("$INCLUDE ")]
        return "\n".join([*lines, self.own, ""]) if self.zone else self.text


@dataclass(frozen=True)
class Tree:
    """Path → file, and what was left out and why."""

    files: dict[str, File] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def render_tree(
    seen: Mapping[str, View], site: str | None = None, before: Mapping[str, str] | None = None
) -> Tree:
    """Everything, or what concerns one site. `before` is path → text of what is there now.

    A zone keeps the serial it has as long as it says the same.
    """
    before = before or {}
    files: dict[str, File] = {}
    notes: list[str] = []
    for name, view in seen.items():
        if site in (None, name):
            files |= {f"{name}/{path}": file for path, file in _site(view)}
            notes += _left_out(view)
    if site is None:
        files |= {f"dns/{path}": file for path, file in _dns(seen, before)}
        files |= {f"mesh/{path}": file for path, file in _administrators(seen)}
        if seen and not any(path.startswith("dns/") for path in files):
            notes.append("no VM serves port 53: nobody answers for zones, so none are made")
    return Tree(files, tuple(notes))


def _site(seen: View) -> Iterator[tuple[str, File]]:
    pair = gateways(seen)
    shared = {
        path: File(text, engine)
        for path, (engine, render) in FOR_ALL.items()
        if pair and (text := render(seen))
    }
    for gateway in pair:
        for path, file in shared.items():
            yield f"{gateway.name}/{path}", file
        for path, (engine, each) in FOR_EACH.items():
            yield f"{gateway.name}/{path}", File(each(seen, gateway), engine)
    walls = firewalled(seen)
    if walls and not seen.inventory.fleet.management_from:
        yield "firewall/cluster.fw", File(DATACENTER, "proxmox")
    for vm, number in walls.items():
        yield f"firewall/{number}.fw", File(render_proxmox(seen, vm), "proxmox")
    if text := render_metallb(seen):
        yield "metallb.yaml", File(text)


def _dns(seen: Mapping[str, View], before: Mapping[str, str]) -> Iterator[tuple[str, File]]:
    found = zones(seen)
    for zone in found:
        own, there = before.get(f"dns/{own_file(zone)}"), before.get(f"dns/{zone.file}", "")
        text = render_next(zone, there, own=own)
        yield zone.file, File(text, "zone", zone.name, own or "")
    if found:
        yield "named.conf.metal", File(render_named(found), "named")


def _administrators(seen: Mapping[str, View]) -> Iterator[tuple[str, File]]:
    first = next(iter(seen.values()), None)
    for name in first.inventory.administrators if first else ():
        if first and (text := render_administrator_mesh(first, name)):
            yield f"{name}.conf", File(text, "wireguard")


def by_hand(seen: Mapping[str, View], site: str | None = None) -> Iterator[str]:
    """What a person places, and where: `metal network apply` does the rest."""
    for name, view in seen.items():
        if site not in (None, name):
            continue
        if render_metallb(view):
            yield f"by hand: {name}/metallb.yaml: `kubectl apply -f` on the Kubernetes there"
    if site is None:
        for path, _ in _administrators(seen):
            who = path.removesuffix(".conf")
            yield f"by hand: mesh/{path} to /etc/wireguard/mesh.conf of the machine of {who}"


def _left_out(seen: View) -> Iterator[str]:
    words = seen.site.gateways
    if words is None:
        yield f"{seen.name}: the inventory has no gateways: whoever routes there is not told how"
    elif seen.site.subnets.ipv6 is not None and words.uplink_ipv6 is None:
        yield (
            f"{seen.name}: the gateways have no `uplink_ipv6`, so the donor has nowhere to route "
            f"{seen.site.subnets.ipv6} to"
        )
    if words is not None and words.wireguard is None:
        yield f"{seen.name}: the gateways have no `wireguard` key: the site is not in the mesh"
    without = [vm for vm, has in seen.vms.items() if has.public_ipv4 and vm not in seen.ids]
    if without:
        yield (
            f"{seen.name}: no firewall for {', '.join(without)}: its number in Proxmox is not "
            "known before `metal plan` places it"
        )
    if firewalled(seen) and seen.inventory.fleet.management_from:
        yield (
            f"{seen.name}: no firewall/cluster.fw: with `fleet.management_from` metal turns that "
            "firewall on where it forms a cluster, and the file would take its rules away. See "
            "that it is on where a cluster was adopted"
        )
    elsewhere = names_elsewhere(seen)
    if elsewhere:
        yield f"{seen.name}: not in the fleet's domain, so in no zone of ours: " + ", ".join(
            f"{name} ({vm})" for name, vm in sorted(elsewhere.items())
        )
