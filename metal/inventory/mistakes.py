"""What is wrong in an inventory, where, and how to mend it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from metal.model.errors import BadInput


@dataclass(frozen=True, order=True)
class Mistake:
    file: Path
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    what: str
    mend: str = ""

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: {self.what}"
        return f"{text}\n  → {self.mend}" if self.mend else text


class InventoryErrors(BadInput):
    """Every mistake at once, in the order of the files."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(set(mistakes)))
        super().__init__("\n".join(map(str, self.mistakes)))


def meant(wrong: str, known: Iterable[str]) -> str | None:
    """The known word that was most likely meant, or None."""
    near = get_close_matches(wrong.lower(), sorted(known), n=1, cutoff=0.6)
    return near[0] if near else None


def refuse_unknown(name: str, known: Collection[str], noun: str) -> None:
    """BadInput for a server, cluster or site that the inventory does not have."""
    if name not in known:
        mend = suggest(name, known, noun)
        raise BadInput(f"there is no {noun} {name}", where="inventory.toml", mend=mend)


def suggest(wrong: str, known: Iterable[str], noun: str) -> str:
    """A mend for a word that is not one of the known ones."""
    known = sorted(known)
    if near := meant(wrong, known):
        return f"did you mean `{near}`?"
    if not known:
        return f"there is no {noun} yet: add one"
    listed = ", ".join(f"`{k}`" for k in known[:12])
    return f"{noun}s are: {listed}{', …' if len(known) > 12 else ''}"
