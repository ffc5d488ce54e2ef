"""The dead man's switch of a lab's server: what follows from metal.drivers.trial, as a double.

What its shell text does to a real machine is tested with the text; here files are strings, and
the timer is the lab's clock.
"""

import io
import tarfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from metal.drivers.commands import Result

Files = dict[str, str]
"""Path → text; a file that is not there is not in it."""


@dataclass
class Trials:
    """Of one server; each name's files are its own."""

    files: Files = field(default_factory=dict)
    unfit: Callable[[str, Files], str] = lambda _check, _files: ""
    """(check, files) → why the server has no use for them; "" where it has."""
    used: Callable[[str, bool], str] = lambda _name, _back: ""
    """(name, taken back) → why taking them into use failed; "" where it did not."""
    later: Callable[[float, Callable[[], None]], object] = lambda _seconds, _act: None
    before: dict[str, dict[str, str | None]] = field(default_factory=dict)
    """Name → what is taken back unless somebody confirms."""
    marks: dict[str, str] = field(default_factory=dict)
    """Name → the trial that is on, or was confirmed last."""
    said: dict[str, str] = field(default_factory=dict)
    """Name → why taking it into use failed."""
    _turns: Counter[str] = field(default_factory=Counter)
    """Counts a name's trials: an older one's end means nothing."""

    def answer(self, argv: Sequence[str], stdin: bytes) -> Result | None:
        """None for a command that is none of the switch's."""
        match argv:
            case ["sh", "-c", script, "_", verb, name, *rest] if "dead man" in script[:80]:
                told = self._act(verb, name, rest, stdin)
                return Result(0, f"{told}\n".encode(), "")
        return None

    def _act(self, verb: str, name: str, rest: Sequence[str], stdin: bytes) -> str:
        if verb == "begin":
            return self._begin(name, float(rest[0]), _unpacked(stdin))
        if verb in ("keep", "stands"):
            return self._state(name, rest[0], keep=verb == "keep")
        self.take_back(name)
        return ""

    def _begin(self, name: str, seconds: float, parts: dict[str, str]) -> str:
        paths = parts["paths"].splitlines()
        wanted = {path: parts.get(f"tree{path}") for path in paths}
        if why := self.unfit(parts["check"], {p: t for p, t in wanted.items() if t is not None}):
            return f"unfit\n{why}"
        tried = name in self.before
        if tried:
            self._put(self.before.pop(name))
        present = {path: self.files.get(path) for path in paths}
        if present == wanted and not tried:
            return "same"
        self.before[name], self.marks[name] = present, parts["mark"].strip()
        self._turns[name] += 1
        turn = self._turns[name]
        self.later(seconds, lambda: self.take_back(name) if self._turns[name] == turn else None)
        self._put(wanted)
        self.said[name] = self.used(name, False)
        return "trying"

    def _state(self, name: str, mark: str, *, keep: bool) -> str:
        if self.marks.get(name) != mark:
            return "back"
        if name in self.before and (why := self.said[name]):
            self.take_back(name)
            return f"unfit\n{why}"
        if name in self.before and not keep:
            return "stands"
        self.before.pop(name, None)
        return "kept"

    def take_back(self, name: str) -> None:
        if name in self.before:
            self._put(self.before.pop(name))
            del self.marks[name]
            self.used(name, True)

    def forget(self) -> None:
        """A power cut: whatever nobody confirmed is back before anything uses it."""
        for name in list(self.before):
            self.take_back(name)

    def _put(self, files: dict[str, str | None]) -> None:
        for path, text in files.items():
            if text is None:
                self.files.pop(path, None)
            else:
                self.files[path] = text


def _unpacked(parcel: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(parcel)) as tar:
        found = {entry.name: tar.extractfile(entry) for entry in tar}
        return {name: file.read().decode() for name, file in found.items() if file}
