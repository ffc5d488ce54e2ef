"""`metal wipe`: erase a donor's data, and write a record that proves it."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb

if TYPE_CHECKING:
    from metal.controller.condemned import Condemned


@click.command("wipe", cls=Verb)
@click.argument("words", metavar="SERVER...", nargs=-1, required=True, shell_complete=servers)
@click.option("--disk", "serials", multiple=True, metavar="SERIAL", help="This disk; repeatable.")
@click.option("--confirm", metavar="TEXT", help="What would be typed, for scripts.")
@click.pass_context
def command(
    ctx: click.Context, words: tuple[str, ...], serials: tuple[str, ...], confirm: str | None
) -> None:
    """Erase the disks of servers for good, and sign a record of each for the donor.

    \b
    metal wipe SERVER...           every disk that enrolment recorded
    metal wipe SERVER --disk S     that one disk
    metal wipe verify FILE         whether a record is as it was signed

    By the disk's own command where it has one (NVMe format, ATA secure erase), else all of it is
    overwritten; afterwards it is read in 256 places to see that it is true. Refused for servers
    that are installed or members. The records are in erasures/.
    """
    face = ctx.ensure_object(Face)
    if words[0] == "verify":
        _verify(face, words[1:])
    else:
        ctx.exit(_wipe(face, tuple(dict.fromkeys(words)), serials, confirm))


def _wipe(face: Face, names: tuple[str, ...], serials: tuple[str, ...], confirm: str | None) -> int:
    from metal.burnin.wiping import disks_of
    from metal.cli.complaints import complain
    from metal.cli.render.burnin import worked_lines
    from metal.cli.screen import width
    from metal.controller.condemned import condemned
    from metal.controller.live_work import known, wipe, wipe_check
    from metal.model.errors import BadInput

    workspace = face.open()
    if serials and len(names) != 1:
        raise BadInput("--disk is of one server", mend="metal wipe SERVER --disk SERIAL")
    known(workspace, names)
    disks = {name: serials or disks_of(workspace.inventory, name) for name in names}
    wipe_check(workspace, disks)
    _consent(face, condemned(workspace, disks), confirm)
    face.resumable = "the machines go on alone; the same command follows them again"
    with face.progress() as progress:
        results = wipe(workspace, disks, getpass.getuser(), progress=progress)
    face.show(worked_lines(results, width()), results)
    complain(face, results)
    return max(r.exit_code for r in results)


def _consent(face: Face, disks: "list[Condemned]", confirm: str | None) -> None:
    """The phrase names how many disks are lost: a reflex never types it."""
    from metal.cli.render.burnin import condemned_lines
    from metal.cli.screen import width
    from metal.model.errors import Refused

    wanted = f"erase {len(disks)}"
    if confirm is None and not face.interactive:
        raise Refused(
            f"nobody can be asked whether to erase {len(disks)} disks",
            mend=f'--confirm "{wanted}" goes on without asking',
        )
    if confirm is None:
        face.say("\n".join(["This erases for good:", *condemned_lines(disks, width())]))
        confirm = click.prompt(
            f'type "{wanted}" to go on', default="", show_default=False, err=True
        )
    if " ".join(str(confirm).lower().split()) != wanted:
        raise Refused("nothing was done: consent was not given", mend=f'it would be "{wanted}"')


def _verify(face: Face, files: tuple[str, ...]) -> None:
    from metal.controller.erasures import verify
    from metal.model.errors import BadInput
    from metal.model.visible import on_one_line

    if not files:
        raise BadInput("which record?", mend="metal wipe verify erasures/NAME.json")
    records = [(file, verify(face.open(), Path(file))) for file in files]
    lines = [
        on_one_line(
            f"{file}: as it was signed"
            + (f"; disk {record.disk_serial} of {record.server}: {record.result}" if record else "")
        )
        for file, record in records
    ]
    face.show(lines, [{"file": file, "record": record} for file, record in records])
