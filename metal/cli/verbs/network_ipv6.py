"""`metal network ipv6`: prefixes, networks, zones, and a site that changes its prefix."""

from pathlib import Path

import click

from metal.cli.complete import sites
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import see, world_option


@click.command("ipv6", cls=Verb)
@click.option("--site", metavar="SITE", shell_complete=sites, help="Only this site.")
@world_option
@click.pass_obj
def command(face: Face, site: str | None, recorded: Path | None) -> None:
    """Show each site's prefixes and networks, and how far a change of prefix is.

    A site with `ipv6_next` or `ipv6_old` is told what to do next, in which order, and how long
    to wait: no name leads to an address before it works, or after it is gone.
    """
    from dataclasses import asdict

    from metal.cli.render.network import ipv6_lines
    from metal.cli.screen import width
    from metal.controller.addressing import chosen_sites
    from metal.controller.networking import changes_of_prefix
    from metal.network.ipv6 import site_plan

    workspace = face.open()
    inventory = workspace.inventory
    plans = [site_plan(inventory, name) for name in chosen_sites(inventory, site)]
    changing = any(len(plan.prefixes) > 1 for plan in plans)
    changes = changes_of_prefix(inventory, see(face, workspace, recorded), site) if changing else []
    document = {
        "sites": [plan.told() for plan in plans],
        "changes": [asdict(change) for change in changes],
    }
    face.show(ipv6_lines(plans, changes, width()), document, document["sites"])
