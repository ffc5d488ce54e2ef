"""`metal ipv4`: what the few public addresses are spent on."""

from pathlib import Path

import click

from metal.cli.complete import sites
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import see, world_option


@click.command("ipv4", cls=Verb)
@click.option("--site", metavar="SITE", shell_complete=sites, help="Only this site.")
@world_option
@click.pass_obj
def command(face: Face, site: str | None, recorded: Path | None) -> None:
    """Show what public IPv4 addresses are spent on, and what one more or less would do.

    The site that would gain most by another address comes first. VMs count where they run, where
    the plan puts them, or where they are pinned.
    """
    from dataclasses import asdict

    from metal.cli.render.ipv4 import ipv4_lines
    from metal.cli.screen import width
    from metal.controller.addressing import find_homes, ipv4_worth

    workspace = face.open()
    world = see(face, workspace, recorded)
    homes = find_homes(workspace.inventory, world)
    found = ipv4_worth(workspace.inventory, world, homes, site)
    rows = [asdict(one) for one in found]
    face.show(
        ipv4_lines(found, homes.nowhere, width()),
        {"sites": rows, "nowhere": homes.nowhere},
        rows,
    )
