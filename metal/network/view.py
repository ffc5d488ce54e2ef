"""What every renderer looks at: one site, its VMs' planned addresses, its ways out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_interface

from metal.model.addresses import Addressing
from metal.model.fleet import Inventory, Site
from metal.network.addresses import AddressPlan
from metal.network.budget import residents
from metal.network.choose import FLOWS


@dataclass(frozen=True)
class View:
    """One site, as its gateways see it."""

    inventory: Inventory
    name: str
    vms: dict[str, Addressing]
    """Of the site, those that have addresses."""
    ways_out: tuple[IPv4Address, ...] = ()
    """The shared addresses that the gateways hold; the first is the main way out."""
    ids: dict[str, int] = field(default_factory=dict)
    """VM → its number in the hypervisor, where it is known."""

    @property
    def site(self) -> Site:
        return self.inventory.sites[self.name]

    @property
    def proxies(self) -> frozenset[str]:
        """The addresses that the proxy listens on."""
        return frozenset(r.public for has in self.vms.values() for r in has.routes)


def view(inventory: Inventory, site: str, homes: Mapping[str, str], plan: AddressPlan) -> View:
    """`homes` is VM → cluster."""
    vms = {vm: plan.given[vm] for vm in residents(inventory, site, homes) if vm in plan.given}
    return View(inventory, site, vms, plan.ways_out.get(site, ()))


def leaving(seen: View) -> dict[str, tuple[IPv4Address, ...]]:
    """VM → the public addresses its connections leave by: one if that carries its flows.

    A VM whose ports are forwarded leaves by the address it is known by. The others fill the
    ways out, the main one first, the greatest VM first; whose flows no single address has room
    for, has all of them in turn. VMs with an address of their own are not in it.
    """
    wanted = seen.inventory.vms
    known = {
        vm: IPv4Address(has.forwards[0].public) for vm, has in seen.vms.items() if has.forwards
    }
    room = {
        way: FLOWS - sum(wanted[v].flows for v, a in known.items() if a == way)
        for way in seen.ways_out
    }
    found: dict[str, tuple[IPv4Address, ...]] = {vm: (address,) for vm, address in known.items()}
    rest = [vm for vm, has in seen.vms.items() if vm not in known and not has.public_ipv4]
    for vm in sorted(rest, key=lambda vm: (-wanted[vm].flows, vm)):
        way = next((way for way in room if wanted[vm].flows <= room[way]), None)
        if way is not None:
            room[way] -= wanted[vm].flows
        found[vm] = seen.ways_out if way is None else (way,)
    return found


def bare(address: str | None) -> str:
    """Without the prefix length."""
    return str(ip_interface(address).ip) if address else ""
