"""`metal status`: the fleet as it is."""

from typing import TYPE_CHECKING

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb

if TYPE_CHECKING:
    from metal.controller.workspace import Workspace
    from metal.model.world import World


@click.command("status", cls=Verb)
@click.option(
    "--look/--last", default=True, help="Ask every server and cluster now, or show the last look."
)
@click.option("--vms", is_flag=True, help="List the VMs instead of the servers.")
@click.pass_obj
def command(face: Face, look: bool, vms: bool) -> None:
    """Show the fleet: servers by site and rack, nodes, VMs."""
    from metal.cli.render.fleet import fleet_document, fleet_lines, server_documents, vm_lines
    from metal.cli.screen import width
    from metal.lab.topology import ended

    workspace = face.open()
    world, looked_at = _now(face, workspace) if look else _last(workspace)
    if world.silent and ended(workspace.folder):
        face.say(f"the lab in {workspace.folder} has ended: nothing can answer any more")
    inventory = workspace.inventory
    lines = (vm_lines if vms else fleet_lines)(inventory, world, width())
    if vms:
        rows = [{"vm": name, **vm.model_dump(mode="json")} for name, vm in world.vms.items()]
        face.show(lines, rows)
    else:
        document = fleet_document(inventory, world, looked_at)
        face.show(lines, document, server_documents(inventory, world))


def _now(face: Face, workspace: "Workspace") -> tuple["World", str]:
    from datetime import UTC, datetime

    from metal.controller.look import look

    with face.progress() as progress:
        world = look(workspace, progress=progress)
    return world, datetime.now(UTC).isoformat(timespec="seconds")


def _last(workspace: "Workspace") -> tuple["World", str]:
    from metal.model.errors import Refused
    from metal.tui.store import last_look

    seen = last_look(workspace)
    if seen is None:
        raise Refused("nobody has looked yet", mend="`metal status --look`")
    return seen[0], seen[1].isoformat(timespec="seconds")
