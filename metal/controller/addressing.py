"""Addresses of the fleet as it is seen and planned: the budget of every site."""

from collections.abc import Sequence
from dataclasses import dataclass

from metal.controller.planning import plan_fleet
from metal.model.errors import BadInput
from metal.model.fleet import Inventory
from metal.model.plan import PlaceVm
from metal.model.world import World
from metal.network.worth import SiteWorth, worth


@dataclass(frozen=True)
class Homes:
    """Where every VM is, will be, or is pinned to."""

    at: dict[str, str]
    """VM → cluster."""
    nowhere: tuple[str, ...]
    """VMs that nobody placed yet and that are pinned to no cluster."""


def find_homes(inventory: Inventory, world: World) -> Homes:
    """Seen first, then planned, then pinned."""
    at = {vm: wanted.cluster for vm, wanted in inventory.vms.items() if wanted.cluster}
    at |= {a.vm: a.cluster for a in plan_fleet(inventory, world).actions if isinstance(a, PlaceVm)}
    at |= {vm: seen.cluster for vm, seen in world.vms.items() if vm in inventory.vms}
    known = {vm: at[vm] for vm in inventory.vms if vm in at and at[vm] in inventory.clusters}
    return Homes(known, tuple(vm for vm in inventory.vms if vm not in known))


def chosen_sites(inventory: Inventory, site: str | None) -> Sequence[str]:
    """All, or the one named; BadInput when there is none of that name."""
    if site is None:
        return list(inventory.sites)
    if site not in inventory.sites:
        known = ", ".join(inventory.sites)
        raise BadInput("no such site", where=site, mend=f"the inventory has {known}")
    return [site]


def ipv4_worth(
    inventory: Inventory, world: World, homes: Homes, site: str | None = None
) -> list[SiteWorth]:
    """Every site's budget; the site that gains most by another address comes first."""
    current = {vm: seen.addresses for vm, seen in world.vms.items()}
    found = [worth(inventory, s, homes.at, current) for s in chosen_sites(inventory, site)]
    return sorted(found, key=lambda w: (-w.gain.priority, w.site))
