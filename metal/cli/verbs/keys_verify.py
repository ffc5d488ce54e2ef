"""`metal keys verify`: keys are tried, not believed in."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.opening import identity_option, opener, say_left, shares_option


@click.command("verify", cls=Verb)
@click.argument("names", nargs=-1, metavar="[SERVER]...", shell_complete=servers)
@identity_option
@shares_option
@click.option("--offline", is_flag=True, help="Open the escrow only; log in to no server.")
@click.pass_context
def command(
    ctx: click.Context,
    names: tuple[str, ...],
    identity: Path | None,
    shares: Path | None,
    offline: bool,
) -> None:
    """Open the escrow with your key and, over SSH, try what it holds on each server's disks.

    Also whether each disk opens itself as the inventory's policy says, and by nothing else.
    All servers with an escrowed key, if none is named. Nothing is changed.
    """
    from metal.cli.render.keys import verdict_lines
    from metal.cli.screen import width
    from metal.controller.disk_keys import logged_in_as
    from metal.controller.key_checks import verify_all
    from metal.controller.keyring import chosen, chosen_here
    from metal.install.pins import policy_pins

    face = ctx.ensure_object(Face)
    workspace = face.open()
    if offline:
        wanted = chosen(workspace.secrets, names)
    else:
        wanted, gone = chosen_here(workspace.secrets, workspace.inventory, names)
        say_left(face, gone)
    key = opener(face, identity, shares)
    with nullcontext() if offline else logged_in_as(workspace, key) as disks, face.progress() as p:
        pins = partial(policy_pins, workspace.inventory)
        verdicts = verify_all(workspace.secrets, wanted, key, disks, p, pins)
    face.show(verdict_lines(verdicts, width()), verdicts)
    ctx.exit(max((one.exit_code for one in verdicts), default=0))
