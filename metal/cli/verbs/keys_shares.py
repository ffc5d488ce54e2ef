"""`metal keys shares`: a recovery key that exists on paper only, in shares."""

from pathlib import Path

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.group("shares")
def command() -> None:
    """A recovery key in shares on paper, of which some number opens everything (SLIP-39)."""


@command.command("split", cls=Verb, short_help="Make a recovery key, and print its shares.")
@click.option("--needed", type=int, default=2, show_default=True, help="Shares that are enough.")
@click.option("--shares", "count", type=int, default=3, show_default=True, help="Shares made.")
@click.pass_context
def split(ctx: click.Context, needed: int, count: int) -> None:
    """Make a recovery key and print its shares: the key itself is kept nowhere.

    Give each share to another person, on paper. Then write the line it ends with into
    inventory.toml, and run `metal keys reseal`.
    """
    from metal.cli.render.keys import share_lines
    from metal.drivers import identities, shares

    face = ctx.ensure_object(Face)
    secret, recipient = identities.new_recovery()
    lines = shares.split(secret, needed=needed, shares=count)
    document = {"needed": needed, "shares": lines, "recovery": recipient}
    face.show(share_lines(lines, needed, recipient), document)


@command.command("check", cls=Verb, short_help="Whether shares give the recovery key back.")
@click.argument("file", metavar="FILE", default="-", type=click.Path(path_type=Path))
@click.pass_context
def check(ctx: click.Context, file: Path) -> None:
    """Say whether shares (FILE, one a line; or typed) give the inventory's recovery key."""
    from metal.cli.opening import opener
    from metal.model.errors import Refused

    face = ctx.ensure_object(Face)
    wanted = face.open().inventory.fleet.recovery
    key = opener(face, None, file)
    if key.public != wanted:
        raise Refused(
            "these shares give another key" if wanted else "the inventory names no recovery key",
            where="inventory.toml, [fleet] recovery",
            mend="are they of an older splitting? Those open what was escrowed in their time",
        )
    face.show(["these shares open everything that is escrowed"], {"recovery": key.public})
