"""`metal network apply`: what was rendered, given to where it belongs, proven, or taken back."""

from pathlib import Path

import click

from metal.cli.complete import sites
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import see, world_option

CHANGES_PENDING = 10


@click.command("apply", cls=Verb)
@click.argument("target", metavar="[SITE|SITE/firewall|VM]", required=False, shell_complete=sites)
@click.option("--plan", "only_plan", is_flag=True, help="Only show what would be changed.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--overwrite", is_flag=True, help="Also what a person changed there.")
@click.option(
    "--trial",
    type=click.IntRange(10, 3600),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="After which a machine that is not confirmed takes its former files back.",
)
@world_option
@click.pass_context
def command(
    ctx: click.Context,
    target: str | None,
    only_plan: bool,
    yes: bool,
    overwrite: bool,
    trial: int,
    recorded: Path | None,
) -> None:
    """Give the gateways of SITE, or the name server VM, the files that `render` would write; all
    of them without a name.

    Shows what differs, has each engine check its file where it is to be used, then changes one
    machine after the other: of a site's gateways the one that stands by first, which carries the
    site for a moment, and what was reached from here before must be reached by it; a name server
    must answer with the new zones. Else it takes its former files back by itself.

    VMs with a public IPv4 of their own get Proxmox's firewall, by its API: first what they serve
    is let in, then all else is kept out, and what was answered before must be answered still, else
    that is undone. SITE/firewall names these alone; rules that a person made stay before ours.

    Killed anywhere, the same command goes on with what was agreed to.
    """
    from metal.cli.applying import parts_of
    from metal.cli.asking import agreed
    from metal.model.errors import Refused

    face = ctx.ensure_object(Face)
    workspace = face.open()
    parts = parts_of(face, workspace, target, lambda: see(face, workspace, recorded), trial)
    for part in parts:
        if part.resumed:
            face.say(f"{part.subject}: going on with what was agreed to before")
    orders = [part.order for part in parts]
    face.show([line for part in parts for line in part.lines], orders, orders)
    wanted = [part for part in parts if part.pending]
    if only_plan:
        ctx.exit(CHANGES_PENDING if wanted else 0)
    edited = [file for part in wanted if not part.resumed for file in part.edited]
    if edited and not overwrite:
        raise Refused(
            f"a person changed what would be overwritten: {', '.join(edited)}",
            mend="take it into the inventory, or out of that file; or --overwrite",
        )
    for part in wanted:
        if not part.resumed:
            agreed(face, part.recipe, f"change {part.what}", yes=yes)
        face.resumable = f"`metal network apply {part.subject}` goes on where it stopped"
        with face.progress() as progress:
            part.carry_out(progress)
        face.say(f"{part.subject}: {part.done}")
