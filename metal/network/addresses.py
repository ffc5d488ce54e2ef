"""Every address of every VM, from its home and its wish; what it has, it keeps if it can.

A VM has a private IPv4 and an IPv6 always (a unique local one where its site has no other). From
outside it has an IPv4 of its own (dedicated), ports of a shared one (nat), host names on a shared
one (proxy), or none.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from itertools import chain

from metal.model.addresses import Addressing, Forward, ProxyRoute
from metal.model.fleet import Inventory, Treatment
from metal.network.budget import (
    GATEWAY,
    PROXY,
    Holdings,
    Ledger,
    by_site,
    held_by,
    holdings,
    impossible,
    infrastructure,
    nat_ports,
)
from metal.network.ipv6 import prefixes, under, vm_network6
from metal.network.serving import serve
from metal.network.sharing import Claims, bins_of, masks, share
from metal.network.sites import (
    Address,
    base_addresses,
    gateway_addresses,
    hosts6,
    is_private_host,
    parse,
    pool,
    private_gateway,
    private_hosts,
    private_network,
    with_prefix,
)


@dataclass(frozen=True)
class AddressShortage:
    """A site that cannot give everyone what they want."""

    site: str
    vms: dict[str, str]
    """VM → why it goes without."""
    missing: int
    """Public IPv4 addresses that would have to be added to the pool."""
    lighter: dict[str, Treatment]
    """VMs at the site that could do with less, and with what: each spares an address. The least
    important first; whether its `why` allows it is for people to judge."""

    def __str__(self) -> str:
        text = f"{self.site}: " + "; ".join(f"{vm}: {why}" for vm, why in self.vms.items())
        mend = [f"add {self.missing} to sites.{self.site}.ipv4_pool"] if self.missing else []
        mend += [f'give {vm} ipv4 = "{less}"' for vm, less in list(self.lighter.items())[:3]]
        return f"{text} → {' or '.join(mend)}" if mend else text


@dataclass(frozen=True)
class AddressPlan:
    """Who has which addresses, and who goes without."""

    given: dict[str, Addressing]
    shortages: tuple[AddressShortage, ...] = ()
    ways_out: dict[str, tuple[IPv4Address, ...]] = field(default_factory=dict)
    """Site → the shared addresses that its gateways hold; the first is the main way out."""
    doors: dict[str, IPv4Address] = field(default_factory=dict)
    """Site → which of them its gateways answer the mesh at."""


def plan_addresses(
    inventory: Inventory,
    homes: Mapping[str, str],
    current: Mapping[str, tuple[str, ...]],
    *,
    shared: Mapping[str, str] | None = None,
) -> AddressPlan:
    """The addresses of all VMs in `homes` (VM → cluster).

    `current` is what the hypervisor has configured, of every VM seen, unmanaged ones too: their
    addresses are never given away. `shared` is VM → the shared address its ports were on
    before, where somebody remembers; an address moves only if it must.
    """
    reserved, holders, here = infrastructure(inventory), held_by(current), by_site(inventory, homes)
    taken = set(reserved)
    for vm, addresses in current.items():
        if vm not in homes:
            taken.update(parse(addresses))
    given: dict[str, Addressing] = {}
    shortages: list[AddressShortage] = []
    ways_out: dict[str, tuple[IPv4Address, ...]] = {}
    doors: dict[str, IPv4Address] = {}
    own = {site for site, place in inventory.sites.items() if place.gateways is not None}
    for site in sorted(here.keys() | own):
        vms = here.get(site, [])
        held = holdings(inventory, site, homes, current, holders=holders, reserved=reserved)
        planner = _SitePlanner(inventory, site, vms, current, taken, held)
        given |= planner.plan(shared or {})
        ways_out[site] = planner.ways_out
        if planner.door is not None:
            doors[site] = planner.door
        if planner.without:
            shortages.append(planner.shortage())
    return AddressPlan(given, tuple(shortages), ways_out, doors)


class _SitePlanner:
    """Hands out the addresses of one site; `taken` is the whole fleet's."""

    def __init__(
        self,
        inventory: Inventory,
        site: str,
        vms: Iterable[str],
        current: Mapping[str, tuple[str, ...]],
        taken: set[Address],
        held: Holdings,
    ) -> None:
        self.inventory = inventory
        self.name = site
        self.site = inventory.sites[site]
        self.current = {vm: parse(current.get(vm, ())) for vm in vms}
        self.taken = taken
        self.vms = self._in_order(vms)
        self.held = held
        self.busy: set[Address] = {*self.held.foreign, *(a for a in pool(self.site) if a in taken)}
        foreign = len(self.busy - set(base_addresses(self.site)))
        self.ledger = Ledger(inventory, site, foreign)
        self.choice = serve(inventory, site, self.vms, self.ledger, self._worth())
        self.without: dict[str, str] = {}
        self.ways_out: tuple[IPv4Address, ...] = ()
        self.door: IPv4Address | None = None

    def plan(self, remembered: Mapping[str, str]) -> dict[str, Addressing]:
        admitted = self._admitted()
        private = self._private(admitted)
        served = [vm for vm in admitted if vm in private]
        own = self._own(served)
        shared = self._shared(own, remembered)
        ipv6 = self._ipv6(served)
        return {
            vm: self._addressing(vm, private[vm], own.get(vm), ipv6[vm], shared) for vm in served
        }

    def shortage(self) -> AddressShortage:
        missing = self._missing()
        return AddressShortage(
            site=self.name,
            vms=self.without,
            missing=missing,
            lighter=self._lighter() if missing else {},
        )

    def _in_order(self, vms: Iterable[str]) -> list[str]:
        """Those that exist keep what they have; then the most important first."""
        wanted = self.inventory.vms
        return sorted(vms, key=lambda vm: (not self.current[vm], -wanted[vm].priority, vm))

    def _worth(self) -> dict[str, int]:
        """What serving each is worth: one that exists more than all new ones together."""
        worth = {vm: 1 + self.inventory.vms[vm].priority for vm in self.vms}
        most = 1 + sum(worth.values())
        return {vm: w + (most if self.current[vm] else 0) for vm, w in worth.items()}

    def _admitted(self) -> list[str]:
        """Those chosen; for each other, why not."""
        for vm in self.vms:
            if vm in self.choice.served:
                self.ledger.add(vm)
        for vm in self.vms:
            if vm not in self.choice.served:
                self.without[vm] = self.ledger.refuses(vm) or "others weigh more than it does"
        return [vm for vm in self.vms if vm in self.choice.served]

    def _own(self, vms: list[str]) -> dict[str, IPv4Address]:
        """Dedicated addresses, from the front of the pool; shared ones come from its end."""
        own = {vm: a for vm, a in self.held.kept.items() if vm in self.ledger.dedicated}
        free = self._free_pool(own)
        for vm in vms:
            if vm in self.ledger.dedicated and vm not in own:
                own[vm] = next(free)
        self.taken.update(own.values())
        return own

    def _free_pool(self, own: Mapping[str, IPv4Address]) -> Iterator[IPv4Address]:
        held = self.busy | set(own.values())
        return iter([a for a in pool(self.site) if a not in held])

    def _shared(
        self, own: Mapping[str, IPv4Address], remembered: Mapping[str, str]
    ) -> dict[str, IPv4Address]:
        """Who shares (VMs, and the proxy) → their shared address."""
        free = list(self._free_pool(own))[::-1]
        claims = self.ledger.claims()
        settled = _settle(claims, free, self._remembered(remembered))
        packing = share(claims, settled)
        # An address moves only if it must: those give theirs up that are worth least.
        for owner in sorted(settled, key=lambda o: self._weight(o)):
            if bins_of(packing) <= len(free):
                break
            del settled[owner]
            packing = share(claims, settled)
        if bins_of(packing) > len(free):
            packing = {owner: self.choice.bins[owner] for owner in claims}
        shared = {owner: free[number] for owner, number in packing.items()}
        self.ways_out = self._ways_out(free, shared)
        self.door = shared.get(GATEWAY)
        self.taken.update(shared.values())
        self.taken.update(self.ways_out)
        return shared

    def _weight(self, owner: str) -> int:
        return self.inventory.vms[owner].priority if owner in self.inventory.vms else 101

    def _ways_out(
        self, free: list[IPv4Address], shared: Mapping[str, IPv4Address]
    ) -> tuple[IPv4Address, ...]:
        """The addresses the gateways hold, that of the proxy first; further ones for flows."""
        first = [shared[o] for o in (PROXY, GATEWAY) if o in shared]
        used = list(dict.fromkeys([*first, *sorted(shared.values())]))
        wanted = max(0, self.ledger.budget.shared - len(used))
        return tuple(used + [a for a in free if a not in used][:wanted])

    def _remembered(self, remembered: Mapping[str, str]) -> dict[str, str]:
        """Owner → address: the proxy's is what any of its VMs remembers."""
        of_proxy = [remembered[vm] for vm in sorted(self.ledger.proxied) if vm in remembered]
        mine = {vm: remembered[vm] for vm in self.ledger.nat if vm in remembered}
        return mine | ({PROXY: of_proxy[0]} if of_proxy else {})

    def _private(self, vms: list[str]) -> dict[str, IPv4Address]:
        found: dict[str, IPv4Address] = {}
        for vm in vms:
            for address in self.current[vm]:
                if is_private_host(self.site, address) and self._take(address):
                    found[vm] = IPv4Address(address)
                    break
        hosts = private_hosts(self.site)
        for vm in (v for v in vms if v not in found):
            host = next((a for a in hosts if self._take(a)), None)
            if host is None:
                self.without[vm] = f"{private_network(self.site)} has no free address left"
                self.ledger.remove(vm)
            else:
                found[vm] = host
        return found

    def _ipv6(self, vms: list[str]) -> dict[str, Address]:
        first, *others = prefixes(self.inventory, self.name)
        network = first.vms
        found: dict[str, Address] = {}
        for vm in vms:
            mine = next((a for a in self.current[vm] if a in network and self._take(a)), None)
            if mine is not None:
                found[vm] = mine
        for vm in (v for v in vms if v not in found):
            # What it has under a prefix that comes or goes, it has under this one.
            known = [
                under(a, network)
                for p in others
                for a in self.current[vm]
                if isinstance(a, IPv6Address) and a in p.vms
            ]
            candidates = chain(known, hosts6(network, vm))
            found[vm] = next(a for a in candidates if self._take(a))
        return found

    def _take(self, address: Address) -> bool:
        if address in self.taken:
            return False
        self.taken.add(address)
        return True

    def _addressing(
        self,
        vm: str,
        private: IPv4Address,
        own: IPv4Address | None,
        ipv6: Address,
        shared: Mapping[str, IPv4Address],
    ) -> Addressing:
        wanted = self.inventory.vms[vm]
        network6 = vm_network6(self.inventory, self.name)
        gateway = self.site.subnets.public_gateway if own else private_gateway(self.site)
        return Addressing(
            treatment=wanted.ipv4,
            private_ipv4=f"{private}/{private_network(self.site).prefixlen}",
            public_ipv4=with_prefix(self.site, own) if own else None,
            ipv6=f"{ipv6}/{network6.prefixlen}",
            gateway4=str(gateway) if gateway else None,
            gateway6=str(gateway_addresses(network6)[0]),
            forwards=tuple(
                Forward(
                    public=str(shared[vm]),
                    protocol=s.protocol,
                    port=s.port,
                    last=s.last,
                    to=str(s.to) if s.to else None,
                )
                for s in (wanted.serves if vm in shared else ())
            ),
            routes=tuple(
                ProxyRoute(public=str(shared[PROXY]), name=name, port=port, proxy_protocol=told)
                for name, port, told in self._told_apart(vm)
            ),
        )

    def _told_apart(self, vm: str) -> list[tuple[str, int, bool]]:
        """(name, port, whether by the PROXY protocol) of what the proxy sends to `vm`."""
        if vm not in self.ledger.proxied:
            return []
        serves = self.inventory.vms[vm].serves
        return sorted({(s.name, s.port, s.proxy_protocol) for s in serves if s.name is not None})

    def _missing(self) -> int:
        """Addresses that would have to be added for all who can be served at all."""
        whole = Ledger(self.inventory, self.name, self.ledger.foreign)
        for vm in self.vms:
            wanted = self.inventory.vms[vm]
            if not impossible(self.site, wanted, wanted.ipv4):
                whole.add(vm)
        return max(0, -whole.budget.free)

    def _lighter(self) -> dict[str, Treatment]:
        """Who would spare an address with a lighter treatment."""
        found: dict[str, Treatment] = {}
        claims = self.ledger.claims()
        addresses = max(share(claims).values(), default=-1) + 1
        for vm in sorted(self.vms, key=lambda vm: (self.inventory.vms[vm].priority, vm)):
            wanted = self.inventory.vms[vm]
            if wanted.ipv4 not in ("dedicated", "nat") or not wanted.serves:
                continue
            if PROXY in claims and not impossible(self.site, wanted, "proxy"):
                found[vm] = "proxy"
            elif wanted.ipv4 == "dedicated":
                more = share({**claims, vm: nat_ports(wanted)})
                if claims and max(more.values()) < addresses:
                    found[vm] = "nat"
        return found


def _settle(
    claims: Claims, free: list[IPv4Address], remembered: Mapping[str, str]
) -> dict[str, int]:
    """The owners whose remembered address is free for their ports → its number in `free`.

    The proxy has the first one unless a proxied VM remembers another, and so have the gateways.
    """
    settled: dict[str, int] = {}
    used: dict[int, int] = {}
    wanted = masks(claims)
    number_of = {str(address): n for n, address in enumerate(free)}
    for owner in sorted(claims, key=lambda o: (o != PROXY, o)):
        number = number_of.get(remembered.get(owner, ""))
        if owner in (PROXY, GATEWAY) and number is None:
            number = 0 if free else None
        if number is None or used.setdefault(number, 0) & wanted[owner]:
            continue
        used[number] |= wanted[owner]
        settled[owner] = number
    return settled
