"""Gateways: their pool pays for them, and what they forward to and announce is theirs to."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Interface, IPv6Network

from metal.inventory.draft import Draft
from metal.inventory.positions import Path
from metal.model.fleet import Site

RESERVED_HOSTS = 10
"""The first hosts of the VMs' private network are the gateways'."""
INTERNAL = {
    IPv4Network("198.18.0.0/15"): "which gateways translate IPv6 to",
    IPv4Network("100.64.0.0/10"): "which the members of the mesh have addresses of",
}


def check_gateways(draft: Draft, name: str, site: Site) -> None:
    _room(draft, name, site)
    _metallb(draft, name, site)
    gateways = site.gateways
    if gateways is None:
        return
    path = ("sites", name, "gateways")
    own = gateways.count if gateways.base == "public" else 0
    held = _size(site)
    if site.ipv4_pool and held < own + 1:
        what = (
            f"the pool has {held} addresses, but its gateways take {own + 1}: "
            f"{own} of their own and a virtual one"
        )
        mend = 'base = "private" takes the virtual one only; or add to `ipv4_pool`'
        draft.at_value(path, what, mend)
    if not site.ipv4_pool and gateways.base == "public":
        what = "the gateways want public addresses, but the site has no `ipv4_pool`"
        draft.at_value(path, what, 'base = "private", or add an `ipv4_pool`')
    uplink, beyond = gateways.uplink_ipv6, gateways.uplink_gateway6
    if (uplink is None) != (beyond is None):
        what = "`uplink_ipv6` and `uplink_gateway6` go together: an address and the way out"
        draft.at_value(path, what, "give both, or neither")
    elif uplink is not None and beyond is not None:
        if not isinstance(uplink, IPv6Interface):
            what = f"`uplink_ipv6` is {uplink}, which is not IPv6"
            draft.at_value((*path, "uplink_ipv6"), what, "such as 2001:db8:ffff::2/64")
        elif beyond not in uplink.network and not beyond.is_link_local:
            what = f"{beyond} is outside {uplink.network}, the network of `uplink_ipv6`"
            draft.at_value((*path, "uplink_gateway6"), what, "correct one of the two")
        elif beyond == uplink.ip:
            what = f"{beyond} is the address of both, ours and the donor's router's"
            draft.at_value((*path, "uplink_gateway6"), what, "give each an address of its own")
    if gateways.addresses and len(gateways.addresses) != gateways.count:
        what = f"{gateways.count} gateways, and {len(gateways.addresses)} `addresses`"
        draft.at_value((*path, "addresses"), what, "give each one of its own, in order")
    if gateways.uplink == gateways.inside:
        what = f"both interfaces are called `{gateways.uplink}`"
        draft.at_value(path, what, "a gateway stands between two networks")


def check_uplinks(draft: Draft) -> None:
    """What sites show the world is each one's own: addresses, and keys of the mesh."""
    addresses: dict[object, str] = {}
    keys: dict[str, str] = {}
    for name, site in draft.sites.items():
        gateways, path = site.gateways, ("sites", name, "gateways")
        if gateways is None:
            continue
        uplink = gateways.uplink_ipv6
        if isinstance(uplink, IPv6Interface):
            other = addresses.setdefault(uplink.ip, name)
            if other != name:
                what = f"{uplink.ip} is the uplink's address of {other} already"
                draft.at_value((*path, "uplink_ipv6"), what, "give each an address of its own")
            for whose, vms in _vm_networks(draft):
                if uplink.ip in vms:
                    what = f"{uplink.ip} is in {vms}, the network of the VMs of {whose}"
                    mend = "the donor gives the uplink an address beside the prefix"
                    draft.at_value((*path, "uplink_ipv6"), what, mend)
        _key(draft, keys, (*path, "wireguard"), gateways.wireguard, f"site `{name}`")
    for name, who in draft.administrators.items():
        path = ("administrators", name, "wireguard")
        _key(draft, keys, path, who.wireguard, f"administrator `{name}`")


def _key(draft: Draft, keys: dict[str, str], path: Path, key: str | None, owner: str) -> None:
    if key is not None and keys.setdefault(key, owner) != owner:
        what = f"is the key of {keys[key]} already"
        draft.at_value(path, what, "`wg genkey` makes one: each member of the mesh has its own")


def _vm_networks(draft: Draft) -> Iterator[tuple[str, IPv6Network]]:
    """The first /64 of every prefix."""
    for name, site in draft.sites.items():
        for prefix in (site.subnets.ipv6, site.subnets.ipv6_next, site.subnets.ipv6_old):
            if isinstance(prefix, IPv6Network):
                yield name, IPv6Network((prefix.network_address, max(64, prefix.prefixlen)))


def _room(draft: Draft, name: str, site: Site) -> None:
    """The VMs' network has room for VMs, and is none that gateways use among themselves."""
    private, path = site.subnets.private_ipv4, ("sites", name, "subnets", "private_ipv4")
    if not isinstance(private, IPv4Network):
        return
    if private.num_addresses < RESERVED_HOSTS + 3:
        what = f"`private_ipv4` {private} has no address left for a VM"
        mend = f"its first {RESERVED_HOSTS} hosts are the gateways': give a /28 or more"
        draft.at_value(path, what, mend)
    for used, why in INTERNAL.items():
        if private.overlaps(used):
            what = f"`private_ipv4` {private} overlaps {used}, {why}"
            draft.at_value(path, what, "take one of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16")


def _size(site: Site) -> int:
    count = 0
    for entry in site.ipv4_pool:
        first, _, last = (part.strip() for part in entry.partition("-"))
        count += int(IPv4Address(last or first)) - int(IPv4Address(first)) + 1
    return count


def _metallb(draft: Draft, name: str, site: Site) -> None:
    """Ranges of Kubernetes lie in the VMs' network, beyond what the gateways keep."""
    private = site.subnets.private_ipv4
    if not isinstance(private, IPv4Network):
        return
    given: list[tuple[int, int]] = []
    for i, entry in enumerate(site.subnets.metallb):
        path = ("sites", name, "subnets", "metallb", i)
        first, _, last = (part.strip() for part in entry.partition("-"))
        low, high = int(IPv4Address(first)), int(IPv4Address(last or first))
        if low <= int(private[0]) + RESERVED_HOSTS or high >= int(private[-1]):
            what = f"{entry} is outside what VMs may have of `private_ipv4` {private}"
            draft.at_value(path, what, f"its first {RESERVED_HOSTS} hosts are the gateways'")
        if any(low <= b and a <= high for a, b in given):
            what = f"{entry} holds an address that another range has already"
            draft.at_value(path, what, "give each address once")
        given.append((low, high))
