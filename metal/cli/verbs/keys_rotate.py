"""`metal keys rotate`: new keys for disks."""

from pathlib import Path

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.opening import identity_option, opener, say_left, shares_option


@click.command("rotate", cls=Verb)
@click.argument("names", nargs=-1, metavar="[SERVER]...", shell_complete=servers)
@click.option("--all", "everything", is_flag=True, help="Every server with an escrowed key.")
@identity_option
@shares_option
@click.pass_context
def command(
    ctx: click.Context,
    names: tuple[str, ...],
    everything: bool,
    identity: Path | None,
    shares: Path | None,
) -> None:
    """Give the disks of running servers a new key, escrowed to all administrators before.

    Each is tried before the old ones are removed, and these are proven gone. Killed anywhere,
    the same command goes on. Your key opens today's, except where the controller holds it.
    """
    from metal.cli.render.keys import verdict_lines
    from metal.cli.screen import width
    from metal.controller.disk_keys import logged_in_as
    from metal.controller.keyring import chosen_here
    from metal.controller.rekeying import rotate_keys
    from metal.model.errors import BadInput

    face = ctx.ensure_object(Face)
    workspace = face.open()
    if bool(names) == everything:
        raise BadInput("name servers, or give --all", mend="metal keys show")
    wanted, gone = chosen_here(workspace.secrets, workspace.inventory, names)
    say_left(face, gone)
    held = all(workspace.secrets.holds(f"disk/{name}") for name in wanted)
    key = None if held and not (identity or shares) else opener(face, identity, shares)
    face.resumable = "the same command goes on; every disk opens with what is escrowed"
    with logged_in_as(workspace, key) as disks, face.progress() as progress:
        verdicts = rotate_keys(workspace, wanted, key, disks, progress)
    face.show(verdict_lines(verdicts, width()), verdicts)
    ctx.exit(max((one.exit_code for one in verdicts), default=0))
