"""What went wrong with some of many: each with its server's name, after the table of all."""

from collections.abc import Iterable
from typing import Protocol

from metal.cli.face import Face


class Told(Protocol):
    """How it went with one server."""

    @property
    def server(self) -> str: ...
    @property
    def error(self) -> str | None: ...


def complain(face: Face, results: Iterable[Told]) -> None:
    """Of those that have an error; stderr."""
    for one in results:
        if one.error:
            face.complain(complaint(one.server, one.error))


def complaint(who: str, error: str, where: str = "") -> str:
    """The error, whose it is, and what to type for that one. `where`: the line of a list that says
    whose it is."""
    error, who = error.replace(" SERVER`", f" {who}`"), where or who
    return error if who in error.splitlines()[0] else f"{who}: {error}"
