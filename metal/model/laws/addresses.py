"""Laws over addresses: none twice, each from its site's networks, every port reachable.

What a running VM's forwards and routes are, nobody sees; those of the plan's own VMs are judged
exactly, those of VMs that run already by counting: more VMs that need a port than there are
shared addresses cannot all be served, however they are spread.
"""

from collections import Counter
from collections.abc import Iterator
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
)

from metal.model.addresses import Addressing
from metal.model.fleet import Inventory, Service, Site, Vm
from metal.model.laws.after import After
from metal.model.laws.breach import Breach
from metal.model.plan import PlaceVm

WEB = ("tcp", 80), ("tcp", 443)
"""What a proxy listens on, whatever its routes are."""

UNIQUE_LOCAL = IPv6Network("fd00::/8")
"""What VMs of a site without IPv6 call each other by."""

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface


def address_laws(after: After) -> Iterator[Breach]:
    yield from _twice(after)
    yield from _forwards(after)
    yield from _routes(after)
    yield from _enough(after)
    for place in after.places:
        site = _site(place, after)
        for what in _networks(place.addressing, site):
            yield Breach(law="pool", subject=place.vm, what=what)
        for what in _treatment(place.addressing, after.inventory.vms[place.vm]):
            yield Breach(law="treatment", subject=place.vm, what=what)
        if site.subnets.ipv6 and not place.addressing.ipv6:
            what = "gets no IPv6 although its site has it"
            yield Breach(law="treatment", subject=place.vm, what=what)
    yield from _shared_and_owned(after)


def _site(place: PlaceVm, after: After) -> Site:
    return after.inventory.sites[after.inventory.site_of(place.cluster)]


def _interface(text: str | None) -> Interface | None:
    try:
        return ip_interface(text) if text else None
    except ValueError:
        return None


def _own(addressing: Addressing) -> list[Address]:
    wanted = (addressing.private_ipv4, addressing.public_ipv4, addressing.ipv6)
    return [i.ip for i in map(_interface, wanted) if i]


def _taken(inventory: Inventory) -> dict[Address, str]:
    """Addresses that can never be given to a VM: hosts, BMCs, gateways, adopted VMs."""
    taken: dict[Address, str] = {}
    for name, site in inventory.sites.items():
        for gateway in (site.subnets.gateway, site.subnets.public_gateway):
            if gateway:
                taken[gateway] = f"a gateway of {name}"
    for name, server in inventory.servers.items():
        taken[server.address] = f"server {name}"
        if bmc := _interface(server.bmc.address):
            taken[bmc.ip] = f"the BMC of {name}"
    for name, vm in inventory.vms.items():
        taken |= {a.ip: f"VM {name}" for a in (vm.adopted.addresses if vm.adopted else ())}
    return taken


def _twice(after: After) -> Iterator[Breach]:
    """No address is given to two, whether VM, server, BMC or gateway."""
    taken = _taken(after.inventory)
    for name, vm in after.world.vms.items():
        # What can't be read as an address ("dhcp") is no claim on one.
        taken |= {i.ip: f"VM {name}" for i in map(_interface, vm.addresses) if i}
    for place in after.places:
        for address in _own(place.addressing):
            owner = taken.setdefault(address, f"VM {place.vm}")
            if owner != f"VM {place.vm}":
                what = f"is given to {place.vm}, but {owner} has it"
                yield Breach(law="address", subject=str(address), what=what)


def _forwards(after: After) -> Iterator[Breach]:
    """A port of a shared address leads to one VM only, and not where a proxy listens."""
    proxied = {r.public for p in after.places for r in p.addressing.routes}
    listening = {(public, *port) for public in proxied for port in WEB}
    listening |= {(r.public, "tcp", r.port) for p in after.places for r in p.addressing.routes}
    owners: dict[tuple[str, str], list[tuple[int, int, str]]] = {}
    for place in after.places:
        for f in place.addressing.forwards:
            first, last = f.port, f.last or f.port
            end = f"{f.public} {f.protocol}/{f.port}" + (f"-{f.last}" if f.last else "")
            others = owners.setdefault((f.public, f.protocol), [])
            for low, high, other in others:
                if first <= high and low <= last:
                    what = f"is forwarded to {other} and to {place.vm}"
                    yield Breach(law="forward", subject=end, what=what)
            if any(
                (public, protocol) == (f.public, f.protocol) and first <= port <= last
                for public, protocol, port in listening
            ):
                what = f"is forwarded to {place.vm}, but a proxy listens there"
                yield Breach(law="forward", subject=end, what=what)
            others.append((first, last, place.vm))


def _routes(after: After) -> Iterator[Breach]:
    """On one shared address a host name leads to one VM."""
    owners: dict[tuple[str, str], str] = {}
    for place in after.places:
        seen = Counter((r.public, r.name, r.port) for r in place.addressing.routes)
        for (public, name, port), times in seen.items():
            if times > 1:
                what = f"{name} port {port} is routed {times} times"
                yield Breach(law="proxy", subject=public, what=what)
            owner = owners.setdefault((public, name), place.vm)
            if owner != place.vm:
                what = f"{name} is routed to {owner} and to {place.vm}"
                yield Breach(law="proxy", subject=public, what=what)


def _networks(a: Addressing, site: Site) -> Iterator[str]:
    """Every address is of the site, and the public ones of its pool."""
    subnets = site.subnets
    for label, text, network in (
        ("private", a.private_ipv4, subnets.private_ipv4),
        ("public", a.public_ipv4, subnets.public_ipv4),
        ("IPv6", a.ipv6, subnets.ipv6 or UNIQUE_LOCAL),
    ):
        if text is None:
            continue
        interface = _interface(text)
        if interface is None or "/" not in text:
            yield f"{text} is no address with prefix length"
        elif network is None:
            yield f"gets {text}, but its site has no {label} network"
        elif interface.ip not in network:
            yield f"gets {text}, which is outside its site's {label} network {network}"
        elif interface.ip in (network.network_address, network.broadcast_address):
            yield f"gets {text}, which stands for the whole of {network}"
    pool = pool_of(site)
    public = {f.public for f in a.forwards} | {r.public for r in a.routes}
    if own := _interface(a.public_ipv4):
        public.add(str(own.ip))
    for address in sorted(public):
        if _address(address) not in pool:
            yield f"uses {address}, which is not in its site's ipv4_pool"


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def pool_of(site: Site) -> set[Address]:
    """Every public address that VMs of the site may use."""
    pool: set[Address] = set()
    for entry in site.ipv4_pool:
        first, _, last = (part.strip() for part in entry.partition("-"))
        low, high = IPv4Address(first), IPv4Address(last or first)
        pool |= {IPv4Address(n) for n in range(int(low), int(high) + 1)}
    return pool


def _treatment(a: Addressing, vm: Vm) -> Iterator[str]:
    """What it asked for, no less and no more, and every port it serves can be reached."""
    if a.treatment != vm.ipv4:
        yield f"asked for {vm.ipv4} and gets {a.treatment}"
    if (vm.ipv4 == "dedicated") != (a.public_ipv4 is not None):
        yield f"asked for {vm.ipv4}, its own public address is {a.public_ipv4 or 'none'}"
    if vm.ipv4 in ("dedicated", "ipv6") and (a.forwards or a.routes):
        yield f"asked for {vm.ipv4} but shares an address"
    if vm.ipv4 == "nat" and a.routes:
        yield "asked for nat but is behind a proxy"
    for service in vm.serves:
        if not _reachable(service, a, vm):
            yield f"serves {service.protocol}/{service.port}, which nobody can reach"
    served = {(s.protocol, s.port, s.last or s.port) for s in vm.serves}
    ingress = {(s.protocol, s.port): str(s.to) for s in vm.serves if s.to}
    for f in a.forwards:
        if f.to != ingress.get((f.protocol, f.port)):
            yield f"{f.protocol}/{f.port} leads to {f.to or 'itself'}, which nobody asked for"
    opened = {(f.protocol, f.port, f.last or f.port) for f in a.forwards}
    opened |= {("tcp", r.port, r.port) for r in a.routes}
    for protocol, port, last in sorted(opened - served):
        to = f"-{last}" if last != port else ""
        yield f"does not serve {protocol}/{port}{to}, which is opened to the world"
    if "rdns" in vm.needs and vm.ipv4 not in ("dedicated", "nat"):
        yield f"needs reverse DNS of its own, which {vm.ipv4} cannot give"
    for name in sorted({r.name for r in a.routes} - {s.name for s in vm.serves}):
        yield f"does not serve {name}, which is routed to it"


def _reachable(service: Service, a: Addressing, vm: Vm) -> bool:
    if vm.ipv4 == "dedicated":
        return a.public_ipv4 is not None
    if vm.ipv4 == "ipv6":
        return a.ipv6 is not None
    wanted = (service.protocol, service.port, service.last)
    forwarded = any((f.protocol, f.port, f.last) == wanted for f in a.forwards)
    if vm.ipv4 == "nat" or service.name is None or service.protocol == "udp":
        return forwarded
    return forwarded or any((r.name, r.port) == (service.name, service.port) for r in a.routes)


def _shared_and_owned(after: After) -> Iterator[Breach]:
    """An address of one VM's own is never shared as well."""
    owners: dict[Address, str] = {}
    for name, vm in after.world.vms.items():
        owners |= {i.ip: name for i in map(_interface, vm.addresses) if i}
    for place in after.places:
        if own := _interface(place.addressing.public_ipv4):
            owners[own.ip] = place.vm
    for place in after.places:
        a = place.addressing
        for text in sorted({f.public for f in a.forwards} | {r.public for r in a.routes}):
            address = _address(text)
            if address in owners:
                what = f"is shared by {place.vm} but belongs to {owners[address]} alone"
                yield Breach(law="pool", subject=text, what=what)


def _enough(after: After) -> Iterator[Breach]:
    """As many shared addresses as VMs, old and new, that need the same port of one."""
    inventory = after.inventory
    for name, site in inventory.sites.items():
        clusters = {c for c in inventory.clusters if inventory.site_of(c) == name}
        here = [r.name for r in after.residents.values() if r.cluster in clusters]
        own: set[Address] = set()
        for vm in here:
            seen = after.world.vms.get(vm)
            own |= {i.ip for i in map(_interface, seen.addresses if seen else ()) if i}
        new = {p.vm: p for p in after.places if p.cluster in clusters}
        own |= {address for p in new.values() for address in _own(p.addressing)}
        shared = len(pool_of(site) - own)
        everybody = _needed(here, inventory)
        for port in _needed(list(new), inventory):
            needing = everybody[port]
            if len(needing) > shared:
                what = (
                    f"{port[0]}/{port[1]} of a shared address is needed by "
                    f"{', '.join(sorted(needing))}; {shared} addresses are shared"
                )
                yield Breach(law="forward", subject=name, what=what)


def _needed(vms: list[str], inventory: Inventory) -> dict[tuple[str, int], set[str]]:
    """(protocol, port) → who needs it on a shared address; all proxied VMs count as one.

    Of ranges the first ports are enough: where any overlap, one begins inside the others. The
    port of a reverse name is 0.
    """
    spans: list[tuple[str, int, int, str]] = []
    for name in vms:
        vm = inventory.vms.get(name)
        if not vm or vm.ipv4 not in ("nat", "proxy"):
            continue
        if "rdns" in vm.needs:
            spans.append(("rdns", 0, 0, name))
        for service in vm.serves:
            proxied = vm.ipv4 == "proxy" and service.name and service.protocol == "tcp"
            who = "a proxy" if proxied else name
            spans.append((service.protocol, service.port, service.last or service.port, who))
    return {
        (protocol, port): {
            who for p, first, last, who in spans if p == protocol and first <= port <= last
        }
        for protocol, port, _, _ in spans
    }
