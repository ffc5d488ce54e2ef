"""Sentences that are never cut: folded to the width, what follows stands under what began."""

import re
from collections.abc import Iterable
from textwrap import wrap

from metal.cli.face import TYPED
from metal.tui.grid import safe

COMMAND = re.compile("`[^`]+`")
GLUE = "\N{NO-BREAK SPACE}"
FIRST = "\0"
"""Stands in a text that is said of several for the name of the first of them."""

EACH = "\1"
"""Stands in such a text for " each", where it is said of more than one."""


def hanging(lead: str, text: str, width: int, *, under: int | None = None) -> list[str]:
    """`text` after `lead`; at least one line, a break in `text` (before a mend) begins a new one.

    `under`: how far all but the first line are indented; as wide as `lead` unless told.
    """
    blank = " " * (len(lead) if under is None else under)
    lines: list[str] = []
    for part in TYPED.get()(text).splitlines() or [""]:
        first = blank if lines else lead
        folded = wrap(
            _commands_whole(safe(part.strip()), width - max(len(first), len(blank))),
            width,
            initial_indent=first,
            subsequent_indent=blank,
            break_on_hyphens=False,
        )
        lines += [line.replace(GLUE, " ") for line in folded] or [first.rstrip()]
    return lines


def _commands_whole(text: str, room: int) -> str:
    """A command is there to be copied: it is not folded where it fits into a line."""

    def glued(found: re.Match[str]) -> str:
        command = found[0]
        return command.replace(" ", GLUE) if len(command) < room else command

    return COMMAND.sub(glued, text)


def gathered(said: Iterable[tuple[str, str]], width: int) -> list[str]:
    """(name, text) pairs: each text once, after the names of all that it is said of."""
    names: dict[str, list[str]] = {}
    for name, text in said:
        names.setdefault(text, []).append(safe(name))
    return [
        line
        for text, of in names.items()
        for line in hanging("", f"{', '.join(of)}: {_filled(text, of)}", width, under=2)
    ]


def _filled(text: str, of: list[str]) -> str:
    return text.replace(FIRST, of[0]).replace(EACH, " each" if len(of) > 1 else "")
