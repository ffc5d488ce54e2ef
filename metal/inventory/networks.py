"""Networks and addresses: nothing twice, nothing outside of where it belongs."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

from pydantic import IPvAnyAddress, IPvAnyNetwork

from metal.inventory.draft import Draft
from metal.inventory.gateways import check_gateways, check_uplinks
from metal.inventory.positions import Path
from metal.model.fleet import Site

Address = IPv4Address | IPv6Address
VM_PREFIX = 64
"""A longer IPv6 prefix leaves no room for a /64 that hosts configure themselves from."""
_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*")


def check_networks(draft: Draft) -> None:
    for name, site in draft.sites.items():
        _families(draft, name, site)
        _gateways(draft, name, site)
        _pool(draft, name, site)
        check_gateways(draft, name, site)
    check_uplinks(draft)
    _overlaps(draft)
    _addresses(draft)
    _cards(draft)


def _families(draft: Draft, name: str, site: Site) -> None:
    for key, version in (
        ("private_ipv4", 4),
        ("public_ipv4", 4),
        ("ipv6", 6),
        ("ipv6_next", 6),
        ("ipv6_old", 6),
    ):
        network: IPvAnyNetwork | None = getattr(site.subnets, key)
        if network is not None and network.version != version:
            what = f"`{key}` is {network}, which is not IPv{version}"
            draft.at_value(("sites", name, "subnets", key), what, f"give an IPv{version} network")
    for key in ("ipv6", "ipv6_next", "ipv6_old"):
        ipv6: IPvAnyNetwork | None = getattr(site.subnets, key)
        path = ("sites", name, "subnets", key)
        if ipv6 is not None and ipv6.version == 6 and ipv6.prefixlen > VM_PREFIX:
            what = f"`{key}` is {ipv6}, longer than a /{VM_PREFIX}"
            draft.at_value(path, what, "ask the donor for a /64 or more")
    for key in ("ipv6_next", "ipv6_old"):
        if getattr(site.subnets, key) is not None and site.subnets.ipv6 is None:
            path = ("sites", name, "subnets", key)
            draft.at_value(path, f"`{key}` without `ipv6`: nothing is replaced", "call it `ipv6`")
    if site.subnets.ipv6_next is not None and site.subnets.ipv6_old is not None:
        what = "a site changes its prefix once at a time: `ipv6_old` is still in use"
        mend = "end that change first: `metal network ipv6` says when `ipv6_old` may go"
        draft.at_value(("sites", name, "subnets", "ipv6_next"), what, mend)


def _gateways(draft: Draft, name: str, site: Site) -> None:
    subnets, path = site.subnets, ("sites", name, "subnets")
    _inside(draft, (*path, "gateway"), subnets.gateway, subnets.management, "management")
    if subnets.public_gateway is not None and subnets.public_ipv4 is not None:
        public = subnets.public_ipv4
        _inside(draft, (*path, "public_gateway"), subnets.public_gateway, public, "public_ipv4")
    if subnets.public_ipv4 is None and subnets.public_gateway is not None:
        what = "`public_gateway` without `public_ipv4`"
        draft.at_value((*path, "public_gateway"), what, "add the public network, or remove it")
    if subnets.public_ipv4 is not None and subnets.public_gateway is None and site.ipv4_pool:
        what = "`public_ipv4` without `public_gateway`: its addresses lead nowhere"
        draft.at_value((*path, "public_ipv4"), what, "add `public_gateway`")


def _inside(
    draft: Draft, path: Path, address: IPvAnyAddress, network: IPvAnyNetwork, label: str
) -> None:
    if address not in network:
        what = f"{address} is outside `{label}` {network}"
        draft.at_value(path, what, "correct the address or the network")
    elif _stands_for_all(address, network):
        what = f"{address} stands for the whole of {network}"
        draft.at_value(path, what, "the first and the last address of a network are no host's")


def _stands_for_all(address: IPvAnyAddress, network: IPvAnyNetwork) -> bool:
    ends = (network.network_address, network.broadcast_address)
    return network.num_addresses > 2 and network.version == 4 and address in ends


def _pool(draft: Draft, name: str, site: Site) -> None:
    """Every address of the pool is public, nobody else's, and there once."""
    public, gateway = site.subnets.public_ipv4, site.subnets.public_gateway
    if public is None and not site.ipv4_pool:
        return
    if not isinstance(public, IPv4Network):
        what = "there is an `ipv4_pool` but no IPv4 network `public_ipv4`"
        mend = "add `public_ipv4` and `public_gateway` to the site's subnets"
        draft.at_value(("sites", name, "ipv4_pool"), what, mend)
        return
    given: list[tuple[int, int]] = []
    for i, entry in enumerate(site.ipv4_pool):
        path = ("sites", name, "ipv4_pool", i)
        first, _, last = (part.strip() for part in entry.partition("-"))
        low, high = IPv4Address(first), IPv4Address(last or first)
        if low not in public or high not in public:
            what = f"{entry} is outside `public_ipv4` {public}"
            draft.at_value(path, what, "correct the address or the network")
        else:
            for end in (public.network_address, public.broadcast_address):
                if low <= end <= high and public.num_addresses > 2:
                    what = f"{entry} holds {end}, which stands for the whole of {public}"
                    draft.at_value(path, what, "leave out a network's first and last address")
        if gateway is not None and int(low) <= int(gateway) <= int(high):
            what = f"{entry} holds the gateway {gateway}"
            draft.at_value(path, what, "leave the gateway out of the pool")
        if any(int(low) <= b and a <= int(high) for a, b in given):
            what = f"{entry} holds an address that the pool has already"
            draft.at_value(path, what, "give each address once")
        given.append((int(low), int(high)))


def _overlaps(draft: Draft) -> None:
    """No two networks share an address, within a site or across: the sites are meshed."""
    networks = [
        (network, name, key)
        for name, site in draft.sites.items()
        for key in (
            "bmc",
            "management",
            "private_ipv4",
            "public_ipv4",
            "ipv6",
            "ipv6_next",
            "ipv6_old",
            "ceph",
            "replication",
            "corosync",
        )
        if (network := getattr(site.subnets, key)) is not None
        # A small rack may have one network for BMCs and hosts.
        if not (key == "management" and network == site.subnets.bmc)
    ]
    # Sorted, a network can only lie in one that began before it and has not ended yet.
    order = {n[1:]: i for i, n in enumerate(networks)}
    open_: list[tuple[IPvAnyNetwork, str, str]] = []
    for this in sorted(networks, key=lambda n: (n[0].version, int(n[0].network_address), n[0])):
        open_ = [o for o in open_ if o[0].version == this[0].version and o[0].overlaps(this[0])]
        for other in open_:
            first, second = sorted((this, other), key=lambda n: order[n[1:]])
            whose = "" if first[1] == second[1] else f" of {first[1]}"
            what = f"`{second[2]}` {second[0]} overlaps `{first[2]}` {first[0]}{whose}"
            path = ("sites", second[1], "subnets", second[2])
            draft.at_value(path, what, "give every network addresses of its own")
        open_.append(this)


def _addresses(draft: Draft) -> None:
    """Hosts and BMCs have addresses of their own, in their site's networks."""
    taken: dict[object, str] = {}
    for name, site in draft.sites.items():
        for gateway in (site.subnets.gateway, site.subnets.public_gateway):
            if gateway is not None:
                taken.setdefault(gateway, f"a gateway of {name}")
    for name, site in draft.sites.items():
        for i, own in enumerate(site.gateways.addresses if site.gateways else ()):
            where: Path = ("sites", name, "gateways", "addresses", i)
            _take(draft, where, taken, own, f"gateway{i + 1} of {name}")
    # One address may hold several BMCs behind forwarded ports, never a BMC and a host.
    hosts_at: dict[object, str] = {}
    for name, server in draft.servers.items():
        path: Path = ("servers", name, "address")
        _take(draft, path, taken, server.address, f"server `{name}`")
        hosts_at[server.address] = f"server `{name}`"
        if server.site in draft.sites:
            management = draft.sites[server.site].subnets.management
            _inside(draft, path, server.address, management, f"{server.site}.management")
    bmcs: dict[object, str] = {}
    for name, server in draft.servers.items():
        path = ("servers", name, "bmc", "address")
        if not server.has_bmc:
            continue
        address = _bmc_address(draft, path, server.bmc.address)
        if address is None:
            continue
        if address in taken:
            _take(draft, path, taken, address, f"the BMC of `{name}`")
        else:
            # The nodes of one chassis have its BMC in common.
            key = (address, server.bmc.port, server.bmc.node)
            _take(draft, path, bmcs, key, f"the BMC of `{name}`")
        if server.site in draft.sites and not isinstance(address, str):
            subnet = draft.sites[server.site].subnets.bmc
            _inside(draft, path, address, subnet, f"{server.site}.bmc")


def _bmc_address(draft: Draft, path: Path, text: str) -> Address | str | None:
    """An IP address, or a host name; None with a mistake noted."""
    try:
        return ip_address(text)
    except ValueError:
        # Digits and dots only: an address with a slip, not a host name.
        if _HOST_NAME.fullmatch(text) and re.search("[A-Za-z]", text):
            return text.lower()
    draft.at_value(path, f"{text!r} is neither an IP address nor a host name", "such as 10.0.0.11")
    return None


def _take(draft: Draft, path: Path, taken: dict[object, str], key: object, owner: str) -> None:
    if key in taken:
        address = key[0] if isinstance(key, tuple) else key
        what = f"{address} is the address of {taken[key]} already"
        draft.at_value(path, what, "give each an address of its own")
    taken.setdefault(key, owner)


def _cards(draft: Draft) -> None:
    """A MAC address is one server's."""
    owners: dict[str, str] = {}
    for name, server in draft.servers.items():
        cards: list[tuple[Path, str]] = []
        if server.boot_mac is not None:
            cards.append((("servers", name, "boot_mac"), server.boot_mac))
        if server.learned is not None:
            path: Path = ("servers", name, "learned", "macs")
            cards += [((*path, i), mac) for i, mac in enumerate(server.learned.macs)]
        for path, mac in cards:
            if owners.setdefault(mac, name) != name:
                what = f"{mac} is a network card of server `{owners[mac]}` already"
                draft.at_value(path, what, "two servers would answer to one boot: correct one")
