"""The full-screen face. It reads snapshots in a worker thread and never waits for anything."""

from collections.abc import Callable
from typing import ClassVar

from textual import work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.theme import Theme

from metal.model.errors import MetalError
from metal.tui.screens import ErrandScreen, FleetScreen, HelpScreen, OperationsScreen, Page
from metal.tui.source import Snapshot, Source

EVERY = 1.0
"""Seconds between two snapshots."""

DARK = Theme(
    name="metal",
    primary="#7aa2d6",
    accent="#e0a458",
    success="#8fbf7f",
    warning="#e0a458",
    error="#e5736b",
    foreground="#d8dbe0",
    background="#15181d",
    surface="#15181d",
    panel="#232830",
    dark=True,
)


class MetalApp(App[None]):
    """Fleet, servers and operations, driven by keys alone. It changes nothing; only what somebody
    at the rack is asked is answered here."""

    TITLE = "metal"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "fleet", show=False),
        Binding("o", "operations", show=False),
        Binding("p", "errands", show=False),
        Binding("r", "look", show=False),
        Binding("question_mark", "help", show=False),
        Binding("ctrl+c,ctrl+q", "quit", show=False, priority=True),
    ]
    CSS = """
    Screen { layout: vertical; background: $background; color: $foreground; }
    """

    def __init__(self, source: Source, *, colours: bool = True, every: float = EVERY) -> None:
        """`colours`: False uses nothing but the terminal's own two and reverse."""
        super().__init__()
        self.source = source
        self.snapshot: Snapshot | None = None
        self.said = ""
        """What the header says beside how old the look is: "looking..", or an error."""
        self._every = every
        self._looking = False
        self._trouble = ""
        """Why the last look failed; kept in sight until the next one."""
        self._met: set[int] = set()
        """Errands that were put in sight once."""
        self.register_theme(DARK)
        self.theme = "metal" if colours else "ansi-dark"

    def on_mount(self) -> None:
        self.push_screen(FleetScreen())
        self.read()
        self.set_interval(self._every, self.read)

    # ── reading ─────────────────────────────────────────────────────────────────────────────

    def read(self) -> None:
        """Take a snapshot, unless one is being taken."""
        if not self._busy("read"):
            self._read()

    def _busy(self, group: str) -> bool:
        return any(w.group == group and not w.is_finished for w in self.workers)

    @work(thread=True, group="read")
    def _read(self) -> None:
        try:
            snapshot = self.source.snapshot()
        except MetalError as error:
            self._tell(self.show, None, error.what)
        else:
            self._tell(self.show, snapshot, "")

    def show(self, snapshot: Snapshot | None, said: str) -> None:
        """Draw what was read; the last snapshot stays when reading failed."""
        self.snapshot = snapshot or self.snapshot
        self.said = "looking.." if self._looking else said or self._trouble
        for screen in self.screen_stack:
            if isinstance(screen, Page):
                screen.redraw()
        self._put_in_sight()

    def _put_in_sight(self) -> None:
        """A new errand opens its page, once; not while somebody types, who may type a y."""
        new = {e.request for e in self.snapshot.errands} - self._met if self.snapshot else set()
        if new and not self.screen.has_class("filtering"):
            self._met |= new
            self.action_errands()

    @work(thread=True, group="answer")
    def answer(self, request: int, done: bool) -> None:
        """Record what the person says, and go back: a hasty second y meets no other errand."""
        said = ""
        try:
            self.source.answer(request, done)
        except MetalError as error:
            said = error.what
        self._tell(self._answered, said)

    def _answered(self, said: str) -> None:
        self._trouble = said
        if not said and isinstance(self.screen, ErrandScreen):
            self.pop_screen()
        self.read()

    @work(thread=True, group="look")
    def _look(self) -> None:
        said = ""
        try:
            self.source.look()
        except MetalError as error:
            said = error.what
        self._tell(self._looked, said)

    def _tell(self, what: Callable[..., None], *words: object) -> None:
        """From a worker: call in the app's own thread, unless the person has left meanwhile."""
        if self.is_running:
            self.call_from_thread(what, *words)

    def _looked(self, said: str) -> None:
        self._looking, self._trouble = False, said
        self.read()

    # ── keys ────────────────────────────────────────────────────────────────────────────────

    def action_look(self) -> None:
        if not self._looking:
            self._looking = True
            self._look()
            self.show(None, "")

    def action_fleet(self) -> None:
        while not isinstance(self.screen, FleetScreen):
            self.pop_screen()

    def action_operations(self) -> None:
        if not isinstance(self.screen, OperationsScreen):
            self.push_screen(OperationsScreen())

    def action_errands(self) -> None:
        if not isinstance(self.screen, ErrandScreen):
            self.push_screen(ErrandScreen())

    def action_help(self) -> None:
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())
