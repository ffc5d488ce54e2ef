"""`metal network check`: every text judged by the tool of the engine that it is for."""

from pathlib import Path

import click

from metal.cli.complete import sites
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import see, world_option

FAILED, REFUSED = 1, 3


@click.command("check", cls=Verb)
@click.option("--site", metavar="SITE", shell_complete=sites, help="Only this site's gateways.")
@world_option
@click.pass_context
def command(ctx: click.Context, site: str | None, recorded: Path | None) -> None:
    """Render everything and ask each engine's own tool whether it would take it.

    nft, haproxy, keepalived, radvd, unbound-checkconf, named-checkzone, wg, tayga, ifup: here,
    in namespaces of their own, on no gateway. Ends with 1 when one of them finds something
    wrong, with 3 when one is not installed and nobody could tell.
    """
    from metal.cli.render.network import verdict_lines
    from metal.cli.screen import width
    from metal.controller.networking import judge, rendered

    face = ctx.ensure_object(Face)
    workspace = face.open()
    world = see(face, workspace, recorded)
    tree = rendered(workspace.inventory, world, site, workspace.folder / "network")
    with face.progress() as progress:
        verdicts = judge(tree, progress=progress)
    for note in tree.notes:
        face.say(note)
    face.show(verdict_lines(verdicts, width()), verdicts, list(verdicts))
    if any(v.wrong for v in verdicts):
        ctx.exit(FAILED)
    if any(v.unjudged for v in verdicts):
        ctx.exit(REFUSED)
