"""`metal evacuate`: the plan of leaving a site or cluster, and what was erased there already."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Any

from pydantic import ValidationError

from metal.controller.workspace import Workspace
from metal.model.erasure import Erasure
from metal.model.errors import BadInput
from metal.model.fleet import Inventory
from metal.model.world import World
from metal.network.addresses import plan_addresses
from metal.schedule.evacuate import Departure, Evacuation, HandBack, evacuate
from metal.schedule.missing import Missing, missing


def evacuation(
    workspace: Workspace,
    world: World,
    name: str,
    *,
    begin: date | None = None,
    by: date | None = None,
    mbit: int | None = None,
) -> tuple[Evacuation, tuple[Missing, ...]]:
    """(the plan, what room is missing). It begins now when `begin` is None; `by` is the last day.

    BadInput for a name that is neither a site nor a cluster.
    """
    inventory = workspace.inventory
    if name not in inventory.sites and name not in inventory.clusters:
        known = ", ".join((*inventory.sites, *inventory.clusters))
        raise BadInput("no such site or cluster", where=name, mend=f"the inventory has {known}")
    now = datetime.fromtimestamp(workspace.store.database.clock.wall(), UTC).replace(tzinfo=None)
    start = datetime.combine(begin, time()) if begin else now.replace(microsecond=0)
    end = datetime.combine(by, time.max) if by else None
    found = evacuate(inventory, world, name, start, end, mbit)
    short = missing(inventory, world, name) if found.relocation.stranded else ()
    return found, short


def unwiped(workspace: Workspace, backs: Iterable[HandBack]) -> dict[str, tuple[str, ...]]:
    """Server → disks that must be erased and of which there is no record yet."""
    done = {(r.server, r.disk_serial) for r in _records(workspace) if r.result == "erased"}
    return {b.server: tuple(d for d in b.wipe if (b.server, d) not in done) for b in backs}


def _records(workspace: Workspace) -> Iterable[Erasure]:
    for file in sorted((workspace.folder / "erasures").glob("*.json")):
        try:
            yield Erasure.model_validate_json(file.read_bytes())
        except (ValidationError, OSError):
            continue  # no record that could prove anything


def new_addresses(inventory: Inventory, world: World, vm: str) -> tuple[str, ...]:
    """What a VM is to be given where it is now, beside what it has already."""
    wanted = inventory.vms.get(vm)
    if wanted is None:
        return ()
    # One that was adopted brought its addresses along; at another site they lead nowhere.
    chosen = wanted.model_copy(update={"adopted": None})
    anew = inventory.model_copy(update={"vms": inventory.vms | {vm: chosen}})
    given = plan_addresses(
        anew,
        homes={v: seen.cluster for v, seen in world.vms.items() if anew.chosen(v)},
        current={v: seen.addresses for v, seen in world.vms.items()},
        shared={v: seen.shared for v, seen in world.vms.items() if seen.shared},
    ).given.get(vm)
    if given is None:
        return ()
    own = (given.private_ipv4, given.public_ipv4, given.ipv6)
    return tuple(a for a in own if a and a not in world.vms[vm].addresses)


def document(
    found: Evacuation, short: Iterable[Missing], owed: dict[str, tuple[str, ...]]
) -> dict[str, Any]:
    """`metal evacuate -o json`."""
    return {
        "name": found.name,
        "by": found.by and found.by.isoformat(),
        "ends": found.ends and found.ends.isoformat(),
        "gib": found.gib,
        "moves": [_move(d) for d in found.departures],
        "stranded": [vars(u) for u in found.relocation.stranded],
        "missing": [vars(m) for m in short],
        "unmanaged": found.relocation.unmanaged,
        "unpinned": found.relocation.unpinned,
        "late": found.late,
        "unknown_uplinks": found.unknown,
        "tang": found.helpers,
        "warnings": found.warnings,
        "hand_back": [vars(b) | {"unwiped": owed[b.server]} for b in found.hand_back],
    }


def _move(departure: Departure) -> dict[str, Any]:
    begins, ends = departure.begins, departure.ends
    times = {"begins": begins and begins.isoformat(), "ends": ends and ends.isoformat()}
    return vars(departure) | times | {"hours": departure.hours}
