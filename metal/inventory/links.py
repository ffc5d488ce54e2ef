"""Cards of hosts: each carries one thing, and each network that they carry is the site's."""

from metal.inventory.draft import Draft
from metal.inventory.positions import Path
from metal.model.fleet import Server
from metal.model.links import ROLES, Link, Role, address_in


def check_links(draft: Draft) -> None:
    for name, server in draft.servers.items():
        profile = draft.profiles.get(server.profile)
        links: dict[Role, Link] = {**(profile.links if profile else {}), **server.links}
        if links:
            _one(draft, name, server, links)
    for cluster in draft.clusters:
        _alike(draft, cluster)


def _one(draft: Draft, name: str, server: Server, links: dict[Role, Link]) -> None:
    path: Path = ("servers", name, "links" if server.links else "profile")
    if "management" not in links:
        what = f"`{name}` has `links` but none for management: nobody would reach it"
        draft.at_value(path, what, "add [links.management] with the cards it is reached by")
    owners: dict[str, Role] = {}
    for role, link in links.items():
        where = ("servers", name, "links", role) if role in server.links else path
        _bond(draft, where, role, link)
        for card in link.cards:
            if owners.setdefault(card, role) != role:
                what = f"the card {card} of `{name}` is for {owners[card]} already"
                draft.at_value(where, what, "give each link cards of its own")
        _network(draft, where, name, server, role)


def _bond(draft: Draft, where: Path, role: Role, link: Link) -> None:
    if len(set(link.cards)) != len(link.cards):
        draft.at_value(where, f"{role} names a card twice", "name each once")
    elif len(link.cards) > 1 and link.bond is None:
        what = f"{role} has {len(link.cards)} cards and no `bond`"
        draft.at_value(where, what, 'bond = "active-backup" asks nothing of the switch')
    elif len(link.cards) == 1 and link.bond is not None:
        what = f"{role} is a bond of one card"
        draft.at_value(where, what, "name a second card, or remove `bond`")


def _network(draft: Draft, where: Path, name: str, server: Server, role: Role) -> None:
    """A link of its own needs a network of its own, in which the host's number is free."""
    if role == "management" or server.site not in draft.sites:
        return
    subnets = draft.sites[server.site].subnets
    network = getattr(subnets, role)
    if network is None:
        what = f"`{name}` has cards for {role}, and {server.site} has no such network"
        draft.at_value(where, what, f'add {role} = "10.…/24" to [sites.{server.site}.subnets]')
        return
    management = subnets.management
    if server.address in management and address_in(network, server.address, management) is None:
        what = f"`{role}` {network} has no room for number {_number(server, management)} (`{name}`)"
        draft.at_value(
            ("sites", server.site, "subnets", role), what, "make it as large as management"
        )


def _number(server: Server, management: object) -> int:
    return int(server.address) - int(management.network_address)  # type: ignore[attr-defined]


def _alike(draft: Draft, cluster: str) -> None:
    """corosync and Ceph of all of a cluster's servers are on the same networks."""
    servers = [s for s in draft.clusters[cluster].servers if s in draft.servers]
    for role in ROLES[1:]:
        have = [s for s in servers if _has(draft, s, role)]
        if have and len(have) < len(servers):
            without = next(s for s in servers if s not in have)
            what = f"`{have[0]}` has cards for {role} and `{without}` has none"
            mend = "all servers of a cluster, or none of them"
            draft.at_key(("clusters", cluster), what, mend)


def _has(draft: Draft, name: str, role: Role) -> bool:
    server = draft.servers[name]
    profile = draft.profiles.get(server.profile)
    return role in server.links or (profile is not None and role in profile.links)
