"""`metal keys drill`: recovery, rehearsed."""

from pathlib import Path

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.opening import identity_option, opener, shares_option


@click.command("drill", cls=Verb)
@click.argument("names", nargs=-1, metavar="[SERVER]...", shell_complete=servers)
@identity_option
@shares_option
@click.pass_context
def command(
    ctx: click.Context, names: tuple[str, ...], identity: Path | None, shares: Path | None
) -> None:
    """Recover as if the controller and a disk's header were lost: on copies, on this machine.

    The escrowed header of each disk is opened with the escrowed key by the real cryptsetup. Uses
    secrets/ and your key (or the recovery shares) alone; no server is touched.
    """
    from metal.cli.render.keys import verdict_lines
    from metal.cli.screen import width
    from metal.controller.key_checks import drill
    from metal.controller.keyring import chosen, escrow_in, workspace_folder

    face = ctx.ensure_object(Face)
    escrow = escrow_in(workspace_folder(face.folder))
    wanted = chosen(escrow, names)
    key = opener(face, identity, shares)
    verdicts = [drill(escrow, name, key) for name in wanted]
    face.show(verdict_lines(verdicts, width()), verdicts)
    ctx.exit(max((one.exit_code for one in verdicts), default=0))
