"""`metal cpu`: what the servers of a cluster have in common."""

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.command("cpu", cls=Verb)
@click.option("--look", is_flag=True, help="Ask each host what it runs on; else the inventory.")
@click.pass_obj
def command(face: Face, look: bool) -> None:
    """Show the newest processor that all servers of each cluster can give a VM.

    A VM that asks for no more moves live to any of them. Without `cpu` in the inventory it gets
    x86-64-v2-AES.
    """
    from metal.cli.render.cpu import cpu_documents, cpu_lines
    from metal.cli.screen import width
    from metal.controller.processors import processors

    found = processors(face.open(), ask=look)
    rows = cpu_documents(found)
    face.show(cpu_lines(found, width()), rows, rows)
