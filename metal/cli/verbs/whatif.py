"""`metal whatif`: what becomes of the VMs if a server or a site is lost."""

from pathlib import Path

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import see, world_option

_MIRRORED = "it goes on from the other one, and starts from it"


@click.command("whatif", cls=Verb)
@click.option("--fail", required=True, metavar="SERVER|SITE", help="What is lost.")
@world_option
@click.pass_context
def command(ctx: click.Context, fail: str, recorded: Path | None) -> None:
    """Show where each VM restarts if a server dies or a whole site is lost.

    Nothing is changed. Ends with 1 when a VM has no place, with what would mend it.
    """
    from metal.cli.render.prove import failure_lines, relocation_lines
    from metal.cli.screen import width
    from metal.controller.proving import site_lost, what_is_lost

    face = ctx.ensure_object(Face)
    workspace = face.open()
    kind = what_is_lost(workspace.inventory, fail)
    world = see(face, workspace, recorded)
    if kind == "site":
        found = site_lost(workspace.inventory, world, fail)
        document = {
            "site": fail,
            "homes": {vm: {"cluster": c, "server": s} for vm, (c, s) in found.homes.items()},
            "stranded": [vars(left) for left in found.stranded],
            "unpinned": found.unpinned,
            "unmanaged": found.unmanaged,
        }
        face.show(relocation_lines(found, width()), document)
        ctx.exit(1 if found.stranded or found.unmanaged else 0)
    from metal.cli.render.hang import hanging
    from metal.controller.proving import server_lost
    from metal.model.disks import is_mirrored

    failure = server_lost(workspace.inventory, world, fail)
    lines = failure_lines(fail, failure, width())
    if is_mirrored(workspace.inventory.profile(fail), workspace.inventory.servers[fail]):
        lines += hanging("  if a system drive of it dies: ", _MIRRORED, width(), under=6)
    face.show(lines, failure)
    ctx.exit(0 if failure.verdict in ("survivable", "alone") else 1)
