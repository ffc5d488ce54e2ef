"""What a person names, and the BMCs that are meant: servers, addresses, lists, scans."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address

from metal.controller.progress import Progress
from metal.controller.wishes import Wishes
from metal.controller.workspace import Workspace
from metal.enroll.door import Credential, secret_name
from metal.enroll.handover import HandOver, joined, split_address
from metal.enroll.ranges import network_of
from metal.inventory.mistakes import suggest
from metal.model.errors import BadInput
from metal.model.fleet import Inventory
from metal.model.life import Life


@dataclass(frozen=True)
class Target:
    """One BMC to enrol: a server of the inventory, or an address that is in none."""

    address: str
    port: int | None = None
    server: str | None = None
    wishes: Wishes = field(default_factory=Wishes)
    delivered: tuple[Credential, ...] = ()
    """Its own credentials, tried before those of the whole sweep."""

    @property
    def label(self) -> str:
        """What progress and errors call it."""
        return self.server or joined(self.address, self.port)


def targets_of(
    workspace: Workspace | None, words: Sequence[str], wishes: Wishes | None = None
) -> list[Target]:
    """What `words` name: servers of the inventory, or addresses of BMCs, ADDRESS or ADDRESS:PORT.

    BadInput, before anything is done, for a word that is neither.
    """
    wishes = wishes or Wishes()
    return [t for word in dict.fromkeys(words) for t in _meant(workspace, word, wishes)]


def _meant(workspace: Workspace | None, word: str, wishes: Wishes) -> list[Target]:
    servers = workspace.inventory.servers if workspace else {}
    if word in servers:
        bmc = servers[word].bmc
        return [Target(bmc.address, bmc.port, word, wishes)]
    address, port = split_address(word)
    found = known_at(workspace, address, port)
    if found != [None]:
        return [_target_at(workspace, address, port, name, wishes) for name in found]
    if not any(sign in word for sign in ".:") and address != "localhost":
        raise BadInput(
            "no server of the inventory has that name, and it is no address",
            where=word,
            mend=suggest(word, servers, "server")
            if servers
            else "give the BMC's address, such as 10.0.0.11",
        )
    return [Target(address, port, None, wishes)]


def targets_of_list(
    workspace: Workspace | None, found: HandOver, wishes: Wishes | None = None
) -> list[Target]:
    """The targets of a hand-over list.

    `wishes` holds for what the list does not say, and its site also for rows whose site is none of
    ours: a donor has words of its own for a place ("DC2").
    """
    default = wishes or Wishes()
    sites = {name.casefold() for name in workspace.inventory.sites} if workspace else set()
    targets = []
    for row in found.rows:
        ours = row.site is not None and row.site.casefold() in sites
        site = row.site if ours or default.site is None else default.site
        wanted = Wishes(
            name=row.name,
            site=site,
            rack=row.rack or default.rack,
            unit=row.unit,
            profile=default.profile,
            serial=row.serial,
            where=row.where,
            written=row.written,
        )
        own = (Credential(row.user, row.password, row.where),) if row.user and row.password else ()
        targets += [
            _target_at(workspace, row.address, row.port, name, wanted, own)
            for name in known_at(workspace, row.address, row.port)
        ]
    return targets


def not_enrolled(workspace: Workspace) -> list[str]:
    return [n for n in workspace.inventory.servers if life_of(workspace, n) is Life.FOUND]


def life_of(workspace: Workspace, name: str) -> Life:
    """Where the server stands; asking makes no store where there is none."""
    return workspace.life(name) if has_store(workspace) else Life.FOUND


def has_store(workspace: Workspace) -> bool:
    return workspace.inventory.fleet.state != "sqlite" or (workspace.state / "metal.db").exists()


@dataclass(frozen=True)
class Scanned:
    """A BMC that a scan found; no target when there is nothing to do with it."""

    text: str
    target: Target | None


def scanned(
    workspace: Workspace | None, network: str, wishes: Wishes, progress: Progress, *, dry_run: bool
) -> list[Scanned]:
    """What answers in a network. A server that is enrolled is recognised and left in peace,
    unless it is only to be looked at."""
    from metal.controller.finding import scan

    result = []
    for found in scan(network, progress):
        for name in known_at(workspace, found.address, found.port):
            enrolled = workspace and name and life_of(workspace, name) is not Life.FOUND
            of = f": {name}{', enrolled already' if enrolled else ''}" if name else ""
            target = _target_at(workspace, found.address, found.port, name, wishes)
            result.append(Scanned(f"{found}{of}", None if enrolled and not dry_run else target))
    return result


def other_ports(workspace: Workspace | None, network: str) -> list[int]:
    """Where else BMCs of the inventory in that network listen: a lab's are not at the usual."""
    inside, asked = network_of(network)
    if workspace is None or asked is not None:
        return []
    accesses = [server.bmc for server in workspace.inventory.servers.values() if server.has_bmc]
    at = [bmc.port for bmc in accesses if bmc.port and _within(bmc.address, inside)]
    return sorted(set(at))


def other_port(inventory: Inventory, target: Target) -> str:
    """A line about where BMCs beside a new and silent one listen; "" where that is as usual."""
    if target.server or target.port:
        return ""
    nets = [
        s.subnets.bmc for s in inventory.sites.values() if _within(target.address, s.subnets.bmc)
    ]
    found = {
        server.bmc.port
        for server in inventory.servers.values()
        if server.bmc.port and any(_within(server.bmc.address, net) for net in nets)
    }
    said = [f"{port}: {joined(target.address, port)}" for port in sorted(found)]
    return f"\n  → BMCs of the inventory there listen on {', '.join(said)}" if said else ""


def _within(address: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(address) in network
    except ValueError:
        return False  # a name


def needs_credential(workspace: Workspace | None, target: Target) -> bool:
    """Nothing at hand opens its BMC: no password of ours, and none in a list."""
    if target.delivered:
        return False
    if workspace is None or target.server is None:
        return True
    if not workspace.inventory.servers[target.server].has_bmc:
        return False
    names = workspace.inventory.behind(target.server)
    return not any(workspace.secrets.reveal(secret_name(name)) for name in names)


def known_at(workspace: Workspace | None, address: str, port: int | None) -> list[str | None]:
    """The inventory's servers behind that BMC; of every port where none is named.

    None stands for those it does not have: any, or the other nodes of a chassis.
    """
    found: list[str | None] = []
    chassis = False
    for name, server in workspace.inventory.servers.items() if workspace else ():
        if server.bmc.address.lower() == address and port in (None, server.bmc.port):
            found.append(name)
            chassis = chassis or server.bmc.node is not None
    return [*found, None] if chassis or not found else found


def _target_at(
    workspace: Workspace | None,
    address: str,
    port: int | None,
    name: str | None,
    wishes: Wishes,
    delivered: tuple[Credential, ...] = (),
) -> Target:
    if workspace and name:
        port = workspace.inventory.servers[name].bmc.port
    elif workspace and port is None:  # the nodes that are missing are where the known ones are
        known = [n for n in known_at(workspace, address, None) if n]
        port = workspace.inventory.servers[known[0]].bmc.port if known else None
    return Target(address, port, name, wishes, delivered)
