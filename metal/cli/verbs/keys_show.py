"""`metal keys show`: what is known of keys without opening any."""

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.command("show", cls=Verb)
@click.argument("names", nargs=-1, metavar="[SERVER]...", shell_complete=servers)
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Who can open each server's key, and what is kept beside it. Opens nothing.

    Exit code 1 when somebody is locked out who should not be, or can open what they should not,
    and when a file is damaged.
    """
    from metal.cli.render.keys import state_lines
    from metal.cli.screen import width
    from metal.controller.key_checks import states
    from metal.controller.keyring import chosen

    face = ctx.ensure_object(Face)
    workspace = face.open()
    found = states(workspace, chosen(workspace.secrets, names))
    face.show(state_lines(found, width()), found)
    ctx.exit(int(not all(one.well for one in found)))
