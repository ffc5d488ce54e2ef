"""A server that the inventory does not have yet: its name, its place, its addresses.

What nobody said is proposed: the operator reads it in inventory.toml and corrects it there, before
anything is installed. Nothing proposed is ever taken by another server.
"""

import threading
from dataclasses import dataclass
from typing import Any

from metal.controller.wishes import Wishes, not_taken, site_at
from metal.enroll.handover import slug
from metal.enroll.identity import recognise
from metal.inventory.edit import Taken, adding
from metal.inventory.scribe import Scribe
from metal.model.addresses import ip_of
from metal.model.errors import Refused
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
class Place:
    """Where a newcomer stands, what it and its own cluster are called."""

    name: str
    cluster: str
    wanted: dict[str, Any]
    """By the keys of Server."""

    def __str__(self) -> str:
        said = {k: v for k, v in self.wanted.items() if v is not None}
        return ", ".join(f"{key} {value}" for key, value in said.items())


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

    def propose(self, facts: Facts, learned: Learned, access: BmcAccess, wishes: Wishes) -> "Place":
        """What `add` would write, and nobody else of this sweep gets; it raises what that does."""
        with self._lock:
            return self._place(facts, learned, access, wishes)

    def _add(self, facts: Facts, learned: Learned, access: BmcAccess, wishes: Wishes) -> str:
        place = self.propose(facts, learned, access, wishes)
        way_in = access.model_dump(mode="json", include=set(RECORDED), exclude_defaults=True)
        wanted = {**place.wanted, "bmc": way_in}
        try:
            change = adding(place.name, wanted, cluster=place.cluster, learned=learned, alone=True)
            self._scribe.write(change)
        except BaseException:
            with self._lock:
                self._known.pop(place.name, None)
            raise
        return place.name

    def _place(self, facts: Facts, learned: Learned, access: BmcAccess, wishes: Wishes) -> "Place":
        where = wishes.where or access.address
        if known := recognise(facts, self._known):
            raise Refused(
                f"this is {known}, which is in the inventory with another BMC address",
                where=where,
                mend=f"if it moved, correct the address in the bmc of {known}",
            )
        site = site_at(self._inventory, access.address, wishes)
        name = self._name(facts, wishes)
        cluster = _free(name, self._clusters, CLUSTER_NAME)
        host = self._host(access, self._inventory.sites[site], wishes)
        self._servers.add(name)
        self._clusters.add(cluster)
        self._addresses.add(host)
        self._known[name] = learned
        wanted = {
            "site": site,
            "rack": wishes.rack or UNKNOWN_RACK,
            "unit": wishes.unit,
            "profile": wishes.profile or self._profile(),
            "address": host,
        }
        return Place(name, cluster, wanted)

    def _name(self, facts: Facts, wishes: Wishes) -> str:
        if wishes.name is None:
            return _free(proposed_name(facts), self._servers, 40)
        not_taken(wishes.name, self._servers, wishes.where or facts.address)
        return wishes.name

    def _profile(self) -> str:
        profiles = self._inventory.profiles
        return SOLO if SOLO in profiles or not profiles else next(iter(profiles))

    def _host(self, access: BmcAccess, site: Site, wishes: Wishes) -> str:
        """In the management network: the number its BMC has in its own, else the first free."""
        network, bmc = site.subnets.management, ip_of(access.address)
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
