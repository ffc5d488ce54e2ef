"""`metal evacuate`: a donor withdraws."""

from datetime import datetime
from pathlib import Path

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import see, world_option

DAY = click.DateTime(["%Y-%m-%d"])


@click.command("evacuate", cls=Verb)
@click.argument("name", metavar="SITE|CLUSTER")
@click.option("--from", "begin", type=DAY, metavar="DAY", help="When it begins; now when absent.")
@click.option(
    "--by", type=DAY, metavar="DAY", help="The last day; that of the donor's terms when absent."
)
@click.option(
    "--mbit",
    type=click.IntRange(1),
    metavar="N",
    help="What the uplinks carry, Mbit/s, instead of what the donors' terms say.",
)
@world_option
@click.pass_context
def command(
    ctx: click.Context,
    name: str,
    begin: datetime | None,
    by: datetime | None,
    mbit: int | None,
    recorded: Path | None,
) -> None:
    """Plan how to leave a site or a cluster: what goes where, on which day, and what goes back.

    Nothing is moved. Says what cannot go and the smallest room that is missing, and lists the
    servers with their serial numbers and the disks that are to be erased. Ends with 1 when a VM
    has no place, or arrives too late.
    """
    from metal.cli.render.evacuate import evacuate_lines
    from metal.cli.screen import width
    from metal.controller.evacuating import document, evacuation, unwiped

    face = ctx.ensure_object(Face)
    workspace = face.open()
    found, short = evacuation(
        workspace,
        see(face, workspace, recorded),
        name,
        begin=begin and begin.date(),
        by=by and by.date(),
        mbit=mbit,
    )
    owed = unwiped(workspace, found.hand_back)
    face.show(evacuate_lines(found, short, owed, width()), document(found, short, owed))
    stays = found.relocation.stranded or found.relocation.unmanaged
    ctx.exit(1 if stays or found.late else 0)
