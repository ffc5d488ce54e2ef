"""Each move of a plan asked of the hypervisor before anybody agrees to it."""

from collections.abc import Iterable

from metal.controller.workspace import Workspace
from metal.model.errors import MetalError, Refused
from metal.model.plan import DrainServer, MigrateVm, Plan


def moves_of(plan: Plan) -> list[MigrateVm]:
    """Those in drains too."""
    drained = [m for a in plan.actions if isinstance(a, DrainServer) for m in a.moves]
    return [*(a for a in plan.actions if isinstance(a, MigrateVm)), *drained]


def obstacles(workspace: Workspace, moves: Iterable[MigrateVm]) -> dict[str, tuple[str, ...]]:
    """VM → what keeps it from moving where it is to go. Who cannot be asked is an obstacle, too."""
    found: dict[str, tuple[str, ...]] = {}
    for move in moves:
        try:
            said = workspace.hypervisor(move.cluster).obstacles(move.vmid, move.target)
        except MetalError as error:
            said = (f"nobody can be asked: {error.what}",)
        if said:
            found[move.vm] = said
    return found


def cleared(workspace: Workspace, plan: Plan) -> Plan:
    """The same plan; Refused, naming each obstacle, where a move of it would fail."""
    moves = moves_of(plan)
    found = obstacles(workspace, moves)
    if found:
        to = {m.vm: m.target for m in moves}
        lines = "\n".join(f"  {vm} to {to[vm]}: {'; '.join(said)}" for vm, said in found.items())
        raise Refused(
            f"{len(found)} of {len(moves)} moves would fail:\n{lines}",
            mend="mend that, and plan again",
        )
    return plan
