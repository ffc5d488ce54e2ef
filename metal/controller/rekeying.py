"""New keys for the disks of running servers, each a durable operation, side by side."""

import threading
from collections.abc import Sequence

from metal.controller.disk_keys import Disks
from metal.controller.key_checks import Verdict
from metal.controller.keyring import keys_of
from metal.controller.performing import Shown
from metal.controller.progress import Progress
from metal.controller.sweeping import side_by_side
from metal.controller.workspace import Workspace
from metal.drivers.identities import Identity
from metal.install.pins import wanted_pins
from metal.install.rekey import RekeyPorts, rekey
from metal.model.errors import MetalError
from metal.model.life import Status
from metal.operations.run import Run, perform

KIND = "keys rotate"
"""Also how the command is called that goes on with it."""
VERSION = 1
WORKERS = 8


def rotate_keys(
    workspace: Workspace,
    servers: Sequence[str],
    identity: Identity | None,
    disks: Disks,
    progress: Progress,
) -> list[Verdict]:
    """A new key for every disk of each server; one that fails never stops the others.

    `identity` opens today's key, where the controller does not hold it.
    """
    stop = threading.Event()

    def one(server: str) -> Verdict:
        progress.begin(server, f"new key for {server}")
        try:
            verdict = _rotated(workspace, server, identity, disks, progress, stop)
        except MetalError as error:
            verdict = Verdict(server=server, error=str(error), exit_code=error.exit_code)
        progress.end(server, not verdict.error, verdict.error)
        return verdict

    assert workspace.store and workspace.secrets  # opened here, not by many threads at once
    return side_by_side(servers, one, workers=WORKERS, stop=stop)


def _rotated(
    workspace: Workspace,
    server: str,
    identity: Identity | None,
    disks: Disks,
    progress: Progress,
    stop: threading.Event,
) -> Verdict:
    store, said = workspace.store, []
    ports = RekeyPorts(
        escrow=workspace.secrets,
        disks=lambda: disks(server),
        old=lambda: _old(workspace, server, identity),
        pins=wanted_pins(workspace.inventory, server),
        held=workspace.inventory.servers[server].unlock.held,
    )

    def flow(run: Run) -> None:
        said.extend(rekey(run, server, ports, alone=False))

    operation = store.journal.open(KIND, server, (f"server {server}",), {}, VERSION)
    with Shown(workspace, operation.id, server, progress):
        outcome = perform(store, operation, flow, stop=stop, version=VERSION)
    if outcome.status is Status.DONE:
        return Verdict(server=server, works=tuple(said))
    return Verdict(
        server=server, error=outcome.error or "interrupted", exit_code=outcome.exit_code or 1
    )


def _old(workspace: Workspace, server: str, identity: Identity | None) -> list[str]:
    """Every key that may open its disk now, older ones too: none of them is to stay."""
    held = workspace.secrets.reveal(f"disk/{server}")
    keys = [held] if held else []
    if identity is not None:
        keys += keys_of(workspace.secrets, server, identity)
    new = workspace.secrets.reveal(f"disk-next/{server}")
    return [key for key in dict.fromkeys(keys) if key != new]
