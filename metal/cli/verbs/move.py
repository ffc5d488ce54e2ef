"""`metal move`: a VM goes to another cluster."""

from pathlib import Path

import click

from metal.cli.complete import clusters
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import only_planned, see, world_option


@click.command("move", cls=Verb)
@click.argument("vm")
@click.argument("cluster", shell_complete=clusters)
@click.option(
    "--to", "server", metavar="SERVER", help="Where it comes in; the scheduler chooses if absent."
)
@click.option("--copy", is_flag=True, help="Shut it down, and take a backup over to be restored.")
@click.option(
    "--mbit", type=click.IntRange(1), default=1000, show_default=True, help="To reckon the time by."
)
@click.option(
    "--limit", type=click.IntRange(1), metavar="MBIT", help="What it may take of the way, Mbit/s."
)
@click.option("--plan", "only_plan", is_flag=True, help="Only show what would be done.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@world_option
@click.pass_context
def command(
    ctx: click.Context,
    vm: str,
    cluster: str,
    server: str | None,
    copy: bool,
    mbit: int,
    limit: int | None,
    only_plan: bool,
    yes: bool,
    recorded: Path | None,
) -> None:
    """Move VM to CLUSTER, another one than it is in: live, where both are Proxmox.

    Proxmox sends it from one to the other with metal's token there. Where metal has none, or
    with --copy, it is shut down, backed up to a storage that both reach, and restored. What is
    left of it is removed once it is seen in its new place, and the inventory names that. The
    same command goes on where it stopped: it never runs twice.

    With --plan it ends with 10 where there is something to do. For a recorded world nobody is
    asked what memory is free this minute, nor which storage for backups both reach.
    """
    from metal.cli.asking import agreed
    from metal.cli.render.ageing import recipe_lines
    from metal.cli.screen import width
    from metal.cli.verbs.plan import CHANGES_PENDING
    from metal.controller.moving import move, order_of, steps_of, there_already

    face = ctx.ensure_object(Face)
    only_planned(recorded, acts=not only_plan, mend="add --plan, or leave --world")
    workspace = face.open()
    world = see(face, workspace, recorded)
    if there := there_already(workspace, world, vm, cluster, server):
        face.show([f"{vm} is in {cluster} already, on {there.server}"], there)
        return
    order = order_of(
        workspace,
        world,
        vm,
        cluster,
        server,
        copy=copy,
        limit_mbit=limit or 0,
        ask=recorded is None,
    )
    steps = steps_of(workspace, order, mbit)
    lines = recipe_lines(steps, width())
    if only_plan:
        face.show(lines, order.model_dump(mode="json") | {"steps": steps})
        ctx.exit(CHANGES_PENDING)
    face.say("\n".join(lines))
    agreed(face, "Nothing else is done with it until then.", f"move {vm} to {cluster}", yes=yes)
    face.resumable = f"`metal move {vm} {cluster}` goes on where it stopped"
    with face.progress() as progress:
        done = move(workspace, order, progress)
    face.show([f"{vm} is in {cluster}, on {order.server}"], done)
