"""Why a VM has no home, cluster by cluster, and what would mend it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from metal.model.fleet import Inventory
from metal.schedule.capacity import LENT, UNFORMED, Fleet, Room
from metal.schedule.survival import UNIT_MIB, Item
from metal.schedule.terms import too_much_traffic
from metal.schedule.wishes import shared_scope


@dataclass(frozen=True)
class Unplaced:
    """A VM that goes nowhere, why, and what would mend it."""

    vm: str
    why: str
    mend: str

    def __str__(self) -> str:
        return f"{self.vm} is not placed: {self.why} → {self.mend}"


def explain(
    inventory: Inventory,
    fleet: Fleet,
    item: Item,
    rooms: Sequence[Room],
    mates: Collection[str],
) -> tuple[str, str]:
    """(why, mend) of VMs that go together. `mates`: clusters of the placed others of its group."""
    whys: dict[str, list[str]] = {}
    mends: dict[str, None] = {}
    for room in rooms:
        why, mend = _why_not(inventory, fleet, item, room, mates)
        whys.setdefault(why, []).append(room.name)
        mends[mend] = None
    if not whys:
        return (
            "there is no cluster of several servers for it that takes VMs unasked",
            "pin it to a cluster (to a solo machine only with a replica elsewhere, `apart`, or "
            "`may_wait`)",
        )
    text = "; ".join(f"{', '.join(names)}: {why}" for why, names in whys.items())
    return text, " or ".join(list(mends)[:3])


def _opens(room: Room) -> str:
    if room.closed == LENT:
        return f"ask the donor of {room.site} for longer, or pin it to another cluster"
    return f"{'form' if room.closed == UNFORMED else 'mend'} {room.name} first"


def _waits(inventory: Inventory, item: Item) -> bool:
    return all(inventory.vms[guest.name].may_wait for guest in item.guests)


def _why_not(
    inventory: Inventory,
    fleet: Fleet,
    item: Item,
    room: Room,
    mates: Collection[str],
) -> tuple[str, str]:
    names = "it" if len(item.guests) == 1 else "them"
    if room.closed:
        return room.closed, _opens(room)
    if room.alone and all(mate == room.name for mate in mates) and not _waits(inventory, item):
        whose = "a machine on its own" if room.solo else "a cluster without shared storage"
        return (
            f"{whose} takes only VMs with a replica elsewhere",
            "give it an `apart` group with a VM in another cluster, unpin it, or let it wait "
            "(`may_wait`)",
        )
    if room.last:
        return (
            f"its other servers are retired, and nothing restarts what ran on {room.last}",
            f"add a server to {room.name}, or take the retired ones out of its `servers`",
        )
    why = room.refuses(item)
    if why.endswith("not known"):
        return why, f"list the disks of the servers of {room.name} under `learned`"
    if why:
        return why, f"give {names} less or {room.name} more"
    vms = [g.name for g in item.guests]
    why = too_much_traffic(inventory, fleet.traffic, room.site, vms)
    if why:
        return f"{room.site}: {why}", f"ask the donor of {room.site} for more traffic"
    for guest in item.guests:
        shared = shared_scope(inventory, guest.name, room.name, mates)
        if shared:
            by = inventory.vms[guest.name].apart_by
            text = f"its group {guest.apart!r} is to be apart by {by}, and has a VM at {shared}"
            return text, f"add another {by}, or let the group be apart by less"
        why = fleet.ledgers[room.site].refuses(guest.name)
        if why:
            return f"{room.site}: {why}", _address_mend(guest.name, room.site)
    return _no_server(item, room, names)


def _no_server(item: Item, room: Room, names: str) -> tuple[str, str]:
    reasons = {host.name: host.refuses(item) for host in room.hosts.values()}
    gib = item.memory * UNIT_MIB / 1024
    mend = f"free {gib:g} GiB of memory there, or give {names} a smaller size"
    if not all(reasons.values()):
        return "with it the death of one server could not be survived", mend
    distinct = list(dict.fromkeys(reasons.values()))
    if any("processor" in why for why in distinct):
        mend = f"give {names} an older `cpu`, or tell the servers' `cpu_type` under `learned`"
    if len(distinct) == 1:
        return f"{distinct[0]} on any server", mend
    return ", ".join(f"{server} {why}" for server, why in reasons.items()), mend


def _address_mend(vm: str, site: str) -> str:
    return f"add addresses to sites.{site}.ipv4_pool, or give {vm} a lighter ipv4 treatment"
