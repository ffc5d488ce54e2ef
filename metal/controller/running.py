"""Operations as people see them: list, show, resume, cancel."""

from collections.abc import Callable

from metal.cluster.crossing import Crossing
from metal.controller import leaving, moving, rebuilding
from metal.controller.applying import apply
from metal.controller.flows import action_of
from metal.controller.performing import perform_shown
from metal.controller.progress import Progress
from metal.controller.serving import boot_service
from metal.controller.workspace import Workspace
from metal.heal.leaving import Leaving
from metal.heal.rebuilding import Rebuilding
from metal.model.errors import Failed, Refused
from metal.model.life import Status
from metal.model.plan import InstallServer
from metal.operations.journal import Operation


def _leave(workspace: Workspace, operation: Operation, progress: Progress) -> None:
    leaving.carry_out(workspace, Leaving.model_validate(operation.params["order"]), progress)


def _rebuild(workspace: Workspace, operation: Operation, progress: Progress) -> None:
    rebuilding.carry_out(workspace, Rebuilding.model_validate(operation.params["order"]), progress)


def _move(workspace: Workspace, operation: Operation, progress: Progress) -> None:
    moving.move(workspace, Crossing.model_validate(operation.params["order"]), progress)


BY_ORDER: dict[str, Callable[[Workspace, Operation, Progress], None]] = {
    leaving.KIND: _leave,
    moving.KIND: _move,
    rebuilding.KIND: _rebuild,
}
"""Kind → how to go on with one that keeps its own order of what is to be done."""


def list_runs(workspace: Workspace, *, everything: bool = False) -> list[Operation]:
    """Open operations, newest last; all of them when asked."""
    return workspace.store.journal.list(open_only=not everything)


def show_run(workspace: Workspace, number: int) -> Operation:
    """One operation with its steps; BadInput if there is none of that number."""
    return workspace.store.journal.show(number)


def cancel_run(workspace: Workspace, number: int) -> None:
    """Give an operation up and release what it claims. Refused while somebody runs it."""
    journal = workspace.store.journal
    operation = journal.show(number)
    if operation.kind == moving.KIND and operation.open and not operation.alive:
        moving.give_up(workspace, operation)
    journal.cancel(number)
    workspace.store.requests.withdraw(number)
    if operation.kind == "apply":
        workspace.store.plans.abandon()


def resume_run(workspace: Workspace, number: int, progress: Progress) -> None:
    """Go on with an operation where it stands; raises what it fails with."""
    operation = workspace.store.journal.show(number)
    if operation.status in (Status.DONE, Status.CANCELLED):
        raise Refused(f"it is {operation.status}", where=f"operation {number}")
    if operation.kind == "apply":
        outcome = apply(workspace, None, progress=progress)
        if outcome.failed:
            raise Failed(outcome.complaint, where=operation.subject)
        return
    if operation.kind in BY_ORDER:
        BY_ORDER[operation.kind](workspace, operation, progress)
        return
    if "action" not in operation.params:
        raise Refused(
            f"{operation.kind} is resumed by its own command",
            where=f"operation {number}",
            mend=f"run `metal {operation.kind} {operation.subject}` again",
        )
    action = action_of(operation.params["action"])
    serving = boot_service(workspace, isinstance(action, InstallServer))
    with serving:
        why = perform_shown(workspace, number, action, progress)
    if why:
        raise Failed(why, where=f"operation {number}")
