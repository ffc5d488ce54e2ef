"""Laws over what donors allow: nothing new beyond what they lend, nothing after the last day."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_interface

from pydantic import IPvAnyNetwork

from metal.model.laws.after import After
from metal.model.laws.breach import Breach
from metal.model.life import Life


def term_laws(after: After) -> Iterator[Breach]:
    """Judged at the sites where the plan installs, forms or places; a site that is over its terms
    already may still be drained, and healed."""
    inventory = after.inventory
    installing = {i.site for i in after.installs}
    placing = {inventory.site_of(p.cluster) for p in after.places}
    forming = {inventory.site_of(f.cluster) for f in after.forms}
    for name in sorted(installing | placing | forming):
        whats = list(_over(name, after))
        if name in installing:
            whats += [*_units(name, after), *_watts(name, after)]
        if name in placing:
            whats += [*_addresses(name, after), *_traffic(name, after)]
        for what in whats:
            donor = inventory.sites[name].donor.name
            yield Breach(law="terms", subject=name, what=f"{what} (terms of {donor})")


def _over(name: str, after: After) -> Iterator[str]:
    until = after.inventory.sites[name].donor.until
    if after.today is not None and until is not None and until < after.today:
        yield f"was lent until {until}: nothing new goes there"


def _standing(name: str, after: After) -> list[str]:
    """Servers of the site that have not been given back."""
    return [
        server
        for server, wanted in after.inventory.servers.items()
        if wanted.site == name and after.seen(server).life is not Life.RETIRED
    ]


def _units(name: str, after: After) -> Iterator[str]:
    lent = after.inventory.sites[name].donor.units
    taken = sum(after.inventory.servers[s].height for s in _standing(name, after))
    if lent is not None and taken > lent:
        yield f"has servers of {taken} U, {lent} U are lent"


def _watts(name: str, after: After) -> Iterator[str]:
    lent = after.inventory.sites[name].donor.watts
    if lent is None:
        return
    draws = {s: after.inventory.servers[s].watts for s in _standing(name, after)}
    unknown = [server for server, watts in draws.items() if watts is None]
    taken = sum(watts or 0 for watts in draws.values())
    if unknown:
        yield f"may draw {lent} W, and nobody told the `watts` of {', '.join(unknown)}"
    elif taken > lent:
        yield f"has servers of {taken} W, {lent} W are lent"


def _addresses(name: str, after: After) -> Iterator[str]:
    site = after.inventory.sites[name]
    lent, public = site.donor.addresses, site.subnets.public_ipv4
    if lent is None or public is None:
        return
    was = _public(
        [a for vm in after.world.vms.values() for a in (*vm.addresses, vm.shared)], public
    )
    places = [a for p in after.places for a in (p.addressing.public_ipv4, p.addressing.shared)]
    used = was | _public(places, public)
    if len(used) > max(lent, len(was)):
        yield f"would use {len(used)} public IPv4 addresses, {lent} are lent"


def _public(texts: Iterable[str | None], public: IPvAnyNetwork) -> set[object]:
    """Those of the site's public network."""
    return {ip for text in texts if text and (ip := ip_interface(text).ip) in public}


def _traffic(name: str, after: After) -> Iterator[str]:
    """Who needs none may come where too much is used already."""
    lent = after.inventory.sites[name].donor.traffic_gb
    here = [c for c in after.inventory.clusters if after.inventory.site_of(c) == name]
    came = [p.vm for p in after.places if p.cluster in here]
    vms = [r.name for r in after.residents.values() if r.cluster in here]
    taken = sum(after.inventory.vms[vm].traffic_gb for vm in vms if vm in after.inventory.vms)
    if not any(after.inventory.vms[vm].traffic_gb for vm in came):
        return
    if lent is not None and taken > lent:
        yield f"has VMs of {taken} GB a month, {lent} GB are lent"
