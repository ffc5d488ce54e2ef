"""`metal console`: a server's serial console."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.numbers import Finite

if TYPE_CHECKING:
    from metal.controller.consoles import Log


@click.command("console", cls=Verb)
@click.argument("server", shell_complete=servers)
@click.option(
    "--log",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Append to FILE.  [default: state/console/SERVER-TIME.log]",
)
@click.option("--stamps", is_flag=True, help="The time before each line of the log.")
@click.option("--read-only", is_flag=True, help="Send nothing that is typed.")
@click.option(
    "--seconds",
    type=Finite(min=0, min_open=True),
    metavar="N",
    help="End after N seconds; for scripts.",
)
@click.pass_obj
def command(
    face: Face,
    server: str,
    file: Path | None,
    stamps: bool,
    read_only: bool,
    seconds: float | None,
) -> None:
    """Show SERVER's serial console over its BMC (serial over LAN), and type on it.

    ~. at the beginning of a line ends it, ~? lists the escapes. It is taken from whoever has it,
    and opened again when it drops. All that comes goes to the log as well.
    """
    from contextlib import ExitStack

    from metal.cli.terminal import Keyboard, put, raw
    from metal.controller.consoles import Session, log_file, open_console
    from metal.controller.remote import named

    workspace = face.open()
    named(workspace, (server,))
    file = file or log_file(workspace, server)

    def say(text: str) -> None:
        # Raw terminals need the carriage return, others bear it.
        print(f"\r\n[{server}: {text}]\r", file=sys.stderr, flush=True)

    with ExitStack() as stack:
        session = Session(lambda: open_console(workspace, server), _log(file, stamps), put, say)
        face.say(f"[{server}: ~. at the beginning of a line ends it; the log is {file}]")
        if not read_only or sys.stdin.isatty():
            stack.enter_context(raw(sys.stdin.fileno()))
            write = (lambda _typed: None) if read_only else session.write
            stack.enter_context(Keyboard(sys.stdin.fileno(), write, session.over))
        session.run(seconds)
    face.say(f"[{server}: console closed]")


def _log(file: Path, stamps: bool) -> "Log":
    from metal.controller.consoles import Log
    from metal.model.errors import BadInput

    try:
        return Log(file, stamps=stamps)
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}", where=str(file)) from None
