"""What every renderer looks at: one site, its VMs' planned addresses, its ways out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_interface

from metal.model.addresses import Addressing
from metal.model.fleet import Gateways, Inventory, Site
from metal.network.addresses import AddressPlan
from metal.network.budget import by_site
from metal.network.choose import FLOWS
from metal.network.ipv6 import Prefix, prefixes, under
from metal.network.mesh import Member, mesh


@dataclass(frozen=True)
class View:
    """One site, as its gateways see it."""

    inventory: Inventory
    name: str
    vms: dict[str, Addressing]
    """Of the site, those that have addresses."""
    ways_out: tuple[IPv4Address, ...] = ()
    """The shared addresses that the gateways hold; the first is the main way out."""
    doors: Mapping[str, IPv4Address] = field(default_factory=dict)
    """Site → the public address at which its gateways answer the mesh."""
    ids: Mapping[str, int] = field(default_factory=dict)
    """VM → its number in the hypervisor, where it is known."""
    members: tuple[Member, ...] = ()
    """Of the mesh, this site too if it is one."""

    @property
    def site(self) -> Site:
        return self.inventory.sites[self.name]

    @property
    def gateways(self) -> Gateways:
        """Those of the inventory; the names they have by default where it has none."""
        return self.site.gateways or Gateways()

    @property
    def proxies(self) -> dict[str, tuple[int, ...]]:
        """Public address → the ports that the proxy listens on there."""
        ends = {(r.public, r.port) for has in self.vms.values() for r in has.routes}
        return {
            public: tuple(sorted(port for p, port in ends if p == public))
            for public in sorted({public for public, _ in ends})
        }

    @cached_property
    def prefixes(self) -> tuple[Prefix, ...]:
        """What the gateways carry of IPv6, the current prefix first."""
        return prefixes(self.inventory, self.name)

    @cached_property
    def others(self) -> tuple[Member, ...]:
        """Everyone else of the mesh; nobody while this site is not in it."""
        if all(member.site != self.name for member in self.members):
            return ()
        return tuple(member for member in self.members if member.site != self.name)

    @cached_property
    def remote(self) -> tuple[str, ...]:
        """What the gateways reach through the mesh."""
        return tuple(network for member in self.others for network in member.networks)

    def addresses6(self, vm: str, *, routed: bool = False) -> tuple[IPv6Address, ...]:
        """A VM's IPv6 addresses under every prefix, or under those that the world can reach."""
        own = self.vms[vm].ipv6
        wanted = [p for p in self.prefixes if p.routed or not routed]
        return tuple(under(own, p.vms) for p in wanted) if own else ()


def views(
    inventory: Inventory,
    homes: Mapping[str, str],
    plan: AddressPlan,
    ids: Mapping[str, int] | None = None,
) -> dict[str, View]:
    """Every site's; `homes` is VM → cluster."""
    members, vms = mesh(inventory), by_site(inventory, homes)
    return {
        site: View(
            inventory,
            site,
            {vm: plan.given[vm] for vm in vms.get(site, ()) if vm in plan.given},
            plan.ways_out.get(site, ()),
            plan.doors,
            ids or {},
            members,
        )
        for site in inventory.sites
    }


def leaving(seen: View) -> dict[str, tuple[IPv4Address, ...]]:
    """VM → the public addresses its connections leave by: one if that carries its flows.

    A VM whose ports are forwarded leaves by the address it is known by. The others fill the
    ways out, the main one first, the greatest VM first; whose flows no single address has room
    for, has all of them in turn. VMs with an address of their own are not in it.
    """
    wanted = seen.inventory.vms
    found: dict[str, tuple[IPv4Address, ...]] = {
        vm: (IPv4Address(has.forwards[0].public),) for vm, has in seen.vms.items() if has.forwards
    }
    room = dict.fromkeys(seen.ways_out, FLOWS)
    for vm, (address,) in found.items():
        room[address] = room.get(address, FLOWS) - wanted[vm].flows
    rest = [vm for vm, has in seen.vms.items() if vm not in found and not has.public_ipv4]
    for vm in sorted(rest, key=lambda vm: (-wanted[vm].flows, vm)):
        way = next((way for way in seen.ways_out if wanted[vm].flows <= room[way]), None)
        if way is not None:
            room[way] -= wanted[vm].flows
        found[vm] = seen.ways_out if way is None else (way,)
    return found


def bare(address: str | None) -> str:
    """Without the prefix length."""
    return str(ip_interface(address).ip) if address else ""
