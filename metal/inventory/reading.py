"""One TOML file: what it holds and where each piece of it stands."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metal.inventory.mistakes import Mistake
from metal.inventory.positions import Path as Where
from metal.inventory.positions import Positions, scan

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True)
class Source:
    """A file that was read."""

    file: Path
    data: dict[str, Any]
    positions: Positions

    def at_key(self, path: Where, what: str, mend: str = "") -> Mistake:
        return Mistake(self.file, *self.positions.key(path), what, mend)

    def at_value(self, path: Where, what: str, mend: str = "") -> Mistake:
        return Mistake(self.file, *self.positions.value(path), what, mend)


def read(file: Path) -> Source | Mistake:
    """The file, or what keeps it from being read at all."""
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        return Mistake(file, 1, 1, "there is no such file", "make a workspace: `metal init FOLDER`")
    except OSError as error:
        return Mistake(file, 1, 1, f"cannot be read: {error.strerror}", "check its permissions")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        lines = raw[: error.start].split(b"\n")
        column = len(lines[-1].decode(errors="replace")) + 1
        return Mistake(file, len(lines), column, "is not UTF-8", "save the file as UTF-8")
    return parse(file, text)


def parse(file: Path, text: str) -> Source | Mistake:
    """The text of `file`, or its first mistake in TOML."""
    # As tomllib does: line ends of another system count as one character.
    text = text.replace("\r\n", "\n")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _syntax(file, text, str(error))
    return Source(file, data, scan(text))


def _syntax(file: Path, text: str, message: str) -> Mistake:
    at = _AT.search(message)
    line, column = (int(at[1]), int(at[2])) if at and at[1] else _end(text)
    what = _AT.sub("", message)
    if what.startswith(("Cannot declare", "Cannot overwrite", "Cannot mutate", "Cannot redefine")):
        return _twice(file, text) or Mistake(file, line, column, "is written twice", _TWICE)
    return Mistake(file, line, column, f"is not TOML: {what[:1].lower()}{what[1:]}", _SYNTAX)


_TWICE = "keep one of the two"
_SYNTAX = 'strings need quotes: key = "text"; tables a header of their own line: [sites.lisbon]'


def _twice(file: Path, text: str) -> Mistake | None:
    """A key or table that stands there a second time, and where the first is."""
    try:
        positions = scan(text)
    except ValueError:
        return None
    for path, offset in sorted(positions.again.items(), key=lambda pair: pair[1]):
        name = ".".join(map(str, path))
        first, _ = positions.key(path)
        line, column = positions.line_column(offset)
        what = f"`{name}` is written twice; the first is in line {first}"
        return Mistake(file, line, column, what, "keep one of the two, or give one another name")
    return None


def _end(text: str) -> tuple[int, int]:
    lines = text.split("\n")
    return len(lines), len(lines[-1]) + 1
