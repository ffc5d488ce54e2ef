"""`metal run`: operations in the journal."""

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.group("run")
def command() -> None:
    """List, show, resume or cancel operations."""


@command.command("list", cls=Verb)
@click.option("--all", "everything", is_flag=True, help="Those that ended, too.")
@click.pass_obj
def list_(face: Face, everything: bool) -> None:
    """The operations that are open, oldest first."""
    from metal.cli.render.runs import run_lines
    from metal.cli.screen import width
    from metal.controller.running import list_runs

    runs = list_runs(face.open(), everything=everything)
    face.show(run_lines(runs, width()), runs)


@command.command("show", cls=Verb)
@click.argument("number", type=int)
@click.pass_obj
def show(face: Face, number: int) -> None:
    """One operation: its steps and what they said."""
    from metal.cli.render.runs import detail_lines
    from metal.cli.screen import width
    from metal.controller.running import show_run

    detail = show_run(face.open(), number)
    face.show(detail_lines(detail, width()), detail)


@command.command("resume", cls=Verb)
@click.argument("number", type=int)
@click.pass_obj
def resume(face: Face, number: int) -> None:
    """Go on with an operation where it stands."""
    from metal.controller.running import resume_run

    face.resumable = f"`metal run resume {number}` goes on where it stopped"
    with face.progress() as progress:
        resume_run(face.open(), number, progress)
    face.say(f"operation {number} is done")


@command.command("cancel", cls=Verb)
@click.argument("number", type=int)
@click.pass_obj
def cancel(face: Face, number: int) -> None:
    """Give an operation up: what it claims is free again, what it did stays done."""
    from metal.controller.running import cancel_run

    cancel_run(face.open(), number)
    face.say(f"operation {number} is cancelled; what it did stays done")
