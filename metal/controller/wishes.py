"""What a person says of servers, held against the inventory before any BMC is asked.

What is wrong with a name, a site or a profile needs no BMC to be seen; and of a server that the
inventory has already, inventory.toml alone says what it is called and where it stands.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metal.enroll.handover import HTTPS, slug
from metal.inventory.mistakes import suggest
from metal.model.addresses import ip_of
from metal.model.errors import BadInput, MetalError, Refused
from metal.model.fleet import NAME, OUTSIDE, Inventory

if TYPE_CHECKING:
    from metal.controller.targets import Target


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
    written: str | None = None
    """What that line calls it, where that had to be spelled another way to be a host name."""


def check(inventory: Inventory | None, wishes: Wishes) -> None:
    """BadInput for an option that no server can be given; without an inventory only for a name."""
    if wishes.name is not None and not re.fullmatch(NAME, wishes.name):
        near = slug(wishes.name)
        raise BadInput(
            "is no name for a server: it becomes its host name",
            where=f"--name {wishes.name!r}",
            mend=f"such as {near}" if near else "lower-case letters, digits and hyphens",
        )
    if inventory is None:
        return
    if wishes.site is not None:
        named_site(inventory, wishes.site, f"--site {wishes.site}")
    if wishes.profile is not None and wishes.profile not in inventory.profiles:
        raise BadInput(
            f"there is no profile {wishes.profile}",
            where=f"--profile {wishes.profile}",
            mend=suggest(wishes.profile, inventory.profiles, "profile"),
        )


@dataclass(frozen=True)
class Objection:
    """A target that cannot be enrolled as a person wants it, and why."""

    target: "Target"
    error: MetalError


def objections(
    inventory: Inventory, targets: Iterable["Target"], *, dry_run: bool
) -> list[Objection]:
    """Of new servers. A dry run looks also at what no site has the address of."""
    known = {(s.bmc.address.lower(), s.bmc.port or HTTPS) for s in inventory.servers.values()}
    called: dict[str, Target] = {}
    found = []
    for target in targets:
        if target.server or (target.address, target.port or HTTPS) in known:
            continue  # of a chassis that is known only its nodes can tell which of them are new
        try:
            _possible(inventory, target, called, dry_run)
        except MetalError as error:
            found.append(Objection(target, error))
    return found


def _possible(
    inventory: Inventory, target: "Target", called: dict[str, "Target"], dry_run: bool
) -> None:
    wishes = target.wishes
    where = wishes.where or target.label
    if wishes.name is not None:
        not_taken(wishes.name, {*inventory.servers, *inventory.vms}, where)
        if other := called.get(wishes.name):
            raise Refused(
                f"{other.wishes.where or other.label} is to be called {wishes.name} too",
                where=where,
                mend="give one of them another name",
            )
        called[wishes.name] = target
    if wishes.site is not None or not dry_run:
        site_at(inventory, target.address, wishes)


def not_taken(name: str, taken: set[str], where: str) -> None:
    """Refused when a server or a VM is called that, or none can be."""
    if name == OUTSIDE:
        raise Refused(
            f"{OUTSIDE} is where Tang servers of others run: no server can be called so",
            where=where,
            mend="give it another name",
        )
    if name in taken:
        raise Refused(
            f"there is a {name} in the inventory already",
            where=where,
            mend="give it another name, or correct the address of that one's BMC",
        )


def unheard(inventory: Inventory, target: "Target") -> tuple[str, ...]:
    """What was said of the target and is not used, and a name that had to be written another
    way."""
    wishes, name = target.wishes, target.server
    of = f" of {wishes.where}" if wishes.where else ""
    if name is None:
        return _spelled(wishes, of)
    server, said = inventory.servers[name], []
    at = target.address or "it"
    if wishes.name not in (None, name, *inventory.behind(name)):
        said.append(f"{at} is {name} already: the name {wishes.name}{of} is not used")
    stands = (
        ("site", wishes.site, server.site),
        ("rack", wishes.rack, server.rack),
        ("unit", wishes.unit, server.unit),
        ("profile", wishes.profile, server.profile),
    )
    said += [
        f"{at} is in the inventory already: the {key} {wish}{of} is not used, "
        f"inventory.toml has {has if has is not None else 'none'}"
        for key, wish, has in stands
        if wish is not None and str(wish).casefold() != str(has).casefold()
    ]
    return tuple(said)


def _spelled(wishes: Wishes, of: str) -> tuple[str, ...]:
    if wishes.written is None:
        return ()
    so = f"called {wishes.name}" if wishes.name else "named by maker and serial number"
    return (f"{wishes.written!r}{of} is no host name, so it is {so}",)


def site_at(inventory: Inventory, address: str, wishes: Wishes) -> str:
    """The site that is wished for, else the one whose BMC network has the address; BadInput if
    there is none."""
    where = wishes.where or address
    if wishes.site is not None:
        return named_site(inventory, wishes.site, where)
    at = ip_of(address)
    for name, site in inventory.sites.items():
        if at is not None and at in site.subnets.bmc:
            return name
    raise BadInput(
        "no site of the inventory has this address in its `bmc` subnet",
        where=where,
        mend="name the site it stands at: --site NAME, or correct the site's subnets",
    )


def named_site(inventory: Inventory, wanted: str, where: str) -> str:
    """As the inventory spells it; BadInput if it has none of that name."""
    named = {name.casefold(): name for name in inventory.sites}.get(wanted.casefold())
    if named is None:
        raise BadInput(
            f"there is no site {wanted}",
            where=where,
            mend=suggest(wanted, inventory.sites, "site"),
        )
    return named
