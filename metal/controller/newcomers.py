"""A server that the inventory does not have yet: its name, its place, its addresses.

What nobody said is proposed: the operator reads it in inventory.toml and corrects it there, before
anything is installed. Nothing proposed is ever taken by another server.
"""

import threading
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from metal.enroll.handover import slug
from metal.enroll.identity import recognise
from metal.inventory.edit import Taken, adding
from metal.inventory.mistakes import suggest
from metal.inventory.scribe import Scribe
from metal.model.errors import BadInput, Refused
from metal.model.facts import Facts
from metal.model.fleet import BmcAccess, Inventory, Learned, Site

SOLO = "solo"
"""The profile of a server that is a cluster of its own."""
UNKNOWN_RACK = "?"
CLUSTER_NAME = 15
"""Characters that Proxmox allows."""
RECORDED = ("address", "port", "protocol", "fingerprint", "cipher_suite", "node", "tls")
"""What of the way in is written when the server is added. Its user is metal's own already."""


@dataclass(frozen=True)
class Wishes:
    """What a person says of a newcomer; None: propose something."""

    name: str | None = None
    site: str | None = None
    rack: str | None = None
    unit: int | None = None
    profile: str | None = None
    serial: str | None = None
    """What it must be, of a hand-over list."""
    where: str = ""
    """The line of that list."""


class Newcomers:
    """Gives each newcomer of a sweep a place of its own; any thread may call it."""

    def __init__(self, inventory: Inventory, scribe: Scribe) -> None:
        self._scribe = scribe
        self._lock = threading.Lock()
        self._known: dict[str, Learned] = {}
        self._servers: set[str] = set()
        self._clusters: set[str] = set()
        self._addresses: set[str] = set()
        self._see(inventory)

    def _see(self, inventory: Inventory) -> None:
        """What is in it is taken; so is what was given away here and is not written yet."""
        self._inventory = inventory
        self._known |= {n: s.learned for n, s in inventory.servers.items() if s.learned}
        self._servers |= {*inventory.servers, *inventory.vms}
        self._clusters |= {*inventory.clusters}
        self._addresses |= _taken(inventory)

    def add(self, facts: Facts, learned: Learned, access: BmcAccess, wishes: Wishes) -> str:
        """Write it into the inventory; its name.

        Refused when it is a server the inventory has at another address, or its name is taken;
        KnownBmc when another sweep was faster; BadInput when no site has its address.
        """
        while True:
            try:
                return self._add(facts, learned, access, wishes)
            except Taken:  # by another sweep, meanwhile: each round, that one got further
                with self._lock:
                    self._see(self._scribe.read())

    def _add(self, facts: Facts, learned: Learned, access: BmcAccess, wishes: Wishes) -> str:
        with self._lock:
            if known := recognise(facts, self._known):
                raise Refused(
                    f"this is {known}, which is in the inventory with another BMC address",
                    where=wishes.where or access.address,
                    mend=f"if it moved, correct the address in the bmc of {known}",
                )
            site = self._site(access, wishes)
            name = self._name(facts, wishes)
            cluster = _free(name, self._clusters, CLUSTER_NAME)
            host = self._host(access, self._inventory.sites[site], wishes)
            self._servers.add(name)
            self._clusters.add(cluster)
            self._addresses.add(host)
            self._known[name] = learned
        way_in = access.model_dump(mode="json", include=set(RECORDED), exclude_defaults=True)
        wanted: dict[str, Any] = {
            "site": site,
            "rack": wishes.rack or UNKNOWN_RACK,
            "unit": wishes.unit,
            "profile": wishes.profile or self._profile(),
            "address": host,
            "bmc": way_in,
        }
        try:
            change = adding(name, wanted, cluster=cluster, learned=learned, alone=True)
            self._scribe.write(change)
        except BaseException:
            with self._lock:
                self._known.pop(name, None)
            raise
        return name

    def _site(self, access: BmcAccess, wishes: Wishes) -> str:
        sites = self._inventory.sites
        if wishes.site is not None:
            named = {name.casefold(): name for name in sites}.get(wishes.site.casefold())
            if named is None:
                raise BadInput(
                    f"there is no site {wishes.site}",
                    where=wishes.where or access.address,
                    mend=suggest(wishes.site, sites, "site"),
                )
            return named
        address = _ip(access.address)
        for name, site in sites.items():
            if address is not None and address in site.subnets.bmc:
                return name
        raise BadInput(
            "no site of the inventory has this address in its `bmc` subnet",
            where=wishes.where or access.address,
            mend="name the site it stands at: --site NAME, or correct the site's subnets",
        )

    def _name(self, facts: Facts, wishes: Wishes) -> str:
        if wishes.name is None:
            return _free(proposed_name(facts), self._servers, 40)
        if wishes.name in self._servers:
            raise Refused(
                f"there is a {wishes.name} in the inventory already",
                where=wishes.where or facts.address,
                mend="give it another name, or correct the address of that one's BMC",
            )
        return wishes.name

    def _profile(self) -> str:
        profiles = self._inventory.profiles
        return SOLO if SOLO in profiles or not profiles else next(iter(profiles))

    def _host(self, access: BmcAccess, site: Site, wishes: Wishes) -> str:
        """In the management network: the number its BMC has in its own, else the first free."""
        network, bmc = site.subnets.management, _ip(access.address)
        first = int(network.network_address)
        if bmc is not None and bmc in site.subnets.bmc and network != site.subnets.bmc:
            twin = first + int(bmc) - int(site.subnets.bmc.network_address)
            candidates = [twin, *range(first + 1, first + min(network.num_addresses, 4096) - 1)]
        else:
            candidates = list(range(first + 1, first + min(network.num_addresses, 4096) - 1))
        last = first + network.num_addresses - 1
        for number in candidates:
            host = str(type(network.network_address)(number))
            if first < number < last and host not in self._addresses and host != str(bmc):
                return host
        raise Refused(
            f"no address is free in {network}",
            where=wishes.where or access.address,
            mend="make the site's management network larger",
        )


def proposed_name(facts: Facts) -> str:
    """ "dell-7x3k9q2" by maker and serial; else by the board's, the BMC's MAC or its address."""
    maker = slug((facts.vendor or "server").split()[0].split("-")[0]) or "server"
    maker = "hp" if maker == "hewlett" else maker
    own = facts.serial or facts.sku or facts.board_serial
    own = own or (facts.bmc_mac or "").replace(":", "")[-6:] or facts.address
    name = slug(f"{maker}-{own}") or "server"
    return slug(f"{name[:36]}-{facts.node}") or name if facts.node else name


def _free(name: str, taken: set[str], longest: int) -> str:
    """`name`, cut and numbered so that nobody has it."""
    short, number = name[:longest].rstrip("-"), 2
    while short in taken:
        ending = f"-{number}"
        short, number = name[: longest - len(ending)].rstrip("-") + ending, number + 1
    return short


def _ip(text: str) -> Any:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _taken(inventory: Inventory) -> set[str]:
    """Every address that a host must not be given."""
    taken = {str(s.address) for s in inventory.servers.values()}
    taken |= {s.bmc.address for s in inventory.servers.values()}
    for site in inventory.sites.values():
        subnets = site.subnets
        taken |= {str(a) for a in (subnets.gateway, *subnets.nameservers)}
        if subnets.public_gateway:
            taken.add(str(subnets.public_gateway))
    return taken
