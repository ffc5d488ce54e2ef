"""`metal network render`: a folder of files, one for each machine that routes or names."""

from pathlib import Path

import click

from metal.cli.complete import sites
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import see, world_option

CHANGES_PENDING = 10


@click.command("render", cls=Verb)
@click.option("--site", metavar="SITE", shell_complete=sites, help="Only this site's gateways.")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The folder to fill.  [default: network/ in the workspace]",
)
@click.option("--diff", is_flag=True, help="Write nothing: show what would change there.")
@world_option
@click.pass_context
def command(
    ctx: click.Context, site: str | None, into: Path | None, diff: bool, recorded: Path | None
) -> None:
    """Write the configuration of every engine, for the world that is seen.

    SITE/GATEWAY/ is copied to the root of that gateway, SITE/firewall/ to /etc/pve/firewall,
    dns/ to the primary name server, mesh/ to administrators. Files that metal wrote and that
    nothing needs any more are removed, others are left alone. With --diff it ends with 10 when
    anything would change.
    """
    from metal.cli.render.network import change_lines
    from metal.cli.screen import width
    from metal.controller.networking import compare, rendered, write

    face = ctx.ensure_object(Face)
    workspace = face.open()
    folder = into or workspace.folder / "network"
    world = see(face, workspace, recorded)
    tree = rendered(workspace.inventory, world, site, folder)
    changes = compare(tree, folder, site)
    if not diff:
        write(tree, folder, changes)
    for note in tree.notes:
        face.say(note)
    rows = [{"path": c.path, "state": c.state, "diff": list(c.diff)} for c in changes]
    face.show(
        change_lines(changes, folder, width(), diff=diff),
        {"into": str(folder), "files": rows},
        rows,
    )
    if diff and any(c.state != "same" for c in changes):
        ctx.exit(CHANGES_PENDING)
