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


def complaint(who: str, error: str) -> str:
    """The error, whose it is, and what to type for that one."""
    error = error.replace(" SERVER`", f" {who}`")
    return error if who in error.splitlines()[0] else f"{who}: {error}"
