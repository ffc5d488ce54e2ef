"""`metal plan`: what would be done."""

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import see, world_option

if TYPE_CHECKING:
    from metal.model.certificate import Certificate

CHANGES_PENDING = 10


@click.command("plan", cls=Verb)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the plan there, for `metal apply FILE`.",
)
@click.option(
    "--prove", is_flag=True, help="Instead show, for each server, where its VMs restart if it dies."
)
@click.option(
    "--certificate",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write that proof there as JSON, for `metal check-certificate FILE`.",
)
@world_option
@click.pass_context
def command(
    ctx: click.Context,
    out: Path | None,
    prove: bool,
    certificate: Path | None,
    recorded: Path | None,
) -> None:
    """Show what would be done, why and how risky it is.

    Looks at every server and cluster first, unless --world tells what was seen. Nothing is
    changed. Ends with 10 when the plan holds anything to do, with 0 when it is empty. The proof
    is of the world as the plan leaves it; without one for every server it ends with 1.
    """
    from metal.cli.render.plan import plan_lines
    from metal.cli.screen import width
    from metal.controller.applying import open_plan
    from metal.controller.planning import make_plan
    from metal.controller.proving import proof_of

    face = ctx.ensure_object(Face)
    workspace = face.open()
    world = see(face, workspace, recorded)
    plan = make_plan(workspace, world)
    if recorded is None and (begun := open_plan(workspace)):
        face.say(
            f"note: another plan is half carried out ({len(begun.actions)} actions), and `metal "
            "apply` goes on with that one first; `metal run list` shows it, `metal run cancel` of "
            "its apply gives it up"
        )
    if out is not None:
        face.write(out, plan.model_dump_json(indent=2) + "\n")
        face.say(f"the plan is in {out}: `metal apply {out}` carries it out")
    if prove or certificate is not None:
        _prove(ctx, face, proof_of(workspace.inventory, world, plan), certificate)
    face.show(plan_lines(plan, width()), plan, list(plan.actions))
    if plan.actions:
        ctx.exit(CHANGES_PENDING)


def _prove(
    ctx: click.Context, face: Face, proof: "Certificate", certificate: Path | None
) -> NoReturn:
    """Show the proof and end: 0 if every single server may die, else 1."""
    from metal.cli.render.prove import proof_lines
    from metal.cli.screen import width

    if certificate is not None:
        face.write(certificate, proof.model_dump_json(indent=2) + "\n")
        face.say(f"the certificate is in {certificate}: `metal check-certificate {certificate}`")
    face.show(proof_lines(proof, width()), proof)
    ctx.exit(0 if proof.safe else 1)
