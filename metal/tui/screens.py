"""The pages as screens: two lines of header, the lines, one line of keys."""

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, Static

from metal.tui.grid import cut, safe
from metal.tui.line import Line
from metal.tui.lines import Lines
from metal.tui.pages import fleet, operations
from metal.tui.pages.errands import errand_page, errand_shown
from metal.tui.pages.help import help_page
from metal.tui.pages.server import server_page
from metal.tui.rows import totals
from metal.tui.source import Snapshot

if TYPE_CHECKING:
    from metal.tui.app import MetalApp

MARGIN = 2
"""Cells before each line: the cursor and the mark."""


BARS = 3
"""Lines of header and footer."""


class Page(Screen[None]):
    """What every page shares. A page says what its title, its lines and its keys are."""

    KEYS = ""
    PINNED = 0
    FILTERS = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", show=False),
        Binding("q", "back", show=False),
        Binding("slash", "filter", show=False),
    ]
    DEFAULT_CSS = """
    Page > .bar { height: 1; width: 1fr; background: $panel; color: $foreground; }
    Page > #title { text-style: bold; }
    Page > Input { height: 1; border: none; padding: 0 1; background: $panel; display: none; }
    Page > Input:focus { border: none; }
    Page.filtering > Input { display: block; }
    Page.filtering > #keys { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.wanted = ""
        """What the lines are filtered by."""

    @property
    def metal(self) -> "MetalApp":
        from metal.tui.app import MetalApp

        assert isinstance(self.app, MetalApp)
        return self.app

    def compose(self) -> ComposeResult:
        yield Static(id="title", classes="bar", markup=False)
        yield Static(id="numbers", classes="bar", markup=False)
        yield Lines(self.PINNED)
        yield Input(placeholder="show lines with..", compact=True, select_on_focus=False)
        yield Static(id="keys", classes="bar", markup=False)

    def on_mount(self) -> None:
        self.query_one(Lines).focus()
        self.redraw()

    # ── what a page is ──────────────────────────────────────────────────────────────────────

    def name_of_page(self, snapshot: Snapshot) -> str:
        raise NotImplementedError

    def numbers(self, snapshot: Snapshot) -> str:
        return totals(snapshot.inventory, snapshot.world).text

    def lines(self, snapshot: Snapshot, width: int) -> list[Line]:
        raise NotImplementedError

    def news(self, snapshot: Snapshot) -> str:
        """What the title says at its right: how old the look is, unless somebody is waited for."""
        waiting = len(snapshot.errands)
        return f"p: {waiting} to do at the rack" if waiting else snapshot.age

    # ── drawing ─────────────────────────────────────────────────────────────────────────────

    def redraw(self) -> None:
        """Show the app's snapshot. Nothing, while the page is being taken down: a look that took
        long may end just then."""
        lines = self.query(Lines)
        if not (self.is_mounted and lines):
            return
        snapshot, width = self.metal.snapshot, self.size.width
        if snapshot is None:
            self._say("title", "metal", self.metal.said or "reading state..")
            return
        right = self.metal.said or self.news(snapshot)
        self._say("title", f"metal  {self.name_of_page(snapshot)}", right)
        self._say("numbers", self.numbers(snapshot), "")
        lines.first().fill(self.lines(snapshot, width - MARGIN))

    def _say(self, bar: str, left: str, right: str) -> None:
        room = max(0, self.size.width - 2)
        right = cut(safe(right), room)
        left = cut(safe(left), max(0, room - len(right) - 1))
        text = f" {left}{right.rjust(room - len(left))} "
        for found in self.query(f"#{bar}").results(Static):
            found.update(Content(text))

    def on_lines_moved(self) -> None:
        shown = f"/{self.wanted}  " if self.wanted else ""
        for lines in self.query(Lines):
            self._say("keys", self.KEYS, shown + lines.position)

    def on_resize(self) -> None:
        self.redraw()

    # ── keys ────────────────────────────────────────────────────────────────────────────────

    def on_lines_opened(self, message: Lines.Opened) -> None:
        kind, _, name = message.key.partition(" ")
        if kind == "server":
            self.app.push_screen(ServerScreen(name))

    def action_back(self) -> None:
        if self.has_class("filtering") or self.wanted:
            self._filter("", done=True)
        else:
            self.app.pop_screen()

    def action_filter(self) -> None:
        if self.FILTERS:
            self.add_class("filtering")
            self.query_one(Input).focus()

    def on_input_changed(self, message: Input.Changed) -> None:
        self._filter(message.value, done=False)

    def on_input_submitted(self, message: Input.Submitted) -> None:
        self._filter(message.value, done=True)

    def _filter(self, wanted: str, *, done: bool) -> None:
        self.wanted = wanted
        if done:
            self.remove_class("filtering")
            self.query_one(Lines).focus()
            with self.prevent(Input.Changed):
                self.query_one(Input).value = wanted
        self.redraw()


class FleetScreen(Page):
    """Every server by site and rack."""

    KEYS = "enter server  o operations  / filter  r look  ? help  q quit"
    PINNED = fleet.PINNED
    FILTERS = True
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "leave", show=False)]

    def name_of_page(self, snapshot: Snapshot) -> str:
        return f"{snapshot.inventory.fleet.name}: fleet"

    def lines(self, snapshot: Snapshot, width: int) -> list[Line]:
        height = self.size.height - BARS
        return fleet.fleet_page(snapshot, width, self.wanted, height)

    def action_back(self) -> None:
        if self.has_class("filtering") or self.wanted:
            self._filter("", done=True)

    def action_leave(self) -> None:
        self.app.exit()


class ServerScreen(Page):
    """One server."""

    KEYS = "up/down scroll  escape back  o operations  r look  ? help"

    def __init__(self, server: str) -> None:
        super().__init__()
        self.server = server

    def name_of_page(self, snapshot: Snapshot) -> str:
        return f"server {self.server}"

    def lines(self, snapshot: Snapshot, width: int) -> list[Line]:
        return server_page(snapshot, self.server, width)


class OperationsScreen(Page):
    """What runs, and what ended last."""

    KEYS = "enter server  escape back  / filter  r look  ? help"
    PINNED = operations.PINNED
    FILTERS = True

    def name_of_page(self, snapshot: Snapshot) -> str:
        return f"{snapshot.inventory.fleet.name}: operations"

    def numbers(self, snapshot: Snapshot) -> str:
        states = [o.status for o in snapshot.operations]
        counts = {state: states.count(state) for state in dict.fromkeys(states)}
        return ", ".join(f"{count} {state}" for state, count in counts.items()) or "none"

    def lines(self, snapshot: Snapshot, width: int) -> list[Line]:
        return operations.operations_page(snapshot, width, self.wanted)


class ErrandScreen(Page):
    """What to press at the rack. An answer is for the errand in sight, never for a newer one."""

    KEYS = "y done, I saw it  n it cannot be done  escape later"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", show=False),
        Binding("n", "answer(False)", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._shown = 0
        """The request that the lines are about."""

    def name_of_page(self, snapshot: Snapshot) -> str:
        return f"{snapshot.inventory.fleet.name}: at the rack"

    def numbers(self, snapshot: Snapshot) -> str:
        waiting = len(snapshot.errands)
        return f"{waiting} wait{'s' if waiting == 1 else ''} for a hand"

    def news(self, snapshot: Snapshot) -> str:
        return ""

    def lines(self, snapshot: Snapshot, width: int) -> list[Line]:
        shown = errand_shown(snapshot)
        self._shown = shown.request if shown else 0
        return errand_page(snapshot, width)

    def action_answer(self, done: bool) -> None:
        if self._shown:
            self.metal.answer(self._shown, done)
            self._shown = 0  # a second y must not answer the next one unseen


class HelpScreen(Page):
    """The keys and signs."""

    KEYS = "escape back"

    def name_of_page(self, snapshot: Snapshot) -> str:
        return "help"

    def lines(self, snapshot: Snapshot, width: int) -> list[Line]:
        return help_page()
