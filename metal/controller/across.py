"""`metal balance --across`: the plan, within what is left of the day's moves; carried out."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from metal.controller.balancing import left_today, moved_lately
from metal.controller.leaving import told
from metal.controller.look import look
from metal.controller.moving import move, order_of
from metal.controller.progress import Progress
from metal.controller.workspace import Workspace
from metal.model.world import World
from metal.schedule.across import Across, Transfer, across


def across_plan(workspace: Workspace, world: World, moves: int | None = None) -> Across:
    """`moves` stands for what is left of the day's."""
    lately = moved_lately(workspace)
    budget = left_today(workspace, lately) if moves is None else moves
    today = datetime.fromtimestamp(workspace.store.database.clock.wall(), UTC).date()
    return across(workspace.inventory, world, budget, today, lately)


def carry_out(
    workspace: Workspace, found: Across, progress: Progress, say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """VM → what became of it. The first that cannot go ends it: what follows was planned with
    it gone. Of each it is asked anew whether every server may die with it there."""
    done: dict[str, dict[str, Any]] = {}
    for step in found.transfers:
        cluster, server = step.target
        world = look(workspace)
        order = order_of(workspace, world, step.vm, cluster, None, copy=False, rather=server)
        move(workspace, order, progress)
        done[step.vm] = told(workspace, look(workspace), step.vm)
        say(done[step.vm]["todo"])
    return done


def call(step: Transfer) -> str:
    """The command that does the same by hand."""
    cluster, server = step.target
    return f"metal move {step.vm} {cluster} --to {server}"


def document(found: Across) -> dict[str, Any]:
    """`metal balance --across -o json`."""
    return asdict(found) | {"calls": [call(step) for step in found.transfers]}
