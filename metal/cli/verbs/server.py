"""`metal server`: what is known of each server."""

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.group("server")
def command() -> None:
    """Show what is known of servers, without asking their BMCs."""


@command.command("list", cls=Verb)
@click.pass_obj
def list_(face: Face) -> None:
    """Every server: where it stands, what it is, when it was last looked at."""
    from metal.cli.render.server import server_lines
    from metal.cli.screen import width
    from metal.controller.knowing import all_known

    known = all_known(face.open())
    face.show(server_lines(known, width()), known)


@command.command("show", cls=Verb)
@click.argument("name", shell_complete=servers)
@click.pass_obj
def show(face: Face, name: str) -> None:
    """One server: its place, its BMC, its parts, what is wrong, what was done."""
    from metal.cli.render.server import detail_lines
    from metal.cli.screen import width
    from metal.controller.knowing import known

    detail = known(face.open(), name)
    face.show(detail_lines(detail, width()), detail)
