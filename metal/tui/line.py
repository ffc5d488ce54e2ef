"""Lines of words with a tone: what every page is made of. Pure."""

from dataclasses import dataclass
from typing import Literal

from metal.tui.grid import safe

Tone = Literal["plain", "title", "faint", "good", "warn", "bad"]
"""How words are meant. A screen with colours shows it; the words alone must do without."""


@dataclass(frozen=True)
class Line:
    """One line of a page."""

    spans: tuple[tuple[str, Tone], ...] = ()
    key: str = ""
    """What enter opens, such as "server alba1"; a line without a key is never selected."""
    mark: str = " "
    """One character before the line: "!" where a person should look."""

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.spans).rstrip()


def line(text: str = "", tone: Tone = "plain", *, key: str = "", mark: str = " ") -> Line:
    """A line in one tone, made safe for any console."""
    return Line(((safe(text), tone),), key, mark)


_TONES: dict[str, Tone] = {
    "on": "good",
    "ok": "good",
    "online": "good",
    "running": "good",
    "member": "good",
    "done": "good",
    "warning": "warn",
    "draining": "warn",
    "waiting": "warn",
    "held": "warn",
    "stopped": "warn",
    "not seen": "warn",
    "critical": "bad",
    "offline": "bad",
    "failed": "bad",
    "off": "bad",
    "unknown": "faint",
    "retired": "faint",
    "cancelled": "faint",
    "found": "faint",
    "?": "faint",
}


def tone_of(word: str) -> Tone:
    """The tone of a state's word."""
    return _TONES.get(word.strip(), "plain")
