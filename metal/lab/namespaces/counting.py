"""What a guest's console tells of its counting: what it wrote durably, and when by its clock."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from metal.model.base import Frozen

# To the line's own end: it is read while it is written, and half a number is another number.
_LINE = re.compile(r"^count (\d+) up ([\d.]+)\r?\n", re.MULTILINE)


class Count(Frozen):
    number: int
    up: float
    """Seconds since the guest's kernel began, by its own clock: that stands still with it."""


def counts(*consoles: Path) -> list[Count]:
    """All of them, in order; none where there is no such console yet.

    Several consoles are those of the servers that the guest moved over live, in that order: a line
    that it was moved in the middle of begins on one and ends on the next.
    """
    text = "".join(_said(console) for console in consoles)
    return [Count(number=int(m[1]), up=float(m[2])) for m in _LINE.finditer(text)]


def gaps(told: Sequence[Count]) -> list[tuple[int, int]]:
    """Pairs of neighbours that are not one apart: something was lost, or written twice."""
    return [(a.number, b.number) for a, b in pairwise(told) if b.number != a.number + 1]


def _said(console: Path) -> str:
    try:
        return console.read_bytes().decode(errors="replace")
    except OSError:
        return ""
