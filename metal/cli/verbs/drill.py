"""`metal drill`: rehearse a server's death, and tell how long each VM would be down."""

from pathlib import Path

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import see, world_option


@click.command("drill", cls=Verb)
@click.option("--fail", required=True, metavar="SERVER", help="What dies.")
@world_option
@click.pass_context
def command(ctx: click.Context, fail: str, recorded: Path | None) -> None:
    """Let SERVER die, on doubles of its cluster, and watch what the watcher does.

    `metal whatif` tells where there is room; this plays it: the real watcher heals a model of the
    cluster as it is now, with a fast clock. Times are those until a VM is started elsewhere; what
    it needs to boot comes on top. Nothing real is touched. Ends with 1 when a VM stays down.
    """
    from metal.cli.render.drill import drill_lines
    from metal.cli.screen import width
    from metal.lab.rehearsal import rehearse

    face = ctx.ensure_object(Face)
    workspace = face.open()
    found = rehearse(workspace.inventory, see(face, workspace, recorded), fail)
    face.show(drill_lines(found, width()), found)
    ctx.exit(1 if found.down else 0)
