"""`metal donors`: who lends what, and what of it is used."""

from pathlib import Path

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import see, world_option


@click.command("donors", cls=Verb)
@world_option
@click.pass_obj
def command(face: Face, recorded: Path | None) -> None:
    """Show each site's donor, what is lent, what of it is used, and when it ends.

    The terms stand in `donor` of each site in inventory.toml. A plan that would breach them is
    refused; what is over them already is named here.
    """
    from metal.cli.render.donors import donor_document, donor_lines
    from metal.cli.screen import width
    from metal.controller.planning import today_of
    from metal.schedule.terms import uses

    workspace = face.open()
    world, today = see(face, workspace, recorded), today_of(workspace)
    found = uses(workspace.inventory, world)
    rows = [donor_document(use, today) for use in found]
    face.show(donor_lines(found, today, width()), rows, rows)
