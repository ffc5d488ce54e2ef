"""`metal drain`: empty a server while its VMs run on."""

from pathlib import Path

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import only_planned, see, world_option


@click.command("drain", cls=Verb)
@click.argument("server", shell_complete=servers)
@click.option("--plan", "only_plan", is_flag=True, help="Only show what would move where.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@world_option
@click.pass_context
def command(
    ctx: click.Context, server: str, only_plan: bool, yes: bool, recorded: Path | None
) -> None:
    """Move every VM off SERVER, live, and keep it empty.

    Refused when a VM has nowhere to go, or when the hypervisor says that a move would fail.
    """
    from metal.cli.render.plan import plan_lines
    from metal.cli.screen import width
    from metal.cli.verbs.apply import RESUMABLE, approve, carry_out
    from metal.cli.verbs.plan import CHANGES_PENDING
    from metal.controller.planning import drain_plan
    from metal.controller.preflight import cleared
    from metal.controller.remote import named

    face = ctx.ensure_object(Face)
    only_planned(recorded, acts=not only_plan, mend="add --plan, or leave --world")
    workspace = face.open()
    named(workspace, (server,))
    plan = drain_plan(workspace, see(face, workspace, recorded), server)
    if recorded is None:
        plan = cleared(workspace, plan)
    if only_plan:
        face.show(plan_lines(plan, width()), plan, list(plan.actions))
        ctx.exit(CHANGES_PENDING if plan.actions else 0)
    face.resumable = RESUMABLE
    approve(face, plan, yes=yes)
    carry_out(face, workspace, plan)
