"""`metal plan`: what would be done."""

from pathlib import Path

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import see, world_option

CHANGES_PENDING = 10


@click.command("plan", cls=Verb)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the plan there, for `metal apply FILE`.",
)
@world_option
@click.pass_context
def command(ctx: click.Context, out: Path | None, recorded: Path | None) -> None:
    """Show what would be done, why and how risky it is.

    Looks at every server and cluster first, unless --world tells what was seen. Nothing is
    changed. Ends with 10 when the plan holds anything to do, with 0 when it is empty.
    """
    from metal.cli.render.plan import plan_lines
    from metal.cli.screen import width
    from metal.controller.planning import make_plan

    face = ctx.ensure_object(Face)
    workspace = face.open()
    plan = make_plan(workspace, see(face, workspace, recorded))
    if out is not None:
        face.write(out, plan.model_dump_json(indent=2) + "\n")
        face.say(f"the plan is in {out}: `metal apply {out}` carries it out")
    face.show(plan_lines(plan, width()), plan, list(plan.actions))
    if plan.actions:
        ctx.exit(CHANGES_PENDING)
