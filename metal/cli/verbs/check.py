"""`metal check`: every mistake of the inventory at once."""

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.command("check", cls=Verb)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Name every mistake in inventory.toml and profiles/, each with its place and its mend.

    Ends with 2 when there is one. With -o json the mistakes are data, on stdout. What is no
    mistake and comes to nothing all the same is told, too: a VM too large for any server, a
    server of unknown memory.
    """
    from metal.inventory import InventoryErrors, doubts
    from metal.model.plan import count

    face = ctx.ensure_object(Face)
    workspace = face.open()
    try:
        inventory = workspace.inventory
    except InventoryErrors as errors:
        if face.output == "table":
            raise
        face.show([], [vars(mistake) | {"text": str(mistake)} for mistake in errors.mistakes])
        ctx.exit(errors.exit_code)
    doubtful = doubts(workspace.folder, inventory)
    if face.output == "table":
        for doubt in doubtful:
            face.say(str(doubt))
        found = (
            count(len(inventory.sites), "site"),
            count(len(inventory.servers), "server"),
            count(len(inventory.clusters), "cluster"),
            count(len(inventory.vms), "VM"),
        )
        face.say(f"no mistakes: {', '.join(found)}")
    else:
        face.show([], [vars(d) | {"text": str(d), "doubt": True} for d in doubtful])
