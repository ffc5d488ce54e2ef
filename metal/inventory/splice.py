"""Changes to a TOML text that leave every other byte of it alone.

tomlkit would do, but it counts the comment above a table as the end of the table before, so a
table added to one server would come between the next server and its comment. Positions tell
where a pair ends, so what is added goes exactly there.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from metal.inventory.positions import Path, scan

WIDTH = 100
"""A longer inline table is written as a [table], a longer list over several lines."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING_OR_COMMENT = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}|"(?:[^"\\\n]|\\.)*"'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}|'[^'\n]*'|(#[^\r\n]*)",
    re.DOTALL,
)


class CannotSplice(Exception):
    """The text is written in a way this does not know how to add to."""


class Splicer:
    """Collects changes; `result` applies them all."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.data = tomllib.loads(text)
        self.found = scan(text)
        self.end_of_line = "\r\n" if "\r\n" in text else "\n"
        self._edits: list[tuple[int, int, str]] = []

    def result(self) -> str:
        text, edits = self.text, enumerate(self._edits)
        # From the end, so that offsets stay true; of one place the later addition goes last.
        for _, (start, end, new) in sorted(edits, key=lambda e: (e[1][0], e[0]), reverse=True):
            text = text[:start] + new.replace("\n", self.end_of_line) + text[end:]
        return text

    def update(self, table: Path, pairs: Mapping[str, Any]) -> None:
        """Give the keys of a table these values; None takes a key away.

        A table that is not there is made, empty if need be: to know nothing is also known.
        """
        old = self._read(table)
        changed = {k: v for k, v in pairs.items() if (old or {}).get(k) != v}
        if old is not None and not changed:
            return
        if table in self.found.tables:
            self._change_lines(table, changed)
        elif table in self.found.values:
            self._change_inline(table, changed)
        elif old is None and table[:-1] in self.found.tables:
            self.append_table(table, changed, after=table[:-1])
        elif old is None and table[:-1] in self.found.values:
            self._change_inline(table[:-1], {str(table[-1]): _without_none(changed)})
        else:
            raise CannotSplice(".".join(map(str, table)))

    def append_table(self, table: Path, pairs: Mapping[str, Any], after: Path = ()) -> None:
        """A new [table] behind everything that is below `after`, or at the end of the text."""
        block = _block(table, pairs)
        ends = [e for p, (_, e) in self._everything() if after and p[: len(after)] == after]
        if ends:
            self._edit(self._line_end(max(ends)), f"\n\n{block}")
        else:
            gap = "" if not self.text else "\n" if self.text.endswith("\n") else "\n\n"
            self._edit(len(self.text), f"{gap}{block}\n")

    def remove_table(self, table: Path) -> None:
        """A [table] and its own pairs; what is below [its.sub.tables] and comments above stay."""
        if table not in self.found.tables:
            raise CannotSplice(".".join(map(str, table)))
        start = self._line_start(self.found.tables[table][0])
        self._edit(start, "", self._own_end(table))

    def append_item(self, array: Path, value: Any) -> None:
        """One more item at the end of a list that has some."""
        items = [e for p, (_, e) in self.found.values.items() if p[:-1] == array]
        if not items:
            raise CannotSplice(".".join(map(str, array)))
        self._edit(max(items), f", {render(value)}")

    def rename(self, key: Path, new: str) -> None:
        """The key is called `new`, in every [header] too; CannotSplice where it stands in none."""
        spelled = r"\s*\.\s*".join(rf"""(?:{re.escape(str(k))}|"{k}"|'{k}')""" for k in key[:-1])
        last = rf"""({re.escape(str(key[-1]))}|"{key[-1]}"|'{key[-1]}')(?=\s*[.\]])"""
        header = re.compile(rf"\[\s*{spelled}\s*\.\s*{last}")
        headers = [at for p, at in self.found.tables.items() if p[: len(key)] == key]
        found = [m for start, end in headers if (m := header.match(self.text, start, end))]
        if not found:
            raise CannotSplice(".".join(map(str, key)))
        for match in found:
            self._edit(match.start(1), _key(new), match.end(1))

    def replace(self, path: Path, value: Any) -> None:
        """The value at `path`, an item of a list too."""
        if path not in self.found.values:
            raise CannotSplice(".".join(map(str, path)))
        start, end = self.found.values[path]
        self._edit(start, render(value), end)

    def _read(self, table: Path) -> dict[str, Any] | None:
        found: Any = self.data
        for part in table:
            if not isinstance(found, dict) or part not in found:
                return None
            found = found[part]
        return dict(found)

    def _everything(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        yield from self.found.values.items()
        yield from self.found.tables.items()

    def _edit(self, start: int, new: str, end: int | None = None) -> None:
        self._edits.append((start, start if end is None else end, new))

    def _line_end(self, offset: int) -> int:
        """The end of the line, its comment included, without the line break."""
        match = re.compile(r"[^\r\n]*").match(self.text, offset)
        return match.end() if match else len(self.text)

    def _line_start(self, offset: int) -> int:
        return self.text.rfind("\n", 0, offset) + 1

    def _change_lines(self, table: Path, changed: Mapping[str, Any]) -> None:
        """The keys of a [table], each on lines of its own."""
        end = self._own_end(table)
        for key, value in changed.items():
            path = (*table, key)
            if path not in self.found.values:
                if value is not None and path in self.found.keys:
                    raise CannotSplice(".".join(map(str, path)))
                if value is not None:
                    self._edit(end, f"\n{pair(key, value)}")
            elif value is None:
                self._remove_line(path)
            else:
                self._replace(path, key, value)

    def _own_end(self, table: Path) -> int:
        """Where a [table]'s own pairs end, before its [sub.tables]."""
        here = [self.found.tables[table][1]]
        here += [e for p, (_, e) in self.found.values.items() if self._in_header(p, table)]
        return self._line_end(max(here))

    def _in_header(self, path: Path, table: Path) -> bool:
        """The pair is written below the header of `table`, not below one of its [sub.tables]."""
        if path[: len(table)] != table or len(path) == len(table):
            return False
        return not any(path[:n] in self.found.tables for n in range(len(table) + 1, len(path)))

    def _replace(self, path: Path, key: str, value: Any) -> None:
        start, end = self.found.values[path]
        line = self._line_start(self.found.keys[path])
        comments = self._comments(start, end)
        if comments:
            self._edit(line, "".join(f"{c}\n" for c in comments))
        self._edit(start, pair(key, value).partition(" = ")[2], end)

    def _remove_line(self, path: Path) -> None:
        """Take the pair away; its comments stay as lines of their own."""
        start = self._line_start(self.found.keys[path])
        end = self._line_end(self.found.values[path][1])
        comments = self._comments(start, end)
        # With the line break before it, so that what is added behind it keeps its own place.
        before = start - len(self.end_of_line) if start else 0
        self._edit(before, "".join(f"\n{c}" for c in comments), end)

    def _comments(self, start: int, end: int) -> list[str]:
        return [m[1] for m in _STRING_OR_COMMENT.finditer(self.text, start, end) if m[1]]

    def _change_inline(self, table: Path, changed: Mapping[str, Any]) -> None:
        """The keys of an { inline = table }; unfolded into a [table] where it grows too long."""
        start, end = self.found.values[table]
        whole = _without_none({**(self._read(table) or {}), **changed})
        new = render(whole)
        line = self._line_start(start)
        if start - line + len(new) <= WIDTH or table[:-1] not in self.found.tables:
            self._edit(start, new, end)
            return
        self._remove_line(table)
        self._edit(self._own_end(table[:-1]), f"\n\n{_block(table, whole)}")


def _block(table: Path, pairs: Mapping[str, Any]) -> str:
    lines = [f"[{'.'.join(_key(str(k)) for k in table)}]"]
    return "\n".join([*lines, *(pair(k, v) for k, v in pairs.items() if v is not None)])


def pair(key: str, value: Any) -> str:
    """`key = value`; a list of tables, or one that is long, gets a line an item."""
    text = f"{_key(key)} = {render(value)}"
    listed = isinstance(value, list) and value
    if listed and (len(text) > WIDTH or (isinstance(value[0], dict) and len(value) > 1)):
        items = "".join(f"    {render(item)},\n" for item in value)
        return f"{_key(key)} = [\n{items}]"
    return text


def render(value: Any) -> str:
    """A value in TOML, on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            # JSON's escapes are TOML's, but for DEL, which TOML wants escaped too.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
        case list():
            return f"[{', '.join(map(render, value))}]"
        case dict():
            inside = ", ".join(f"{_key(k)} = {render(v)}" for k, v in value.items())
            return f"{{ {inside} }}" if inside else "{}"
        case _:
            return str(value.isoformat())


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else render(key)


def _without_none(pairs: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in pairs.items() if v is not None}
