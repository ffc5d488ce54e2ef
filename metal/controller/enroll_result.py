"""What became of one server that was enrolled."""

from collections.abc import Sequence
from dataclasses import replace

from metal.controller.former import refuse_renamed
from metal.controller.targets import Target, needs_credential
from metal.controller.wishes import Objection, objections
from metal.controller.workspace import Workspace
from metal.model.base import Frozen
from metal.model.errors import MetalError, Refused
from metal.model.facts import Facts
from metal.model.findings import Finding
from metal.model.fleet import Learned
from metal.model.passport import Passport, Route


class EnrollResult(Frozen):
    """What became of one server. `facts` are None when it could not be asked."""

    server: str
    """"" where it is in no inventory; in a dry run what it would be called."""
    address: str
    where: str = ""
    """The line of a list that it was named in; `error` begins with it."""
    ok: bool
    added: bool = False
    """It was not in the inventory before; in a dry run: it would be added."""
    facts: Facts | None = None
    learned: Learned | None = None
    """What is known now: what the BMC told, and what a person wrote where it tells nothing."""
    changes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    unexamined: dict[str, str] = {}
    """id of a finding → why nobody could find out whether it is there."""
    passport: Passport | None = None
    route: Route | None = None
    """How it gets to an installer; None where nothing was proven."""
    notes: tuple[str, ...] = ()
    error: str | None = None
    exit_code: int = 0


def unusable(errors: Sequence[MetalError]) -> list[EnrollResult]:
    """Rows of a hand-over list that name no BMC."""
    return [
        EnrollResult(server="", address=e.where, ok=False, error=str(e), exit_code=e.exit_code)
        for e in errors
    ]


def sound(
    workspace: Workspace | None, targets: Sequence[Target], *, dry_run: bool
) -> tuple[list[Target], list[EnrollResult]]:
    """The targets that may be as a person wants them, and what became of the others."""
    if workspace is None:
        return list(targets), []
    found = objections(workspace.inventory, targets, dry_run=dry_run)
    found += [o for target in targets if (o := _locked_out(workspace, target))]
    bad = {id(one.target) for one in found}
    refused = [
        EnrollResult(
            server=one.target.server or "",
            address=one.target.address if one.target.server else one.target.label,
            ok=False,
            where=one.target.wishes.where,
            error=str(one.error),
            exit_code=one.error.exit_code,
        )
        for one in found
    ]
    return [t for t in targets if id(t) not in bad], refused


def _locked_out(workspace: Workspace, target: Target) -> Objection | None:
    """Whose password is kept under another name; then none that a person gives opens its BMC."""
    if target.server is None or not needs_credential(workspace, replace(target, delivered=())):
        return None
    try:
        refuse_renamed(workspace, target.server)
    except Refused as error:
        return Objection(target, error)
    return None
