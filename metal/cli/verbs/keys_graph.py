"""`metal keys graph`: who opens whose disk, and the way out of darkness."""

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.command("graph", cls=Verb)
@click.pass_context
def command(ctx: click.Context) -> None:
    """What opens each server's disk, and in which order all come back when everything is dark.

    Reads the inventory alone: print it and keep it on paper. Exit code 1 when a server would
    never open, whatever people do.
    """
    from metal.cli.render.key_graph import graph_lines
    from metal.cli.screen import width
    from metal.install.key_graph import key_graph

    face = ctx.ensure_object(Face)
    found = key_graph(face.open().inventory)
    face.show(graph_lines(found, width()), found, list(found.servers))
    ctx.exit(int(bool(found.cold_start.never)))
