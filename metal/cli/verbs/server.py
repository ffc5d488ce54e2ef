"""`metal server`: what is known of each server."""

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.group("server")
def command() -> None:
    """Show what is known of servers, without asking their BMCs; call one otherwise."""


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


@command.command("rename", cls=Verb)
@click.argument("old", shell_complete=servers)
@click.argument("new")
@click.pass_obj
def rename(face: Face, old: str, new: str) -> None:
    """Call server OLD otherwise, with all that is kept of it.

    inventory.toml keeps its comments and its order; secrets, records and pinned host keys move.
    Not once it is installed: its own system has the name then. Killed anywhere, the same command
    goes on. Where OLD was renamed in inventory.toml by hand, it moves what is kept.
    """
    from metal.controller.renaming import rename as call

    workspace = face.open()
    face.resumable = "the same command goes on"
    call(workspace, old, new)
    home = workspace.inventory.cluster_of(new)
    face.say(f"{old} is called {new} from now on; its cluster is called {home}")
