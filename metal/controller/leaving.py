"""`metal evacuate --act`: the plan that was agreed to, carried out over days."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from metal.controller.ageing import carried_out
from metal.controller.evacuating import new_addresses
from metal.controller.look import look
from metal.controller.moving import KIND as MOVE
from metal.controller.moving import begun_move, move, order_of
from metal.controller.progress import Progress, silent
from metal.controller.workspace import Workspace
from metal.heal.leaving import VERSION, Leaving, LeavingPorts, Leg, leave
from metal.model.errors import Refused, Unreachable
from metal.model.life import Status
from metal.model.world import World
from metal.operations.journal import Operation
from metal.operations.leading import Term
from metal.schedule.evacuate import Departure, Evacuation
from metal.schedule.wishes import members, together_sets
from metal.schedule.withdraw import leaving

KIND = "evacuate --act"
"""Of operations, and what the command is called that goes on with one."""

Look = Callable[[], World]


def begun(workspace: Workspace, name: str) -> tuple[Leaving, Operation] | None:
    """The evacuation that is open, as it was agreed to."""
    for operation in workspace.store.journal.list(open_only=True):
        if operation.kind == KIND and operation.subject == name:
            return Leaving.model_validate(operation.params["order"]), operation
    return None


def left_behind(workspace: Workspace) -> Leaving | None:
    """An evacuation that has not failed and that nobody runs any more.

    None while anybody runs a move: its process may have died with the evacuation's, and its
    lease may end a moment later.
    """
    opened = workspace.store.journal.list(open_only=True)
    if any(o.kind == MOVE and o.alive for o in opened):
        return None
    for operation in opened:
        if operation.kind == KIND and operation.status is Status.RUNNING and not operation.alive:
            return Leaving.model_validate(operation.params["order"])
    return None


def order_to_leave(workspace: Workspace, found: Evacuation) -> Leaving:
    """The plan as it is kept; Refused where a part of it cannot be carried out by metal."""
    if found.unknown:
        raise Refused(
            f"nobody told what the uplink of {', '.join(found.unknown)} carries",
            where=found.name,
            mend="write `mbit` under the site's donor, or give --mbit",
        )
    _, clusters = leaving(workspace.inventory, found.name)
    for cluster in sorted(clusters | {d.cluster for d in found.departures}):
        workspace.proxmox(cluster)  # Refused where it is none of Proxmox's
    sets = together_sets(workspace.inventory.vms)
    company = members(sets)
    legs: list[Leg] = []
    for departure in found.departures:
        mates = company.get(sets.get(departure.vm, ""), ())
        before = tuple(leg.vm for leg in legs if leg.vm in mates)
        legs.append(_leg(departure, before))
    return Leaving(name=found.name, legs=tuple(legs))


def _leg(departure: Departure, before: tuple[str, ...]) -> Leg:
    assert departure.begins is not None and departure.mbit is not None  # else it was refused
    return Leg(
        vm=departure.vm,
        cluster=departure.cluster,
        server=departure.server,
        gib=departure.gib,
        mbit=max(1, int(departure.mbit)),
        begins=departure.begins.replace(tzinfo=UTC).timestamp(),
        after=before,
    )


def carry_out(
    workspace: Workspace,
    order: Leaving,
    progress: Progress,
    *,
    see: Look | None = None,
    term: Term | None = None,
) -> dict[str, Any]:
    """What became of each VM; Failed saying which did not go, and how to go on."""
    servers, clusters = leaving(workspace.inventory, order.name)
    ports = LeavingPorts(
        now=workspace.store.database.clock.wall,
        bring=partial(_bring, workspace, servers, see or partial(look, workspace), term),
        every=workspace.inventory.fleet.poll_seconds,
    )
    return carried_out(
        workspace,
        KIND,
        order.name,
        (f"evacuation {order.name}", *(f"cluster {c}" for c in sorted(clusters))),
        lambda run: leave(run, order, ports),
        progress,
        VERSION,
        {"order": order.model_dump(mode="json")},
        term,
    )


def _bring(
    workspace: Workspace, servers: set[str], see: Look, term: Term | None, leg: Leg
) -> dict[str, Any]:
    """It is asked anew whether every server may die with it there: days have passed."""
    world, opened = see(), begun_move(workspace, leg.vm, leg.cluster)
    was = world.vms.get(leg.vm)
    if opened is None:
        if was is None:
            raise _not_seen(workspace, world, leg.vm)
        if was.server not in servers:
            return told(workspace, world, leg.vm)  # it went before, by us or by somebody
        opened = order_of(
            workspace,
            world,
            leg.vm,
            leg.cluster,
            None,
            copy=False,
            rather=leg.server,
            limit_mbit=leg.mbit,
        )
    move(workspace, opened, silent, term)
    return told(workspace, see(), leg.vm)


def _not_seen(workspace: Workspace, world: World, vm: str) -> Refused | Unreachable:
    quiet = [c for c in workspace.inventory.clusters if not world.clusters[c].formed]
    if quiet:
        return Unreachable(f"nobody shows it, and {', '.join(quiet)} did not answer", where=vm)
    return Refused("no cluster shows it any more", where=vm, mend="is it removed? `metal look`")


def told(workspace: Workspace, world: World, vm: str) -> dict[str, Any]:
    """Where it is now, and what is left for a person to do."""
    seen = world.vms.get(vm)
    if seen is None:
        return {"todo": f"{vm} went, and its new cluster does not show it yet: `metal look`"}
    addresses = new_addresses(workspace.inventory, world, vm)
    todo = f"{vm} is in {seen.cluster}, on {seen.server}"
    if addresses:
        todo += f": give it {', '.join(addresses)}, and its names"
    return {
        "cluster": seen.cluster,
        "server": seen.server,
        "had": list(seen.addresses),
        "give": list(addresses),
        "at": datetime.fromtimestamp(workspace.store.database.clock.wall(), UTC).isoformat(),
        "todo": todo,
    }
