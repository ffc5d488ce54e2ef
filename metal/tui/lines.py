"""The one widget: lines of words, a cursor, keys. It draws only what is seen of them."""

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from metal.tui.grid import cut
from metal.tui.line import Line, Tone


class Lines(Widget, can_focus=True):
    """Lines with a cursor on those that have a key; a page without keys scrolls instead."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "lines--title",
        "lines--faint",
        "lines--good",
        "lines--warn",
        "lines--bad",
        "lines--cursor",
    }
    DEFAULT_CSS = """
    Lines { height: 1fr; width: 1fr; background: $background; }
    Lines .lines--title { color: $accent; text-style: bold; }
    Lines .lines--faint { text-style: dim; }
    Lines .lines--good { color: $success; }
    Lines .lines--warn { color: $warning; text-style: bold; }
    Lines .lines--bad { color: $error; text-style: bold; }
    Lines .lines--cursor { text-style: reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
        Binding("home,g", "edge(-1)", show=False),
        Binding("end,G", "edge(1)", show=False),
        Binding("enter", "open", show=False),
    ]

    class Opened(Message):
        """Enter on a line with a key."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Moved(Message):
        """The cursor or the window moved."""

    def __init__(self, pinned: int = 0) -> None:
        """`pinned`: so many first lines never scroll away."""
        super().__init__()
        self._pinned = pinned
        self._head: list[Line] = []
        self._lines: list[Line] = []
        self._cursor = -1
        self._top = 0

    # ── what is shown ───────────────────────────────────────────────────────────────────────

    def fill(self, lines: list[Line]) -> None:
        """Show these; the cursor stays on the line of the same key, or near where it was."""
        key = self.key
        self._head, self._lines = lines[: self._pinned], lines[self._pinned :]
        keyed = [n for n, line in enumerate(self._lines) if line.key]
        same = [n for n in keyed if self._lines[n].key == key]
        near = [n for n in keyed if n >= self._cursor] or keyed[-1:]
        self._cursor = (same or near or [-1])[0]
        self._settle()

    @property
    def key(self) -> str:
        """Of the line the cursor is on."""
        return self._lines[self._cursor].key if 0 <= self._cursor < len(self._lines) else ""

    @property
    def position(self) -> str:
        """ "3/10": which of the lines with a key, or which part of the page; "" if all is seen."""
        keyed = [n for n, line in enumerate(self._lines) if line.key]
        if keyed:
            return f"{keyed.index(self._cursor) + 1}/{len(keyed)}"
        last = min(len(self._lines), self._top + self._room)
        return f"{last}/{len(self._lines)}" if len(self._lines) > self._room else ""

    @property
    def _room(self) -> int:
        return max(1, self.size.height - len(self._head))

    def _settle(self) -> None:
        """Move the window so that the cursor is in it, and its heading if there is room."""
        most = max(0, len(self._lines) - self._room)
        if self._cursor >= 0:
            heading = self._cursor - (1 if self._room > 1 and self._cursor else 0)
            self._top = min(self._top, heading)
            self._top = max(self._top, self._cursor - self._room + 1)
        self._top = max(0, min(self._top, most))
        self.refresh()
        self.post_message(self.Moved())

    def on_resize(self, _: events.Resize) -> None:
        self._settle()

    def render_line(self, y: int) -> Strip:
        if y < len(self._head):
            return self._strip(self._head[y], chosen=False)
        number = self._top + y - len(self._head)
        if number >= len(self._lines):
            return Strip.blank(self.size.width, self.rich_style)
        return self._strip(self._lines[number], chosen=number == self._cursor)

    def _strip(self, line: Line, *, chosen: bool) -> Strip:
        width, base = self.size.width, self.rich_style
        if chosen:
            style = base + self._tone("cursor")
            text = cut(f">{line.mark}{line.text}", width).ljust(width)
            return Strip([Segment(text, style)], width)
        segments = [Segment(" ", base), Segment(line.mark, base + self._tone("bad"))]
        segments += [Segment(text, base + self._tone(tone)) for text, tone in line.spans]
        return Strip(segments).adjust_cell_length(width, base)

    def _tone(self, tone: Tone | str) -> Style:
        if tone == "plain":
            return Style()
        return self.get_component_rich_style(f"lines--{tone}", partial=True)

    # ── keys ────────────────────────────────────────────────────────────────────────────────

    def action_move(self, by: int) -> None:
        keyed = [n for n, line in enumerate(self._lines) if line.key]
        if not keyed:
            self._top += by
        else:
            place = keyed.index(self._cursor) + by
            if place < 0:
                self._top = 0  # the lines above the first one can be seen again
            self._cursor = keyed[max(0, min(place, len(keyed) - 1))]
        self._settle()

    def action_page(self, by: int) -> None:
        keyed = [n for n, line in enumerate(self._lines) if line.key]
        step = by * max(1, self._room - 1)
        self._top += step
        if keyed:
            wanted = self._cursor + step
            self._cursor = min(keyed, key=lambda n: abs(n - wanted))
        self._settle()

    def action_edge(self, by: int) -> None:
        keyed = [n for n, line in enumerate(self._lines) if line.key]
        self._top = 0 if by < 0 else len(self._lines)
        if keyed:
            self._cursor = keyed[0 if by < 0 else -1]
        self._settle()

    def action_open(self) -> None:
        if self.key:
            self.post_message(self.Opened(self.key))
