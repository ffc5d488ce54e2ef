"""Where every key and value of a TOML file stands: what tomllib does not tell.

This reads only text that tomllib has accepted, so it checks nothing: it walks over strings,
comments and brackets and notes positions. tests/inventory/test_positions.py holds it against
tomllib. Grammar: https://toml.io/en/v1.0.0
"""

import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property

Path = tuple[str | int, ...]
"""Keys and array indexes from the top: ("vms", "mail1", "serves", 0, "port")."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# A date and a time may be parted by one blank.
_SCALAR = re.compile(r"\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]*|[^\s,\]}#]+")


@dataclass
class Positions:
    """Offsets into the text; `key` and `value` give line and column, both from 1."""

    text: str
    keys: dict[Path, int] = field(default_factory=dict)
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """Begin and end of each value; a [table] has none."""
    tables: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """Begin and end of each [header]."""
    again: dict[Path, int] = field(default_factory=dict)
    """Where a key or [table] is written a second time: tomllib refuses such a file."""

    def key(self, path: Path) -> tuple[int, int]:
        """Of the key, or of the nearest thing around it that is written down."""
        while path and path not in self.keys:
            if path in self.values:  # an array's item has no key
                return self.line_column(self.values[path][0])
            path = path[:-1]
        return self.line_column(self.keys.get(path, 0))

    def value(self, path: Path) -> tuple[int, int]:
        """Of the value; where there is none, of the key or of what is around it."""
        return self.line_column(self.values[path][0]) if path in self.values else self.key(path)

    def line_column(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def rename(self, wrong: str, right: str) -> None:
        """Know what stands below the top-level key `wrong` by the name `right` as well."""
        self.keys |= {(right, *p[1:]): at for p, at in self.keys.items() if p[0] == wrong}
        self.values |= {(right, *p[1:]): at for p, at in self.values.items() if p[0] == wrong}

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(m.end() for m in re.finditer("\n", self.text))]


def scan(text: str) -> Positions:
    """Positions in `text`, which must be TOML (keys written twice are tolerated).

    ValueError where it is something else, in a place where that can't be overlooked.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.found


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.found = Positions(text)
        self.at = 0
        self.latest: dict[Path, int] = {}
        """[[array of tables]] → index of its latest table."""

    def document(self) -> None:
        table: Path = ()
        self._skip(_BLANK)
        while self.at < len(self.text):
            if self._is("["):
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _header(self) -> Path:
        """[a.b] or [[a.b]]: the path of the table that begins here."""
        start = self.at
        many = self._is("[[")
        self.at += 2 if many else 1
        keys = self._keys()
        self.at += 2 if many else 1
        path: Path = ()
        for n, (key, offset) in enumerate(keys, 1):
            path += (key,)
            self.found.keys.setdefault(path, offset)
            if many and n == len(keys):
                self.latest[path] = self.latest.get(path, -1) + 1
            if path in self.latest:
                path += (self.latest[path],)
        if path in self.found.tables:
            self.found.again.setdefault(path, start)
        elif not many:
            # A [table] stands where its own header is, not where it was first implied.
            self.found.keys[path] = keys[-1][1]
        else:
            self.found.keys[path] = start
        self.found.tables.setdefault(path, (start, self.at))
        return path

    def _pair(self, table: Path) -> None:
        path = table
        for key, offset in self._keys():
            path += (key,)
            self.found.keys.setdefault(path, offset)
        if path in self.found.values:
            self.found.again.setdefault(path, offset)
        self._expect("=")
        self._value(path)

    def _keys(self) -> list[tuple[str, int]]:
        """A dotted key: its parts and where each begins."""
        keys = []
        while True:
            self._skip(_SPACE)
            start = self.at
            if self.text[start : start + 1] in ("'", '"'):
                key = _decode(self._skip(_STRING))
            else:
                key = self._skip(_BARE_KEY)
            keys.append((key, start))
            self._skip(_SPACE)
            if not self._is("."):
                return keys
            self.at += 1

    def _value(self, path: Path) -> None:
        self._skip(_SPACE)
        start = self.at
        if self._is("["):
            self._array(path)
        elif self._is("{"):
            self._inline_table(path)
        elif self.text[start : start + 1] in ("'", '"'):
            self._skip(_STRING)
        else:
            self._skip(_SCALAR)
        self.found.values[path] = (start, self.at)

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        self._skip(_BLANK)
        while not self._is("]"):
            self._value((*path, index))
            index += 1
            self._skip(_BLANK)
            if self._is(","):
                self.at += 1
                self._skip(_BLANK)
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        self._skip(_BLANK)
        while not self._is("}"):
            self._pair(path)
            self._skip(_BLANK)
            if self._is(","):
                self.at += 1
                self._skip(_BLANK)
        self.at += 1

    def _is(self, mark: str) -> bool:
        return self.text.startswith(mark, self.at)

    def _expect(self, mark: str) -> None:
        if not self._is(mark):
            raise ValueError(f"not TOML at offset {self.at}")
        self.at += len(mark)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise ValueError(f"not TOML at offset {self.at}")
        self.at = match.end()
        return match[0]


def _decode(quoted: str) -> str:
    """A quoted key's text: tomllib knows the escapes."""
    return str(tomllib.loads(f"k = {quoted}")["k"])
