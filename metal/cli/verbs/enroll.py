"""`metal enroll`: learn what servers are and take over their BMCs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb

if TYPE_CHECKING:
    from metal.controller.enrolling import EnrollResult


@click.command("enroll", cls=Verb)
@click.argument("targets", nargs=-1, metavar="[SERVER|ADDRESS]...", shell_complete=servers)
@click.option("--all", "everything", is_flag=True, help="Every server that is not enrolled yet.")
@click.option("--dry-run", is_flag=True, help="Only learn and show: change nothing anywhere.")
@click.option(
    "--credentials",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A file with user:password of the BMCs as they were delivered; only you may read it.",
)
@click.pass_context
def command(
    ctx: click.Context,
    targets: tuple[str, ...],
    everything: bool,
    dry_run: bool,
    credentials: Path | None,
) -> None:
    """Learn what servers are and take over their BMCs.

    Asks each BMC what the server is, gives it a password of our own (kept encrypted to every
    administrator before it is set) and writes what was learned into the inventory, comments
    kept.

    The password the BMCs were delivered with comes from --credentials, from METAL_BMC_USER
    and METAL_BMC_PASSWORD, or is asked for; never from the command line. It is tried once:
    a wrong one locks nobody out.
    """
    from metal.cli import asking
    from metal.controller.enrolling import Credential, enroll
    from metal.model.errors import BadInput

    face = ctx.ensure_object(Face)
    if bool(targets) == everything:
        raise BadInput("name servers, or give --all", mend="metal enroll --all")
    workspace = face.open()
    names = _not_enrolled(face) if everything else list(targets)
    if not names:
        face.say("every server of the inventory is enrolled")
        return
    user, password = asking.credentials(credentials)
    face.resumable = "servers that were enrolled stay so; the same command does the others"
    with face.progress() as progress:
        results = enroll(
            workspace, names, Credential(user, password), dry_run=dry_run, progress=progress
        )
    _report(face, results)
    ctx.exit(max((r.exit_code for r in results), default=0))


def _not_enrolled(face: Face) -> list[str]:
    from metal.model.life import Life

    workspace = face.open()
    return [n for n in workspace.inventory.servers if workspace.life(n) == Life.FOUND]


def _report(face: Face, results: "list[EnrollResult]") -> None:
    from metal.cli.render.enroll import enroll_lines
    from metal.cli.screen import width

    face.show(enroll_lines(list(results), width()), list(results))
    for result in results:
        if result.error:
            face.say(f"metal: {result.error}")
