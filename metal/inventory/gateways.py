"""Gateways: their pool pays for them, and what they forward to and announce is theirs to."""

from ipaddress import IPv4Address, IPv4Network, IPv6Interface

from metal.inventory.draft import Draft
from metal.model.fleet import Site

RESERVED_HOSTS = 10
"""The first hosts of the VMs' private network are the gateways'."""


def check_gateways(draft: Draft, name: str, site: Site) -> None:
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
    if gateways.uplink == gateways.inside:
        what = f"both interfaces are called `{gateways.uplink}`"
        draft.at_value(path, what, "a gateway stands between two networks")


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
