"""New passwords for the BMCs of the fleet, each a durable operation, side by side."""

import threading
from collections.abc import Sequence

from metal.controller.bmcs import Told, each
from metal.controller.examining import keep_finding
from metal.controller.progress import Progress
from metal.controller.workspace import Workspace
from metal.drivers.bmc import connect
from metal.enroll import rotate
from metal.model.findings import Finding
from metal.model.life import Status
from metal.operations.run import perform

KIND = "bmc rotate"
"""Also how the command is called that goes on with it."""


def rotate_all(workspace: Workspace, groups: Sequence[list[str]], progress: Progress) -> list[Told]:
    """A new password for each BMC; all servers behind it share that one."""

    def one(names: list[str], stop: threading.Event) -> list[Told]:
        return _rotated(workspace, names, stop)

    def failed(server: str, error: str, code: int) -> Told:
        return Told(server=server, error=error, exit_code=code)

    assert workspace.store and workspace.secrets  # opened here, not by many threads at once
    return each(groups, "rotate the BMC password of", one, failed, progress)


def _rotated(workspace: Workspace, names: list[str], stop: threading.Event) -> list[Told]:
    """Named or not: whoever shares the BMC gets the new password."""
    store, inventory = workspace.store, workspace.inventory
    behind = inventory.behind(names[0])
    access = inventory.servers[behind[0]].bmc
    claims = tuple(f"server {name}" for name in behind)

    def found(finding: Finding | None) -> None:
        for name in behind:
            keep_finding(store, name, rotate.PASSWORD_KEPT, finding)

    ports = rotate.RotatePorts(connect, workspace.secrets, found)
    operation = store.journal.open(KIND, behind[0], claims, {}, rotate.VERSION)
    outcome = perform(
        store,
        operation,
        lambda run: rotate.rotate(run, access, behind, ports),
        stop=stop,
        version=rotate.VERSION,
    )
    if outcome.status is Status.DONE:
        return [Told(server=name) for name in names]
    code = outcome.exit_code or 1
    return [
        Told(server=name, error=outcome.error or "interrupted", exit_code=code) for name in names
    ]
