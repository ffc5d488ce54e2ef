"""`metal lab`: a virtual rack whose servers answer over the real protocols."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb

if TYPE_CHECKING:
    from metal.lab.control import LabStatus

FOLDER = click.argument(
    "folder", type=click.Path(file_okay=False, path_type=Path), default=Path(".lab")
)


@click.group("lab")
def command() -> None:
    """A virtual rack to try all of it on.

    FOLDER is the lab's own workspace (.lab unless you name another): a copy of yours whose
    servers live on loopback addresses. Work on it with `metal -C FOLDER`.
    """


@command.command("up", cls=Verb)
@FOLDER
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True, max=1000),
    default=20.0,
    metavar="TIMES",
    help="How fast its clock runs.  [default: 20]",
)
@click.pass_obj
def up(face: Face, folder: Path, speed: float) -> None:
    """Start the servers of this workspace's inventory as doubles."""
    from metal.lab.control import up

    source = face.open().folder
    _show(face, up(source, folder, speed=speed))
    face.say(f"work on it with: metal -C {folder} enroll --all")


@command.command("status", cls=Verb)
@FOLDER
@click.pass_obj
def status(face: Face, folder: Path) -> None:
    """What really is in the lab, whatever metal believes."""
    from metal.lab.control import status

    _show(face, status(folder))


@command.command("break", cls=Verb)
@click.argument("server", shell_complete=servers)
@click.argument("fault")
@FOLDER
@click.pass_obj
def break_(face: Face, server: str, fault: str, folder: Path) -> None:
    """Let a fault happen to SERVER.

    \b
    crash       the system hangs: no answer from it, the BMC says on
    dead        the power supply burns out: the BMC says off, and on does nothing
    psu         a power supply fails: the server runs on, its BMC complains
    bmc-silent  the BMC answers nobody
    repair      everything is well again
    """
    from metal.lab.control import break_

    break_(folder, server, fault)
    face.say(f"{server}: {fault}")


@command.command("down", cls=Verb)
@FOLDER
@click.pass_obj
def down(face: Face, folder: Path) -> None:
    """Stop the lab; its folder stays, to be looked at."""
    from metal.lab.control import down

    down(folder)
    face.say(f"the lab in {folder} is down")


def _show(face: Face, status: "LabStatus") -> None:
    from metal.cli.render.lab import lab_lines
    from metal.cli.screen import width

    face.show(lab_lines(status, width()), status)
