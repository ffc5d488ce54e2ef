"""`metal balance`: the plan, within what is left of the day's moves, judged cluster by cluster."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from metal.controller.moving import KIND as MOVE
from metal.controller.preflight import obstacles
from metal.controller.workspace import Workspace
from metal.model.fleet import Inventory
from metal.model.laws import judge
from metal.model.life import Status
from metal.model.plan import MigrateVm, Plan, fingerprint
from metal.model.world import World
from metal.schedule.balance import Balance, Evened, balance

DAY_SECONDS = 86_400.0
SUBJECTS: dict[str, Callable[[str], str]] = {
    "migrate": lambda subject: subject.partition(":")[2],
    MOVE: lambda subject: subject.partition(" ")[0],
}
"""How operations that move a VM name it."""
UNPROVEN = "its moves could not be proven lawful one by one"


def moved_lately(workspace: Workspace) -> dict[str, int]:
    """VM → how often it was moved by itself within a day, drains and recoveries aside; to another
    cluster, too, by whomever."""
    store = workspace.store
    with store.database.read() as conn:
        since = store.database.now(conn) - DAY_SECONDS
    found: dict[str, int] = {}
    for operation in store.journal.list():
        if operation.status is Status.CANCELLED or operation.created < since:
            continue
        if operation.kind in SUBJECTS:
            vm = SUBJECTS[operation.kind](operation.subject)
            found[vm] = found.get(vm, 0) + 1
    return found


def left_today(workspace: Workspace, lately: Mapping[str, int]) -> int:
    """Of the fleet's `moves_a_day`."""
    return max(0, workspace.inventory.balance.moves_a_day - sum(lately.values()))


def balance_plan(
    workspace: Workspace, world: World, moves: int | None = None, *, ask: bool = False
) -> tuple[Plan, Balance]:
    """The plan, and what becomes of each cluster. `moves` stands for what is left of the day's.

    `ask`: the hypervisors, of each move. A VM that would not get through stays, and the rest is
    planned anew.
    """
    lately = moved_lately(workspace)
    left = left_today(workspace, lately)
    budget = left if moves is None else moves
    staying: dict[str, tuple[str, ...]] = {}
    while True:
        found = balance(workspace.inventory, world, budget, {*lately, *staying})
        found = proven(workspace.inventory, world, found)
        stuck = obstacles(workspace, found.moves) if ask else {}
        if not stuck:
            break
        staying |= stuck
    warnings = [f"{vm} stays: {'; '.join(said)}" for vm, said in staying.items()]
    if moves is None and not left:
        warnings.append("the day's moves are used up: moves_a_day in [balance], or --moves N")
    plan = _plan(workspace.inventory, world, found.moves)
    return plan.model_copy(update={"warnings": tuple(warnings)}), found


def proven(inventory: Inventory, world: World, found: Balance) -> Balance:
    """Without the clusters in whose moves the judge finds a breach: it counts more finely."""
    clusters: list[Evened] = []
    for one in found.clusters:
        own = tuple(m for m in found.moves if m.cluster == one.cluster)
        if own and judge(_plan(inventory, world, own), inventory, world):
            one = replace(one, after=one.before, moves=0, mended=(), why=UNPROVEN)
        clusters.append(one)
    kept = {c.cluster for c in clusters if c.moves}
    return Balance(tuple(m for m in found.moves if m.cluster in kept), tuple(clusters))


def _plan(inventory: Inventory, world: World, moves: tuple[MigrateVm, ...]) -> Plan:
    return Plan(fingerprint=fingerprint(inventory, world), actions=moves)
