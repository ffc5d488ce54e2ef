"""Which wishes stand in the way of VMs without a place: the fewest that must be dropped.

Each candidate set of wishes is left out of the inventory and everything is placed anew, sets of
one before sets of two; where those do not do it, all wishes of the VMs without a place, and then
as many of them as can be had come back. What a person then drops is theirs to choose; nothing is
dropped here.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from metal.model.fleet import Inventory
from metal.model.world import World
from metal.schedule.place import Placement, place

LARGEST = 2
"""So many of all wishes are tried together."""
WORK = 20_000
"""VMs placed over all attempts."""


@dataclass(frozen=True, order=True)
class Wish:
    """One line of [vms.VM]."""

    vm: str
    key: str
    value: str
    """As it stands there."""

    def __str__(self) -> str:
        return f"`{self.key} = {self.value}` of {self.vm}"


DROPPED: dict[str, Any] = {
    "cluster": None,
    "apart": None,
    "apart_by": "server",
    "together": (),
    "cpu": None,
    "ipv4": "ipv6",
}
"""What a wish is where nobody has it."""


def in_the_way(
    inventory: Inventory,
    world: World,
    ready: Collection[str],
    forming: Collection[str],
    found: Placement,
) -> tuple[Wish, ...]:
    """The fewest wishes without which every VM has a place. Where no two do it, of the wishes of
    those without a place as many as it takes: not with any one of them back. None where even that
    does not do it, where clusters are not ready, or where it would take too long to find out."""
    left = [u.vm for u in found.unplaced]
    if not left or any(room.closed for room in found.fleet.rooms.values()):
        return ()
    wishes = list(_wishes(inventory, world, left))
    attempts = WORK // max(1, len(inventory.vms))

    def does(dropped: Collection[Wish]) -> bool:
        return not place(without(inventory, dropped), world, ready, forming).unplaced

    for size in range(1, min(LARGEST, len(left)) + 1):
        for dropped in combinations(wishes, size):
            attempts -= 1
            if attempts < 0:
                return ()
            if does(dropped):
                return dropped
    theirs = tuple(wish for wish in wishes if wish.vm in left)
    if len(theirs) <= LARGEST or len(theirs) > attempts or not does(theirs):
        return ()
    for wish in reversed(theirs):
        fewer = tuple(other for other in theirs if other != wish)
        theirs = fewer if does(fewer) else theirs
    return theirs


def without(inventory: Inventory, wishes: Collection[Wish]) -> Inventory:
    """The inventory as if these had never been written."""
    vms = dict(inventory.vms)
    for wish in wishes:
        vms[wish.vm] = vms[wish.vm].model_copy(update={wish.key: DROPPED[wish.key]})
    return inventory.model_copy(update={"vms": vms})


def _wishes(inventory: Inventory, world: World, left: Collection[str]) -> Iterator[Wish]:
    """Those of the VMs without a place first, then of others that are placed with them."""
    groups = {inventory.vms[vm].apart for vm in left} - {None}
    pins = {inventory.vms[vm].cluster for vm in left} - {None}
    company = {other for vm in left for other in inventory.vms[vm].together}
    for vm in left:
        yield from _of(inventory, vm, DROPPED)
    for vm, wanted in inventory.vms.items():
        if vm in left or vm in world.vms:
            continue
        keys = ["apart"] if wanted.apart in groups else []
        keys += ["cluster"] if wanted.cluster in pins else []
        keys += ["together"] if vm in company or set(wanted.together) & set(left) else []
        yield from _of(inventory, vm, keys)


def _of(inventory: Inventory, vm: str, keys: Collection[str]) -> Iterator[Wish]:
    for key in keys:
        value = getattr(inventory.vms[vm], key)
        if value != DROPPED[key]:
            many = isinstance(value, tuple)
            said = ", ".join(f'"{v}"' for v in (value if many else (value,)))
            yield Wish(vm, key, f"[{said}]" if many else said)
