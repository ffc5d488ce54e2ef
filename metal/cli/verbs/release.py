"""`metal release`: a server that was set aside takes part again."""

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.command("release", cls=Verb)
@click.argument("server", shell_complete=servers)
@click.option("--power-on", is_flag=True, help="Switch it on first and wait until it is back.")
@click.pass_obj
def command(face: Face, server: str, power_on: bool) -> None:
    """Let SERVER take part again after it was recovered or emptied, and is well.

    Refused while it is not seen on, online and free of failures.
    """
    from metal.controller.releasing import release

    with face.progress() as progress:
        release(face.open(), server, power_on=power_on, progress=progress)
    face.say(f"{server} takes part again; `metal plan` shows what that changes")
