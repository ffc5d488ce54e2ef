"""What every command knows of the person in front of it: where, how to print, how loud."""

import os
import re
import shlex
import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metal.model.visible import escaped, visible, without_login

if TYPE_CHECKING:
    from metal.cli.bars import Talk
    from metal.controller.workspace import Workspace


def _from_environment() -> str:
    return os.environ.get("METAL_WORKSPACE") or "."


ELSEWHERE = ("init", "completion", "lab")
"""These are not of the workspace that they are given in."""


TYPED: ContextVar[Callable[[str], str]] = ContextVar("TYPED", default=str)
"""`here` of the command that runs: what folds lines must know how long a command in them gets."""


@cache
def _advice() -> re.Pattern[str]:
    """A command that is told to somebody: in backquotes, or where a remedy tells the next one."""
    from metal.cli.root import COMMANDS

    verbs = "|".join(sorted(set(COMMANDS) - set(ELSEWHERE)))
    return re.compile(rf"(?:(?<=`)|(?<=→ )|(?<=then )|(?<=or )|(?<=; ))metal (?=(?:{verbs})\b)")


@dataclass
class Face:
    """The global options, and the few things a command does with them."""

    workspace: str = field(default_factory=_from_environment)
    output: str = "table"
    no_color: bool = field(default_factory=lambda: bool(os.environ.get("NO_COLOR")))
    verbose: bool = False
    typed: tuple[str, ...] = ()
    """The words of the command."""
    resumable: str = ""
    """What Ctrl-C says: how to go on with what was begun."""

    @property
    def folder(self) -> Path:
        return Path(self.workspace)

    @property
    def interactive(self) -> bool:
        """True if somebody can be asked."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def here(self, text: str) -> str:
        """`text` with every command of metal in it as it must be typed to mean the same workspace:
        one that was copied from a lab must not reach the real fleet."""
        if self.workspace == _from_environment():
            return text
        return _advice().sub(lambda _: f"metal -C {shlex.quote(self.workspace)} ", text)

    def open(self) -> "Workspace":
        """The workspace; BadInput when there is none."""
        from metal.controller.workspace import Workspace

        if self.workspace == ".":
            return Workspace.open(self.folder)
        return Workspace.named(self.folder)

    def say(self, text: str = "") -> None:
        """Talk: stderr. Parts of it may be a BMC's own words; what was typed may be a password."""
        self._talk(self._sayable(text))

    def complain(self, text: str) -> None:
        """What went wrong: stderr, folded where a person sees it and whole for a log."""
        from metal.cli.render.hang import hanging
        from metal.cli.screen import width

        text = self._sayable(text)
        folded = hanging("metal: ", text, width(), under=2) if sys.stderr.isatty() else None
        self._talk("\n".join(folded or [f"metal: {text}"]))

    def _sayable(self, text: str) -> str:
        for word in self.typed:
            text = text.replace(word, without_login(word))
        return visible(self.here(text))

    def _talk(self, text: str) -> None:
        click.echo(text, err=True, color=False if self.no_color else None)

    def progress(self) -> "Talk":
        """Progress bars on a terminal, lines with --verbose, else silence; a context manager."""
        from metal.cli.bars import talk

        return talk(self)

    def write(self, file: Path, text: str) -> None:
        """A file the person named; BadInput when it cannot be written there."""
        from metal.model.errors import BadInput

        try:
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise BadInput(
                f"cannot be written: {error.strerror}",
                where=str(file),
                mend="name a file in a folder that exists and is yours to write in",
            ) from None

    def write_secret(self, file: Path, data: bytes) -> None:
        """A file the person named that is nobody else's to read; it must not be there yet."""
        from metal.drivers.durable import make_folder, new_file
        from metal.model.errors import BadInput

        try:
            make_folder(file.parent)
            new_file(file, data)
        except OSError as error:
            raise BadInput(f"cannot be written: {error.strerror}", where=str(file)) from None

    def show(self, lines: list[str], document: Any, rows: list[Any] | None = None) -> None:
        """Data: stdout, in the shape that was asked for.

        `lines` is the table; `document` what `-o json` prints; `rows` what `-o ndjson` prints,
        one a line (the document itself when absent).
        """
        from metal.cli.output import data_lines

        for line in data_lines(self.output, lines, document, rows):
            shown = visible(self.here(line)) if self.output == "table" else escaped(line)
            click.echo(shown, color=False if self.no_color else None)
