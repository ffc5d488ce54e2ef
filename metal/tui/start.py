"""Run the TUI on the terminal at hand, whatever it can do."""

import os
import sys

from metal.model.errors import Refused
from metal.tui.source import Source

NO_COLOURS = ("dumb", "linux-m", "vt52", "vt100", "vt102", "vt220", "vt320", "xterm-mono")
OWN_COLOURS = ("linux", "ansi", "cons25", "console")
"""Terminals whose sixteen colours are better than anything mixed for more."""


def start(source: Source, *, colours: bool = True) -> int:
    """Show the TUI until it is left; its exit code. Refused where there is no terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refused(
            "this is no terminal",
            where="metal tui",
            mend="`metal tui --text` prints the fleet; `metal status` does, too",
        )
    terminal = os.environ.get("TERM", "")
    plain = not colours or terminal in NO_COLOURS or bool(os.environ.get("NO_COLOR"))
    if plain:
        os.environ["NO_COLOR"] = "1"  # what textual itself asks
    _write_utf8()

    from metal.tui.app import MetalApp

    app = MetalApp(source, colours=not plain and terminal not in OWN_COLOURS)
    app.run(mouse=False)
    return app.return_code or 0


def _write_utf8() -> None:
    """textual writes to the process's own stderr or stdout; a POSIX locale must not stop it."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(encoding="utf-8", errors="replace")
