"""Once in a real terminal: tmux, 80x25, the Linux console's terminal type."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 60.0

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Terminal:
    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        """Of its socket: the default one may not be ours."""

    def tmux(self, *words: str) -> str:
        # Its own shell: an account of a service may have one that only says good-bye.
        env = {**os.environ, "SHELL": "/bin/sh", "TMUX_TMPDIR": self.folder}
        command = ["tmux", "-L", "metal-test", *words]
        return subprocess.run(command, capture_output=True, text=True, env=env).stdout

    def until(self, holds: Callable[[str], bool]) -> str:
        """The screen once `holds`; fails with the screen when it does not in time."""
        pause, deadline = threading.Event(), time.monotonic() + DEADLINE
        while not holds(screen := self.tmux("capture-pane", "-p")):
            assert time.monotonic() < deadline, screen
            pause.wait(0.05)
        return screen


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.tmux("kill-server")


@pytest.fixture
def workspace(tmp_path: Path, recorded: ModuleType) -> Path:
    """A copy of the repository's workspace with a recorded look in its state."""
    from metal.controller.workspace import Workspace

    folder = tmp_path / "fleet"
    for part in ("profiles", "pxe", "preseed"):
        shutil.copytree(ROOT / part, folder / part)
    shutil.copy(ROOT / "inventory.toml", folder)
    store = Workspace.open(folder).store
    store.looks.save(recorded.world(recorded.inventory()).model_dump_json())
    store.close()
    return folder


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_the_real_command_on_a_console(terminal: Terminal, workspace: Path, locale: str) -> None:
    command = (
        f"env -u NO_COLOR TERM=linux LANG={locale} LC_ALL={locale} "
        f"{sys.executable} -m metal -C {workspace} tui; echo ended with $?; read line"
    )
    terminal.tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "25", command)
    screen = terminal.until(lambda text: "alba1" in text and "q quit" in text)
    assert "critical" in screen and "duna1" in screen
    assert screen.isascii()
    terminal.tmux("send-keys", "Down", "Enter")
    terminal.until(lambda text: "server alba2" in text)
    terminal.tmux("send-keys", "q")
    terminal.until(lambda text: "attic-commons: fleet" in text)
    terminal.tmux("send-keys", "q")
    terminal.until(lambda text: "ended with 0" in text)


def test_somebody_at_the_rack_is_told_and_answers(terminal: Terminal, workspace: Path) -> None:
    from metal.controller.workspace import Workspace

    store = Workspace.open(workspace).store
    what = "press the power button of alba1 (rack L2, U10) until its light is off"
    asked = store.requests.ask("run 7: prove alba1 off", "alba1", "off", what, "it hangs")
    command = f"env TERM=linux LANG=C {sys.executable} -m metal -C {workspace} tui; read line"
    terminal.tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "25", command)
    screen = terminal.until(lambda text: "y done, I saw it" in text)
    assert "Press the power button of alba1 (rack L2, U10)" in screen and screen.isascii()
    terminal.tmux("send-keys", "y")
    terminal.until(lambda text: "attic-commons: fleet" in text)
    terminal.tmux("send-keys", "q")
    said = store.requests.find(asked.key)
    store.close()
    assert said and (said.answer, said.answered_by) == ("done", getpass.getuser())
