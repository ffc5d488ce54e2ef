"""Progress on stderr: bars on a terminal, lines with --verbose, silence elsewhere."""

import os
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

from metal.cli.face import Face
from metal.model.visible import visible
from metal.tui.grid import bar

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import Task, TaskID

BAR_CELLS = 14


class Talk:
    """A Progress (metal/controller/progress.py) that says nothing; the others are made of it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def begin(self, key: str, what: str) -> None:
        pass

    def advance(self, key: str, fraction: float, text: str) -> None:
        pass

    def end(self, key: str, ok: bool, text: str) -> None:
        pass


def talk(face: Face) -> Talk:
    """The Progress that suits where stderr goes."""
    if sys.stderr.isatty():
        return Bars(face)
    plain = face.verbose or os.environ.get("METAL_PROGRESS") == "plain"
    return Lines(face) if plain else Talk()


def ending(what: str, ok: bool, text: str) -> str:
    """What is left on the screen of a finished piece of work; the remedy comes with the end."""
    mark = "ok  " if ok else "FAIL"
    return f"{mark} {what}" + (f": {text.splitlines()[0]}" if text else "")


class Lines(Talk):
    """One line for each beginning and end: what a log file wants."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._what: dict[str, str] = {}
        self._lock = threading.Lock()

    def begin(self, key: str, what: str) -> None:
        with self._lock:
            self._what[key] = what
            self._face.say(f"...  {what}")

    def end(self, key: str, ok: bool, text: str) -> None:
        with self._lock:
            self._face.say(ending(self._what.pop(key, key), ok, text))


class Bars(Talk):
    """A bar for each piece of work at hand, in ASCII; what is finished stays as a line above."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._progress = _rich_progress(not face.no_color)
        self._tasks: dict[str, tuple[TaskID, str]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, key: str, what: str) -> None:
        with self._lock:
            if key not in self._tasks:
                self._tasks[key] = (self._progress.add_task(visible(what), total=1.0, say=""), what)

    def advance(self, key: str, fraction: float, text: str) -> None:
        with self._lock:
            if key in self._tasks:
                self._progress.update(self._tasks[key][0], completed=fraction, say=visible(text))

    def end(self, key: str, ok: bool, text: str) -> None:
        with self._lock:
            task, what = self._tasks.pop(key, (None, key))
            if task is not None:
                self._progress.remove_task(task)
            style = "green" if ok else "bold red"
            said = visible(self._face.here(ending(what, ok, text)))
            self._progress.console.print(said, style=style, markup=False)


def _rich_progress(color: bool) -> "RichProgress":
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TextColumn
    from rich.table import Column
    from rich.text import Text

    class AsciiBar(ProgressColumn):
        """The same bar on every console: the Linux one lacks rich's glyphs."""

        def render(self, task: "Task") -> Text:
            return Text(bar(task.completed / (task.total or 1.0), BAR_CELLS), style="cyan")

    return Progress(
        AsciiBar(table_column=Column(min_width=BAR_CELLS, no_wrap=True)),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        TextColumn(
            "{task.fields[say]}", style="dim", markup=False, table_column=Column(no_wrap=True)
        ),
        console=Console(stderr=True, no_color=not color, highlight=False),
        transient=True,
        refresh_per_second=8,
    )
