"""`metal network apply`: what was rendered, given to the gateways, proven, or taken back."""

from pathlib import Path

import click

from metal.cli.complete import sites
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import see, world_option

CHANGES_PENDING = 10


@click.command("apply", cls=Verb)
@click.argument("site", required=False, shell_complete=sites)
@click.option("--plan", "only_plan", is_flag=True, help="Only show what would be changed.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--overwrite", is_flag=True, help="Also what a person changed on a gateway.")
@click.option(
    "--trial",
    type=click.IntRange(10, 3600),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="After which a gateway that is not confirmed takes its former files back.",
)
@world_option
@click.pass_context
def command(
    ctx: click.Context,
    site: str | None,
    only_plan: bool,
    yes: bool,
    overwrite: bool,
    trial: int,
    recorded: Path | None,
) -> None:
    """Give the gateways of SITE, or of all sites, the files that `render` would write.

    Shows what differs, has each engine check its file on the gateway, then changes one gateway
    after the other, the one that stands by first. It carries the site for a moment, and what was
    reached from here before must be reached by it; else it takes its former files back by itself.

    Killed anywhere, the same command goes on with what was agreed to.
    """
    from metal.cli.asking import agreed
    from metal.cli.render.routing import order_lines, recipe
    from metal.cli.screen import width
    from metal.controller.routing import begun, carry_out, order_of, sites_with_gateways
    from metal.model.errors import Refused

    face = ctx.ensure_object(Face)
    workspace = face.open()
    chosen = sites_with_gateways(workspace, site)
    open_ = {name: order for name in chosen if (order := begun(workspace, name))}
    orders = list(open_.values())
    if len(open_) < len(chosen):
        world = see(face, workspace, recorded)
        for name in chosen:
            if name not in open_:
                order, remarks = order_of(workspace, world, name, trial=trial)
                orders.append(order)
                for remark in remarks:
                    face.say(remark)
    for name in open_:
        face.say(f"{name}: going on with what was agreed to before")
    wanted = [order for order in orders if order.gateways]
    face.show(order_lines(orders, width()), orders, orders)
    if only_plan:
        ctx.exit(CHANGES_PENDING if wanted else 0)
    edited = [file for order in wanted if order.site not in open_ for file in order.edited]
    if edited and not overwrite:
        raise Refused(
            f"a person changed what would be overwritten: {', '.join(edited)}",
            mend="take it into the inventory, or out of that file; or --overwrite",
        )
    for order in wanted:
        if order.site not in open_:
            agreed(face, recipe(order), f"change the gateways of {order.site}", yes=yes)
        face.resumable = f"`metal network apply {order.site}` goes on where it stopped"
        with face.progress() as progress:
            carry_out(workspace, order, progress)
        face.say(f"{order.site}: its gateways have it, and it is reached by them")
