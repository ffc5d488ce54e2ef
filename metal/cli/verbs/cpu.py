"""`metal cpu`: what the servers of a cluster have in common."""

from pathlib import Path

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import see, world_option


@click.command("cpu", cls=Verb)
@click.option("--look", is_flag=True, help="Ask each host what it runs on; else the inventory.")
@world_option
@click.pass_obj
def command(face: Face, look: bool, recorded: Path | None) -> None:
    """Show the newest processor that all servers of each cluster can give a VM.

    A VM that asks for no more moves live to any of them. Without `cpu` in the inventory it gets
    x86-64-v2-AES. Names the VMs that ask for more than all servers of their cluster have: those
    that are pinned to it, and of a recorded world also those that were seen there.
    """
    from metal.cli.render.cpu import cpu_documents, cpu_lines
    from metal.cli.screen import width
    from metal.controller.processors import processors
    from metal.model.errors import BadInput
    from metal.model.world import World

    if look and recorded is not None:
        raise BadInput("a recorded world's hosts are not asked", mend="leave --look, or --world")
    workspace = face.open()
    world = see(face, workspace, recorded) if recorded is not None else World()
    found = processors(workspace, world, ask=look)
    rows = cpu_documents(found)
    face.show(cpu_lines(found, width()), rows, rows)
