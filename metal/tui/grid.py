"""Columns of plain text: the one way both faces line words up. Pure."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column; where width is scarce those of the highest `rank` are left out first."""

    title: str
    rank: int = 0
    right: bool = False
    grows: bool = False
    """Takes the width that is left, and is cut where there is not enough."""
    least: int = 8
    """For a column that grows: cells below which another column is left out instead."""


GAP = 2


def safe(text: str) -> str:
    """`text` in Latin-1, one cell a character, no control characters.

    The Linux console has 256 or 512 glyphs and no second font; what it lacks becomes its base
    letter, or a question mark.
    """
    folded = []
    for character in unicodedata.normalize("NFC", text):
        if " " <= character <= "~" or "\u00a1" <= character <= "\u00ff":
            folded.append(character)
        else:
            folded.append(_ASCII.get(character) or _base_letter(character))
    return "".join(folded)


_ASCII = {"–": "-", "—": "-", "→": "->", "…": "...", "’": "'", "‘": "'", "“": '"', "”": '"'}
_ASCII |= {"\n": " ", "\t": " ", "\u00a0": " ", "ß": "ß", "─": "-", "ł": "l", "Ł": "L"}


def _base_letter(character: str) -> str:
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain if plain.isprintable() and plain else "?"


def cut(text: str, width: int) -> str:
    """`text` in at most `width` cells; two dots show that something was cut off."""
    if len(text) <= width:
        return text
    return text[: max(0, width - 2)] + ".."[: max(0, width)]


@dataclass(frozen=True)
class Grid:
    """Columns with the widths that a set of rows needs."""

    columns: tuple[Column, ...]
    widths: tuple[int, ...]
    """0: left out."""

    def cells(self, cells: Sequence[str]) -> list[str]:
        """Each cell made safe, cut and padded; "" for a column that is left out."""
        return [
            _padded(column, width, safe(cell))
            for column, width, cell in zip(self.columns, self.widths, cells, strict=True)
        ]

    def line(self, cells: Sequence[str]) -> str:
        return (" " * GAP).join(part for part in self.cells(cells) if part).rstrip()

    @property
    def header(self) -> str:
        return self.line([c.title for c in self.columns])


def _padded(column: Column, width: int, cell: str) -> str:
    text = cut(cell, width)
    return text.rjust(width) if column.right else text.ljust(width)


def fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> Grid:
    """The grid for `rows` in `width` cells."""
    need = [
        max([len(column.title), *(len(safe(row[i])) for row in rows)])
        for i, column in enumerate(columns)
    ]
    shown = list(range(len(columns)))
    while len(shown) > 1 and _least(columns, need, shown) > width:
        shown.remove(max(shown, key=lambda i: (columns[i].rank, i)))
    room = width - _fixed(columns, need, shown)
    widths = [need[i] if i in shown else 0 for i in range(len(columns))]
    for i in [i for i in shown if columns[i].grows]:
        widths[i] = max(1, min(need[i], room))
        room -= widths[i] + GAP
    return Grid(tuple(columns), tuple(widths))


def _least(columns: Sequence[Column], need: Sequence[int], shown: Sequence[int]) -> int:
    growing = sum(min(need[i], columns[i].least) for i in shown if columns[i].grows)
    return _fixed(columns, need, shown) + growing


def _fixed(columns: Sequence[Column], need: Sequence[int], shown: Sequence[int]) -> int:
    return sum(need[i] for i in shown if not columns[i].grows) + GAP * (len(shown) - 1)


def bar(fraction: float, width: int) -> str:
    """A progress bar in ASCII: [#####.....]"""
    inner = max(1, width - 2)
    full = round(min(1.0, max(0.0, fraction)) * inner)
    return "[" + "#" * full + "." * (inner - full) + "]"
