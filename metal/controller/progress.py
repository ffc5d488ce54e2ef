"""How the faces learn of what goes on: begin, advance, end of a named piece of work."""

from typing import Protocol


class Progress(Protocol):
    """Called from several threads at once."""

    def begin(self, key: str, what: str) -> None: ...

    def advance(self, key: str, fraction: float, text: str) -> None:
        """`fraction`: 0 to 1 of the work that `key` names."""

    def end(self, key: str, ok: bool, text: str) -> None: ...


class _Silent:
    def begin(self, key: str, what: str) -> None:
        pass

    def advance(self, key: str, fraction: float, text: str) -> None:
        pass

    def end(self, key: str, ok: bool, text: str) -> None:
        pass


silent: Progress = _Silent()
