"""`metal keys rehearse`: the next boot, before it is needed."""

from pathlib import Path

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.opening import identity_option, opener, say_left


@click.command("rehearse", cls=Verb)
@click.argument("names", nargs=-1, metavar="[SERVER]...", shell_complete=servers)
@identity_option
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], identity: Path | None) -> None:
    """Read the built initramfs of running servers: would each come back from a reboot?

    Its network card's driver and address, dropbear with its keys, crypttab, and what it needs to
    open itself. `metal power cycle`, `off` and `soft` do the same before they act. Logs in as the
    controller, or with --identity as you. Changes nothing.
    """
    from metal.cli.render.keys import verdict_lines
    from metal.cli.screen import width
    from metal.controller.disk_keys import agent_of
    from metal.controller.keyring import chosen_here
    from metal.controller.rehearsing import rehearse_all

    face = ctx.ensure_object(Face)
    workspace = face.open()
    wanted, gone = chosen_here(workspace.secrets, workspace.inventory, names)
    say_left(face, gone)
    with agent_of(opener(face, identity) if identity else None) as agent:
        told = rehearse_all(workspace, wanted, agent)
    face.show(verdict_lines(told, width()), told)
    ctx.exit(max((one.exit_code for one in told), default=0))
