"""`metal drill`: rehearse a death, and tell how long each VM would be down."""

from pathlib import Path

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import see, world_option


@click.command("drill", cls=Verb)
@click.option("--fail", metavar="SERVER|SITE", help="What dies; each server in turn when absent.")
@world_option
@click.pass_context
def command(ctx: click.Context, fail: str | None, recorded: Path | None) -> None:
    """Let SERVER, SITE or each server in turn die, on doubles, and see what the watcher does.

    `metal whatif` tells where there is room; this plays it: the real watcher heals a model of the
    clusters as they are now, with a fast clock. Times are those until a VM is started elsewhere;
    what it needs to boot comes on top. BY tells who starts it: the cluster's HA, or metal where HA
    does not manage it (then its disks count as shared if the cluster's are: its own storage is read
    in earnest only). Nothing real is touched. Ends with 1 when a VM stays down.
    """
    from metal.cli.render.drill import drill_lines, drills_lines
    from metal.cli.screen import width
    from metal.controller.proving import what_is_lost
    from metal.lab.rehearsal import rehearse, rehearse_each, rehearse_site

    face = ctx.ensure_object(Face)
    workspace = face.open()
    inventory = workspace.inventory
    kind = what_is_lost(inventory, fail) if fail else ""
    world = see(face, workspace, recorded)
    if not fail:
        with face.progress() as progress:
            every = rehearse_each(inventory, world, progress=progress)
        face.show(drills_lines(every, width()), every)
        ctx.exit(1 if any(one.down for one in every.servers) else 0)
    play = rehearse_site if kind == "site" else rehearse
    found = play(inventory, world, fail)
    face.show(drill_lines(found, width()), found)
    ctx.exit(1 if found.down else 0)
