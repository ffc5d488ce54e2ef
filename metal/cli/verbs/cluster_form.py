"""`metal cluster form`: form one cluster, or see that it is wholly formed."""

from pathlib import Path

import click

from metal.cli.complete import clusters
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import only_planned, see, world_option


@click.command("form", cls=Verb)
@click.argument("cluster", shell_complete=clusters)
@click.option("--plan", "only_plan", is_flag=True, help="Only show what would be done.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@world_option
@click.pass_context
def command(
    ctx: click.Context, cluster: str, only_plan: bool, yes: bool, recorded: Path | None
) -> None:
    """Make the installed servers of CLUSTER one Proxmox cluster, with Ceph where it is wanted.

    A cluster that is half formed is gone on with from where it stands; of one that is wholly
    formed every part is looked at and nothing changed that is as it should be. `metal apply` does
    the same, for all clusters side by side.
    """
    from metal.cli.render.plan import plan_lines
    from metal.cli.screen import width
    from metal.cli.verbs.apply import RESUMABLE, approve, carry_out
    from metal.cli.verbs.plan import CHANGES_PENDING
    from metal.controller.forming import form_plan

    face = ctx.ensure_object(Face)
    only_planned(recorded, acts=not only_plan, mend="add --plan, or leave --world")
    workspace = face.open()
    plan = form_plan(workspace, see(face, workspace, recorded), cluster)
    if only_plan:
        face.show(plan_lines(plan, width()), plan, list(plan.actions))
        ctx.exit(CHANGES_PENDING)
    face.resumable = RESUMABLE
    approve(face, plan, yes=yes)
    carry_out(face, workspace, plan)
