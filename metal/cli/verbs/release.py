"""`metal release`: a server that was set aside takes part again."""

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.command("release", cls=Verb)
@click.argument("server", shell_complete=servers)
@click.pass_obj
def command(face: Face, server: str) -> None:
    """Let SERVER take part again after it was recovered or emptied, and is well.

    Refused while its BMC does not say that it is on and not failing.
    """
    from metal.controller.releasing import release

    with face.progress() as progress:
        release(face.open(), server, progress=progress)
    face.say(f"{server} takes part again; `metal plan` shows what that changes")
