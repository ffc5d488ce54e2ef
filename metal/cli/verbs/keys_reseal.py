"""`metal keys reseal`: after somebody came or left."""

from pathlib import Path

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.opening import identity_option, opener, shares_option


@click.command("reseal", cls=Verb)
@identity_option
@shares_option
@click.pass_context
def command(ctx: click.Context, identity: Path | None, shares: Path | None) -> None:
    """Encrypt every secret in secrets/ to the administrators of today, and the recovery shares.

    Needed after an administrator came, or the shares were made. Who left has had copies: rotate
    the keys, and the BMCs' passwords, too.
    """
    from metal.cli.render.keys import resealed_lines
    from metal.controller.resealing import reseal_all

    face = ctx.ensure_object(Face)
    workspace = face.open()
    key = opener(face, identity, shares)
    done = reseal_all(workspace, key)
    face.show(resealed_lines(done), done)
    ctx.exit(max((one.exit_code for one in done), default=0))
