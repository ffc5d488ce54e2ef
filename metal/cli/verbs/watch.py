"""`metal watch`: notice servers that fail or are about to, and heal if told to."""

import signal
import threading
from typing import TYPE_CHECKING

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.numbers import Finite

if TYPE_CHECKING:
    from metal.controller.watching import WatchReport


@click.command("watch", cls=Verb)
@click.option("--once", is_flag=True, help="One round; ends with 10 when something is to be done.")
@click.option(
    "--act/--no-act", default=False, help="Heal what is found, or only tell.  [default: no-act]"
)
@click.option(
    "--every",
    type=Finite(min=1),
    metavar="SECONDS",
    help="Between two rounds. A BMC is never asked more often than it bears.  "
    "[default: `every` in [watch], 10]",
)
@click.option(
    "--place", metavar="NAME", help="Where this watcher is.  [default: this machine's name]"
)
@click.option(
    "--metrics",
    metavar="[HOST:]PORT",
    help="Let Prometheus scrape http://HOST:PORT/metrics.  [default host: 127.0.0.1]",
)
@click.option(
    "--who", is_flag=True, help="Only tell which watcher leads, and from where who looks."
)
@click.pass_context
def command(
    ctx: click.Context,
    once: bool,
    act: bool,
    every: float | None,
    place: str | None,
    metrics: str | None,
    who: bool,
) -> None:
    """Notice servers that fail or are about to; with --act heal what they hold.

    A dead server's VMs are restarted elsewhere only when its BMC says it is off. One that is
    about to fail is emptied while its VMs run on. What cannot be proven is held for a person.
    Any number of watchers may act on one PostgreSQL: one of them leads, the others look.
    """
    face = ctx.ensure_object(Face)
    if who:
        _who(face)
    elif once:
        ctx.exit(_once(face, act=act, place=place))
    else:
        _watch(face, act=act, every=every, place=place, metrics=metrics)


def _once(face: Face, *, act: bool, place: str | None) -> int:
    from metal.cli.verbs.plan import CHANGES_PENDING
    from metal.controller.watching import watch_once

    workspace = face.open()
    face.resumable = RESUME
    with face.progress() as progress:
        report = watch_once(workspace, act=act, place=place or "", progress=progress)
    _tell(face, report, None)
    if report.failed:
        return 1
    return CHANGES_PENDING if report.actions and not act else 0


def _watch(
    face: Face, *, act: bool, every: float | None, place: str | None, metrics: str | None
) -> None:
    from metal.cli.metrics_door import metrics_door
    from metal.controller.watch_loop import WatchLoop

    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    before: list[str] | None = None
    workspace = face.open()
    with metrics_door(face, workspace, metrics) as meter, face.progress() as progress:
        loop = WatchLoop(workspace, progress, act=act, every=every, place=place or "", meter=meter)
        for report in loop.rounds(end):
            before = _tell(face, report, before)
    face.say(f"ended; {RESUME}")


RESUME = "what was begun is in `metal run list`; `metal watch --act` goes on with it"


def _tell(face: Face, report: "WatchReport", before: list[str] | None) -> list[str]:
    """Print a round unless it says the same as the one before."""
    from metal.cli.render.watch import watch_lines
    from metal.cli.screen import width

    lines = watch_lines(report, width())
    if lines != before:
        face.show(lines, report)
    return lines


def _who(face: Face) -> None:
    from metal.cli.render.watch import watcher_lines
    from metal.cli.screen import width
    from metal.controller.watchers import watchers

    found = watchers(face.open())
    face.show(watcher_lines(found, width()), found)
