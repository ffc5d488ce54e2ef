"""One plan of all stages: installs, then clusters, then VMs, then the judge."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

from metal.cluster.networks import left_networks, plan_networks, plan_rings
from metal.cluster.plan import contradictions, plan_clusters
from metal.controller.workspace import Workspace
from metal.install.plan import plan_installs
from metal.inventory.mistakes import refuse_unknown
from metal.model.errors import BadInput, Refused
from metal.model.fleet import Inventory
from metal.model.laws import judge
from metal.model.plan import (
    Action,
    DrainServer,
    PlaceVm,
    Plan,
    Risk,
    TellHa,
    count,
    fingerprint,
)
from metal.model.world import World
from metal.schedule.moves import drain_moves
from metal.schedule.plan import VmAction, plan_vms
from metal.schedule.terms import clusters_over, without_closing
from metal.schedule.wishes import plan_wishes


def plan_fleet(inventory: Inventory, world: World, today: date | None = None) -> Plan:
    """What takes the world seen to the inventory wanted; pure, and not judged yet.

    With `today` nothing new is placed at sites that are given back soon but what names them, and
    nothing at all where the last day has passed.
    """
    installs, install_warnings = plan_installs(inventory, world)
    forms = plan_clusters(inventory, world, frozenset(a.server for a in installs))
    formed = {name for name, seen in world.clusters.items() if seen.formed}
    formed -= clusters_over(inventory, today) if today else set()
    open_to, term_warnings = without_closing(inventory, today) if today else (inventory, ())
    vms, vm_warnings = plan_vms(
        open_to,
        world,
        frozenset(formed | {f.cluster for f in forms}),
        {f.cluster: f.id for f in forms},
    )
    networks = plan_networks(inventory, world, {f.cluster for f in forms})
    rings = plan_rings(inventory, world, {f.cluster for f in forms}, networks)
    wishes = plan_wishes(inventory, world, {f.cluster for f in forms})
    return Plan(
        fingerprint=fingerprint(inventory, world),
        actions=(*installs, *forms, *networks, *rings, *wishes, *_after(vms, wishes)),
        warnings=(
            *install_warnings,
            *contradictions(inventory, world),
            *vm_warnings,
            *term_warnings,
            *left_networks(inventory, world),
        ),
    )


def _after(vms: Sequence[VmAction], wishes: Sequence[TellHa]) -> list[VmAction]:
    """New VMs after what HA is told of those that are there: their own wishes join those."""
    told = {action.cluster: action.id for action in wishes}
    return [
        vm.model_copy(update={"needs": (*vm.needs, told[vm.cluster])})
        if isinstance(vm, PlaceVm) and vm.cluster in told
        else vm
        for vm in vms
    ]


def make_plan(workspace: Workspace, world: World) -> Plan:
    """The judged plan for this world; Refused when it would break a law."""
    today = today_of(workspace)
    plan = plan_fleet(workspace.inventory, world, today)
    return judged(plan, workspace.inventory, world, today)


def today_of(workspace: Workspace) -> date:
    """The day by the clock of the workspace, in UTC."""
    return datetime.fromtimestamp(workspace.store.database.clock.wall(), UTC).date()


def drain_plan(workspace: Workspace, world: World, server: str) -> Plan:
    """Empty one server, most important VMs first; judged."""
    inventory = workspace.inventory
    refuse_unknown(server, inventory.servers, "server")
    return alone(inventory, world, drain_action(inventory, world, server))


def drain_action(inventory: Inventory, world: World, server: str) -> DrainServer:
    """The drain of one server; Refused, with every reason, if a VM of it has nowhere to go."""
    moves = drain_moves(inventory, world, server)
    cluster = inventory.cluster_of(server)
    if moves.stranded or cluster is None:
        reasons = "; ".join(f"{s.vm}: {s.why}" for s in moves.stranded) or "it is in no cluster"
        raise Refused(
            f"cannot be emptied: {reasons}",
            where=server,
            mend="free memory on its peers, or shut those VMs down first",
        )
    return DrainServer(
        what=f"live-migrate {count(len(moves.moves), 'VM')} off {server} and keep it empty",
        why="asked for",
        risk=Risk.DISRUPTS,
        server=server,
        cluster=cluster,
        moves=moves.moves,
        at_once=inventory.watch.moves_at_once,
        mib_s=inventory.watch.move_mib_s,
    )


def alone(inventory: Inventory, world: World, action: Action) -> Plan:
    """The plan of one action; Refused when the judge finds a breach in it."""
    plan = Plan(fingerprint=fingerprint(inventory, world), actions=(action,))
    return judged(plan, inventory, world)


def judged(plan: Plan, inventory: Inventory, world: World, today: date | None = None) -> Plan:
    """The same plan; Refused, naming each breach, when the judge finds one."""
    breaches = judge(plan, inventory, world, today)
    if breaches:
        lines = "\n".join(f"  {b.law}: {b.subject}: {b.what}" for b in breaches)
        raise Refused(
            f"the plan would break {len(breaches)} laws:\n{lines}",
            mend="change what the inventory asks for; this is never applied",
        )
    return plan


def in_order(actions: Sequence[Action]) -> list[Action]:
    """Sorted so that every action comes after what it needs; BadInput on a circle."""
    known = {a.id for a in actions}
    done: set[str] = set()
    left, ordered = list(actions), []
    while left:
        ready = [a for a in left if not (set(a.needs) & known) - done]
        if not ready:
            raise BadInput("the plan's actions wait for each other", mend="make a new plan")
        ordered += ready
        done |= {a.id for a in ready}
        left = [a for a in left if a.id not in done]
    return ordered
