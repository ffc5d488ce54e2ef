"""The site an adopted cluster stands at: one that is known, or a new one from what it tells."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from metal.cluster.adopting.naming import free
from metal.inventory.slugs import slug
from metal.model.errors import BadInput
from metal.model.fleet import Inventory
from metal.model.found import FoundCluster

Network = IPv4Network | IPv6Network
Table = tuple[tuple[str, ...], dict[str, Any]]
PRIVATE = IPv4Network("10.0.0.0/8")
VM_PREFIX = 20


def site_of(
    inventory: Inventory, found: FoundCluster, cluster: str, wanted: str | None
) -> tuple[str, tuple[Table, ...]]:
    """(site, tables to add): a site that is there gets none."""
    known = {inventory.servers[n.name].site for n in found.nodes if n.name in inventory.servers}
    if known:
        return min(known), ()
    addresses = [ip_address(str(node.address)) for node in found.nodes]
    if wanted is not None and wanted in inventory.sites:
        management = inventory.sites[wanted].subnets.management
        outside = [str(a) for a in addresses if a not in management]
        if outside:
            raise BadInput(
                f"{', '.join(outside)} is outside its management network {management}",
                where=wanted,
                mend="correct sites." + wanted + ".subnets, or name another site",
            )
        return wanted, ()
    if wanted is None:
        for name, site in inventory.sites.items():
            if all(a in site.subnets.management for a in addresses):
                return name, ()
    name = wanted or free(slug(cluster), inventory.sites, "site")
    return name, tuple(_new(inventory, found, name))


def _new(inventory: Inventory, found: FoundCluster, name: str) -> Iterator[Table]:
    management = _management(found)
    gateway = next((n.gateway for n in found.nodes if n.gateway), None)
    yield (
        ("sites", name),
        {"place": "not told yet", "donor": {"name": "not told yet", "contact": "not told yet"}},
    )
    yield (
        ("sites", name, "subnets"),
        {
            # One network for BMCs and hosts is what a small rack has: correct it if not.
            "bmc": str(management),
            "management": str(management),
            "gateway": gateway or _unused_host(management, found),
            # Nobody uses it yet: it is for VMs that metal will make here.
            "private_ipv4": str(_unused_network(inventory, found)),
        },
    )


def _management(found: FoundCluster) -> Network:
    """The network of the nodes: as they tell it, or the smallest likely one that holds all."""
    told = {ip_network(n.network) for n in found.nodes if n.network}
    addresses = [ip_address(str(node.address)) for node in found.nodes]
    for network in sorted(told, key=lambda n: n.prefixlen):
        if all(a in network for a in addresses):
            return network
    first = addresses[0]
    prefix = 24 if first.version == 4 else 64
    network = ip_network(f"{first}/{prefix}", strict=False)
    while network.prefixlen and not all(a in network for a in addresses):
        network = network.supernet()
    return network


def _unused_host(network: Network, found: FoundCluster) -> str:
    """Where nobody told the gateway: the first address, as is usual, or the last."""
    taken = {node.address for node in found.nodes}
    first = network.network_address + 1
    return str(first if str(first) not in taken else network[-2])


def _unused_network(inventory: Inventory, found: FoundCluster) -> IPv4Network:
    used: list[Network] = [_management(found)]
    for site in inventory.sites.values():
        subnets = site.subnets
        used += [subnets.bmc, subnets.management, subnets.private_ipv4]
        used += [n for n in (subnets.public_ipv4,) if n is not None]
    texts = [a for guest in found.guests for a in guest.addresses]
    used += [ip_network(text, strict=False) for text in texts]
    used += [ip_network(n.network) for n in found.nodes if n.network]
    for candidate in reversed(list(PRIVATE.subnets(new_prefix=VM_PREFIX))):
        if not any(n.version == 4 and n.overlaps(candidate) for n in used):
            return candidate
    raise BadInput("no private network is free", mend="give the site by hand, and name it: --site")
