"""`metal watch`: notice servers that fail or are about to, and heal if told to."""

import threading
from typing import TYPE_CHECKING

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb

if TYPE_CHECKING:
    from metal.controller.watching import WatchReport


@click.command("watch", cls=Verb)
@click.option("--once", is_flag=True, help="One round; ends with 10 when something is to be done.")
@click.option(
    "--act/--no-act", default=False, help="Heal what is found, or only tell.  [default: no-act]"
)
@click.option(
    "--every",
    type=click.FloatRange(min=1),
    default=60.0,
    metavar="SECONDS",
    help="Between two rounds: old BMCs die of too many questions.  [default: 60]",
)
@click.pass_context
def command(ctx: click.Context, once: bool, act: bool, every: float) -> None:
    """Notice servers that fail or are about to; with --act heal what they hold.

    A dead server's VMs are restarted elsewhere only when its BMC says it is off. One that is
    about to fail is emptied while its VMs run on. What cannot be proven is held for a person.
    """
    from metal.controller.watching import watch_once

    face = ctx.ensure_object(Face)
    workspace = face.open()
    face.resumable = "what was begun is in `metal run list`; `metal watch --act` goes on with it"
    before: list[str] | None = None
    while True:
        with face.progress() as progress:
            report = watch_once(workspace, act=act, progress=progress)
        before = _tell(face, report, before)
        if once:
            ctx.exit(_exit_code(report, act=act))
        threading.Event().wait(every)


def _exit_code(report: "WatchReport", *, act: bool) -> int:
    from metal.cli.verbs.plan import CHANGES_PENDING

    if report.failed:
        return 1
    return CHANGES_PENDING if report.actions and not act else 0


def _tell(face: Face, report: "WatchReport", before: list[str] | None) -> list[str]:
    """Print a round unless it says the same as the one before."""
    from metal.cli.render.watch import watch_lines
    from metal.cli.screen import width

    lines = watch_lines(report, width())
    if lines != before:
        face.show(lines, report)
    return lines
