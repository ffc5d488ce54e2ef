"""`metal bmc rotate`: new passwords for BMCs."""

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.command("rotate", cls=Verb)
@click.argument("names", nargs=-1, metavar="[SERVER]...", shell_complete=servers)
@click.option("--all", "everything", is_flag=True, help="Every server that is enrolled.")
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], everything: bool) -> None:
    """Give BMCs new passwords, kept for all administrators before they are set.

    A new log-in proves each before the old one is forgotten. Killed anywhere, the same command
    goes on. Servers behind one BMC share its password. One bad BMC never stops the others.
    """
    from metal.cli.complaints import complain
    from metal.cli.render.bmc import rotated_lines
    from metal.cli.screen import width
    from metal.controller.bmcs import chosen, left_out
    from metal.controller.rotating import rotate_all

    face = ctx.ensure_object(Face)
    workspace = face.open()
    groups = chosen(workspace, names, everything=everything)
    face.resumable = "the same command goes on; every BMC opens with what is kept here"
    with face.progress() as progress:
        rotated = rotate_all(workspace, groups, progress)
    face.show(rotated_lines(rotated, width()), rotated)
    if everything and (left := left_out(workspace)):
        face.say(left)
    complain(face, rotated)
    ctx.exit(max((one.exit_code for one in rotated), default=0))
