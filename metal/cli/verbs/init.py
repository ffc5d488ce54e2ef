"""`metal init`: a workspace to begin with."""

from pathlib import Path

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.command("init", cls=Verb)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
@click.option("--bare", is_flag=True, help="No examples: for clusters that are to be adopted.")
@click.pass_obj
def command(face: Face, folder: Path, bare: bool) -> None:
    """Make a workspace in FOLDER (here unless you name another).

    It holds a short inventory.toml to fill in, the profiles, and the templates of what servers
    boot. The Debian mirror is read from this machine's apt sources. Nothing is overwritten.
    """
    from metal.inventory.init import init

    files = init(folder, bare=bare)
    face.show([str(file) for file in files], [str(file) for file in files])
    face.say(f"now fill in {folder / 'inventory.toml'}; `metal check` names what is amiss")
