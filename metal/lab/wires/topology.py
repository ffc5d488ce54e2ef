"""The wires between the machines: an internet, two donors' networks, and what is behind gateways.

world ─┐              ┌─ uplink gateway1 vms ─┐
ana ───┤ internet ────┤                       ├── the VMs' network of a site ── VMs, guest
       │ (a bridge    └─ uplink gateway2 vms ─┘
       │  a site)     ── the public cards of VMs with an address of their own
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Interface, ip_interface
from pathlib import Path

from metal.drivers.proxmox.guests import cards
from metal.lab.wires import agent
from metal.lab.wires.gateway import begin
from metal.lab.wires.machine import Machine, Machines, plug
from metal.lab.wires.patience import until
from metal.lab.wires.walls import wall
from metal.network.sites import with_prefix
from metal.network.tree import Tree
from metal.network.view import View

OUTSIDE4, OUTSIDE6 = "192.88.99", "2001:db8:c"
"""The first is of nobody any more (RFC 7526), but global: tayga translates to no address that
RFC 6052 calls private, and those for documentation are among them."""
WORLD4, WORLD6 = f"{OUTSIDE4}.10", f"{OUTSIDE6}::10"
"""Who calls: anybody in the world."""
NAMES4 = f"{OUTSIDE4}.53"
"""The donors' resolver."""
HOSTS = {"world": 10, "ana": 20, "bmcs": 30}
"""Beyond the gateways: anybody, an administrator at home, and what nobody's VM may reach."""
AGENT = Path(agent.__file__)


@dataclass
class Wires:
    """All that was built."""

    machines: Machines
    views: Mapping[str, View]
    certificate: Path
    """Certificate and key in one file, for whoever speaks TLS."""
    gateways: dict[str, list[Machine]] = field(default_factory=dict)

    @property
    def world(self) -> Machine:
        return self.machines.all["world"]

    @property
    def internet(self) -> Machine:
        return self.machines.all["internet"]

    def vm(self, name: str) -> Machine:
        return self.machines.all[f"vm-{name}"]


def build(
    machines: Machines, views: Mapping[str, View], tree: Tree, folder: Path, certificate: Path
) -> Wires:
    """Everything, running. `folder` holds the tree as it was written, with keys beside it."""
    wires = Wires(machines, views, certificate)
    _internet(wires)
    for number, (site, seen) in enumerate(views.items(), 1):
        _donor(wires, site, seen, number)
        _inside(wires, site, seen, folder)
        for vm in seen.vms:
            _vm(wires, site, seen, vm, tree)
        _guest(wires, site)
    for gateway in (gateway for pair in wires.gateways.values() for gateway in pair):
        begin(gateway)
    _names(wires, tree, folder)
    for host in ("world", "bmcs"):
        begin_agent(machines.all[host], host, certificate)
    return wires


def _internet(wires: Wires) -> None:
    internet = wires.machines.make("internet")
    internet.script(
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
        "ip link add name outside type bridge mcast_snooping 0",
        "ip link set outside up",
        f"ip addr add {OUTSIDE4}.1/24 dev outside",
        f"ip addr add {NAMES4}/32 dev lo",
        f"ip -6 addr add {OUTSIDE6}::1/64 dev outside nodad",
    )
    for host, number in HOSTS.items():
        machine = wires.machines.make(host, _tree_of(wires, host))
        plug(machine, "eth0", internet, "outside", host)
        machine.script(
            "ip link set eth0 up",
            f"ip addr add {OUTSIDE4}.{number}/24 dev eth0",
            f"ip -6 addr add {OUTSIDE6}::{number}/64 dev eth0 nodad",
            f"ip route add default via {OUTSIDE4}.1",
            f"ip -6 route add default via {OUTSIDE6}::1",
        )


ELSEWHERE = """\
$TTL 60
@ IN SOA ns hostmaster 1 60 60 60 60
@ IN NS ns
ns IN A {names}
old IN A {world}
"""
"""Somebody else's zone, with a host that has no IPv6."""


def _names(wires: Wires, tree: Tree, folder: Path) -> None:
    """The donors' resolver has the fleet's zones as they were rendered, and another's."""
    place = folder / "dns"
    (place / "db.elsewhere").write_text(ELSEWHERE.format(names=NAMES4, world=WORLD4))
    zones = tree.files["dns/named.conf.metal"].text.replace("/etc/bind/metal", str(place))
    options = (
        f'options {{ directory "/run"; listen-on {{ {NAMES4}; }}; listen-on-v6 {{ none; }}; '
        "recursion yes; allow-query { any; }; dnssec-validation no; };\n"
        "controls { };\n"
        f'zone "elsewhere.example" {{ type primary; file "{place}/db.elsewhere"; }};\n'
    )
    (place / "named.conf").write_text(options + zones)
    wires.internet.start("named", "-g", "-c", str(place / "named.conf"))


def _tree_of(wires: Wires, host: str) -> Path | None:
    folder = wires.certificate.parent / "machines" / host
    return folder if folder.is_dir() else None


def _donor(wires: Wires, site: str, seen: View, number: int) -> None:
    """The donor's router: on the public network, and it routes the prefixes to the gateways."""
    words, subnets = seen.gateways, seen.site.subnets
    assert isinstance(subnets.public_gateway, IPv4Address)
    assert isinstance(words.uplink_ipv6, IPv6Interface)
    via, length = words.uplink_ipv6.ip, words.uplink_ipv6.network.prefixlen
    wires.internet.script(
        f"ip link add name {site} type bridge mcast_snooping 0",
        f"ip link set {site} up",
        f"ip addr add {with_prefix(seen.site, subnets.public_gateway)} dev {site}",
        f"ip -6 addr add {words.uplink_gateway6}/{length} dev {site} nodad",
        *(f"ip -6 route add {p.network} via {via} dev {site}" for p in seen.prefixes if p.routed),
        f"ip route add {subnets.bmc} via {OUTSIDE4}.{HOSTS['bmcs']}",
    )
    # A BMC that packets would reach if they were let through.
    wires.machines.all["bmcs"].script(f"ip addr add {subnets.bmc[11]}/32 dev lo")


def _inside(wires: Wires, site: str, seen: View, folder: Path) -> None:
    switch = wires.machines.make(f"{site}-switch")
    switch.script("ip link add name inside type bridge mcast_snooping 0", "ip link set inside up")
    wires.gateways[site] = []
    for number in range(1, seen.gateways.count + 1):
        gateway = wires.machines.make(f"{site}-gw{number}", folder / site / f"gateway{number}")
        plug(gateway, seen.gateways.uplink, wires.internet, site, f"{site}-gw{number}")
        plug(gateway, seen.gateways.inside, switch, "inside", f"gw{number}")
        wires.gateways[site].append(gateway)


def _vm(wires: Wires, site: str, seen: View, vm: str, tree: Tree) -> None:
    """As cloud-init would, from what the hypervisor is told."""
    machine = wires.machines.make(f"vm-{vm}")
    told = cards(seen.vms[vm])
    for number in (n for n in (0, 1) if f"net{n}" in told):
        card = f"net{number}"
        if number == 0:
            plug(machine, card, wires.machines.all[f"{site}-switch"], "inside", f"vm-{vm}"[:15])
        else:
            plug(machine, card, wires.internet, site, f"vm-{vm}"[:15])
        machine.script(f"ip link set {card} up", *_configured(card, told[f"ipconfig{number}"]))
    for more in seen.addresses6(vm)[1:]:
        machine.script(f"ip -6 addr add {more}/64 dev net0 nodad")
    wall(machine, tree, site, seen.ids[vm])
    begin_agent(machine, vm, wires.certificate, _doors(seen, vm))


def _configured(card: str, config: str) -> list[str]:
    """`ip=10.0.0.5/20,gw=…,ip6=…,gw6=…` as commands; addresses before the ways out."""
    words = dict(part.split("=", 1) for part in config.split(","))
    lines = [f"ip addr add {words['ip']} dev {card}"] if "ip" in words else []
    if "ip6" in words:
        lines.append(f"ip -6 addr add {words['ip6']} dev {card} nodad")
    if "gw" in words:
        lines.append(f"ip route add default via {words['gw']}")
    if "gw6" in words:
        lines.append(f"ip -6 route add default via {words['gw6']}")
    return lines


def _doors(seen: View, vm: str) -> dict[str, list[int]]:
    """Which ports of the agent speak what: behind a proxy HTTP, TLS, or TLS after being told."""
    doors: dict[str, list[int]] = {}
    for route in seen.vms[vm].routes:
        if route.port == 80:
            doors.setdefault(f"{agent.WEB}", []).append(route.port)
            continue
        over4 = agent.TOLD if route.proxy_protocol else agent.TLS
        doors.setdefault(f"{over4}ip", []).append(route.port)
        doors.setdefault(f"{agent.TLS}ip6", []).append(route.port)
    return doors


def begin_agent(
    machine: Machine, name: str, certificate: Path, doors: Mapping[str, list[int]] | None = None
) -> None:
    """On every port of the machine; returns once it listens."""
    config = {"name": name, "certificate": str(certificate), "ports": doors or {}}
    machine.start(sys.executable, str(AGENT), json.dumps(config))
    listening = "ss -Hltn | grep -c ':4 ' || true"
    until(lambda: machine.run("sh", "-c", listening) == "2\n", f"{name} does not listen")


def _guest(wires: Wires, site: str) -> None:
    """A host that nobody configured: it believes the router advertisements, and no more."""
    guest = wires.machines.make(f"{site}-guest")
    plug(guest, "net0", wires.machines.all[f"{site}-switch"], "inside", "guest")
    guest.script("sysctl -qw net.ipv6.conf.net0.accept_ra=1", "ip link set net0 up")


def address_of(text: str) -> str:
    return str(ip_interface(text).ip)
