"""`metal balance`: use the servers of each cluster evenly."""

from pathlib import Path

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import only_planned, see, world_option

NO_OUT = "leave --out: -o json shows them, --apply carries them out"


@click.command("balance", cls=Verb)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the plan there, for `metal apply FILE`.",
)
@click.option("--apply", "now", is_flag=True, help="Carry it out, after asking.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option(
    "--moves",
    type=click.IntRange(0),
    metavar="N",
    help="At most so many, instead of what is left of the day's.",
)
@click.option(
    "--across",
    "beyond",
    is_flag=True,
    help="Between clusters instead: mend those that no moves inside them mend.",
)
@world_option
@click.pass_context
def command(
    ctx: click.Context,
    out: Path | None,
    now: bool,
    yes: bool,
    moves: int | None,
    beyond: bool,
    recorded: Path | None,
) -> None:
    """Move VMs inside their clusters so that the servers are used evenly.

    Shows the moves, in an order in which any server may die after each of them if it may now.
    Servers that may not die as it is are mended first. Nothing moves for its own sake: [balance]
    in inventory.toml says what is even enough, what a move must gain and how many a day.
    Ends with 10 when there is anything to move.

    With --across VMs go to other clusters, the fewest and least important that let every server
    of theirs die again, each as by `metal move`; a cluster that survives is left alone.
    """
    from metal.cli.render.balance import balance_lines
    from metal.cli.screen import width
    from metal.cli.verbs.apply import RESUMABLE, approve, carry_out
    from metal.cli.verbs.plan import CHANGES_PENDING
    from metal.controller.balancing import balance_plan
    from metal.model.errors import BadInput

    face = ctx.ensure_object(Face)
    only_planned(recorded, acts=now, mend="leave --apply, or --world")
    if beyond:
        if out is not None:
            raise BadInput("moves between clusters are in no plan for `metal apply`", mend=NO_OUT)
        _across(ctx, face, recorded, moves, now=now, yes=yes)
        return
    workspace = face.open()
    world = see(face, workspace, recorded)
    plan, found = balance_plan(workspace, world, moves, ask=recorded is None)
    if out is not None:
        face.write(out, plan.model_dump_json(indent=2) + "\n")
        face.say(f"the plan is in {out}: `metal apply {out}` carries it out")
    lines = balance_lines(plan, found, width())
    if now and plan.actions:
        face.resumable = RESUMABLE
        approve(face, plan, yes=yes)
        carry_out(face, workspace, plan)
        return
    face.show(lines, plan, list(plan.actions))
    if plan.actions:
        ctx.exit(CHANGES_PENDING)


def _across(
    ctx: click.Context,
    face: Face,
    recorded: Path | None,
    moves: int | None,
    *,
    now: bool,
    yes: bool,
) -> None:
    from metal.cli.asking import agreed
    from metal.cli.render.across import across_lines
    from metal.cli.screen import width
    from metal.cli.verbs.plan import CHANGES_PENDING
    from metal.controller.across import across_plan, carry_out, document

    workspace = face.open()
    found = across_plan(workspace, see(face, workspace, recorded), moves)
    lines = across_lines(found, width())
    if not (now and found.transfers):
        face.show(lines, document(found))
        ctx.exit(CHANGES_PENDING if found.transfers else 0)
    face.resumable = "`metal move VM CLUSTER` goes on with a move that was begun"
    face.say("\n".join(lines))
    agreed(face, "", f"move {len(found.transfers)} VMs to other clusters", yes=yes)
    with face.progress() as progress:
        done = carry_out(workspace, found, progress, face.say)
    face.show([], document(found) | {"moved": done})
