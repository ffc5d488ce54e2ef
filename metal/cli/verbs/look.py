"""`metal look`: the observed world, to keep as a file."""

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.command("look", cls=Verb)
@click.option("--last", is_flag=True, help="The last look, without asking anybody.")
@click.option(
    "--backups", is_flag=True, help="Ask for backups, too: for `metal rebuild --world FILE`."
)
@click.pass_obj
def command(face: Face, last: bool, backups: bool) -> None:
    """Look at every server and cluster once.

    With -o json it prints the world as seen. Kept as a file, every command that plans takes it
    as --world FILE, and then needs no network.
    """
    from metal.cli.recorded import see
    from metal.cli.render.fleet import fleet_lines
    from metal.cli.screen import width
    from metal.model.errors import BadInput, Refused
    from metal.tui.store import last_look

    if last and backups:
        raise BadInput("the last look asks nobody", mend="leave --last, or --backups")
    workspace = face.open()
    if last:
        seen = last_look(workspace)
        if seen is None:
            raise Refused("nobody has looked yet", mend="`metal look`")
        world = seen[0]
    else:
        world = see(face, workspace, None)
    if backups:
        from metal.controller.rebuilding import with_backups

        world = with_backups(workspace, world)
    face.show(fleet_lines(workspace.inventory, world, width()), world)
