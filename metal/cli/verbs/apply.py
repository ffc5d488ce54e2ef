"""`metal apply`: carry a plan out, or go on with the open one."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb

if TYPE_CHECKING:
    from metal.controller.workspace import Workspace
    from metal.model.plan import Plan

WRITES_ONE = "`metal plan --out FILE` writes one"
RESUMABLE = "nothing is lost: the same command goes on where it stopped"


@click.command("apply", cls=Verb)
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[PLAN.json]")
@click.option("--yes", "-y", is_flag=True, help="Do not ask, not even before disks are wiped.")
@click.pass_context
def command(ctx: click.Context, file: Path | None, yes: bool) -> None:
    """Do what a plan says, or go on with what was begun.

    With a file: the plan `metal plan --out` wrote; refused when the world has changed since.
    Without: goes on with the plan that is half carried out, or makes one and asks.

    Killed at any moment, the same command resumes; a disk is wiped at most once.
    """
    from metal.cli.render.plan import plan_lines
    from metal.cli.screen import width
    from metal.controller.applying import open_plan

    face = ctx.ensure_object(Face)
    workspace = face.open()
    face.resumable = RESUMABLE
    begun = open_plan(workspace)
    if begun is not None and file is None:
        face.say(f"going on with the plan that was begun ({len(begun.actions)} actions)")
        carry_out(face, workspace, None)
        return
    if file is None:
        plan = _new_plan(face, workspace)
    else:
        asked = begun is None and face.interactive and not yes
        plan = _fresh_plan(face, workspace, file) if asked else read_plan(file)
    if not plan.actions:
        for line in plan_lines(plan, width()):
            face.say(line)
    else:
        approve(face, plan, yes=yes)
        carry_out(face, workspace, plan)


def read_plan(file: Path) -> "Plan":
    """A plan from a file that `metal plan --out` or `-o json` wrote; BadInput if it is none."""
    from pydantic import ValidationError

    from metal.model.errors import BadInput
    from metal.model.plan import Plan

    try:
        return Plan.model_validate_json(file.read_bytes())
    except OSError as error:
        raise BadInput(
            f"cannot be read: {error.strerror}", where=str(file), mend=WRITES_ONE
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadInput(
            f"is no plan: {place + ': ' if place else ''}{first['msg']}",
            where=str(file),
            mend=WRITES_ONE,
        ) from None


def _new_plan(face: Face, workspace: "Workspace") -> "Plan":
    from metal.controller.look import look
    from metal.controller.planning import make_plan

    with face.progress() as progress:
        return make_plan(workspace, look(workspace, progress=progress))


def _fresh_plan(face: Face, workspace: "Workspace", file: Path) -> "Plan":
    """The plan in the file; one that must not be carried out is refused before anybody reads it."""
    from metal.controller.applying import check
    from metal.controller.look import look

    plan = read_plan(file)
    if plan.actions:
        with face.progress() as progress:
            check(workspace, plan, look(workspace, progress=progress))
    return plan


def approve(face: Face, plan: "Plan", *, yes: bool) -> None:
    """Show the plan as talk and ask."""
    from metal.cli.asking import consent
    from metal.cli.render.plan import plan_lines
    from metal.cli.screen import width

    if face.interactive and not yes:
        for line in plan_lines(plan, width()):
            face.say(line)
    consent(face, plan, yes=yes)


def carry_out(face: Face, workspace: "Workspace", plan: "Plan | None") -> None:
    """Apply and report; Failed when an action was not done."""
    from metal.cli.render.hang import hanging
    from metal.cli.screen import width
    from metal.controller.applying import apply
    from metal.model.errors import Failed

    with face.progress() as progress:
        outcome = apply(workspace, plan, progress=progress)
    lines = [f"{outcome.done} done, {len(outcome.failed)} failed."]
    for action, why in outcome.failed.items():
        lines += hanging("  ", f"{action}: {why}", width(), under=4)
    face.show(lines, outcome)
    if outcome.failed:
        raise Failed(
            outcome.complaint,
            mend="mend the cause, then `metal apply` goes on; `metal run list` shows where it is",
        )
