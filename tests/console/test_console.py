"""The serial console: escapes, the log, and what happens when it drops."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from metal.cli.terminal import Escapes
from metal.controller import consoles
from metal.controller.consoles import Log, Session
from metal.model.errors import Failed, Unreachable

ECHO = Path(__file__).with_name("echo.py")


@pytest.mark.parametrize(
    ("typed", "passed", "ended"),
    [
        (b"ls\r", b"ls\r", False),
        (b"~.", b"", True),
        (b"ls\r~.never", b"ls\r", True),
        (b"ls ~.\r", b"ls ~.\r", False),
        (b"~~.\r", b"~.\r", False),
        (b"~x", b"~x", False),
        (b"~?~.", b"", True),
    ],
)
def test_escapes_whatever_the_pieces_they_come_in(typed: bytes, passed: bytes, ended: bool) -> None:
    whole, pieces = Escapes(), Escapes()
    assert (whole.feed(typed), whole.ended) == (passed, ended)
    assert b"".join(pieces.feed(bytes([byte])) for byte in typed) == passed
    assert pieces.ended == ended


class Line:
    """A console that says `said`, a piece a read, and drops where that is None."""

    def __init__(self, said: list[bytes | None]) -> None:
        self.said = said
        self.closed = False

    def read(self, timeout: float) -> bytes:
        piece = self.said.pop(0) if self.said else b""
        if piece is None:
            raise Unreachable("the session is gone")
        return piece

    def write(self, data: bytes) -> None:
        raise Unreachable("the session is gone")

    def close(self) -> None:
        self.closed = True


class Bench:
    def __init__(
        self, file: Path, lines: list[Line | Unreachable], *, stamps: bool = False
    ) -> None:
        self.lines, self.opened = lines, list(lines)
        self.shown, self.told = bytearray(), list[str]()
        self.file = file
        self.session = Session(self.open, Log(file, stamps=stamps), self.show, self.told.append)

    def open(self) -> Line:
        line = self.lines.pop(0)
        if isinstance(line, Unreachable):
            raise line
        return line

    def show(self, data: bytes) -> None:
        self.shown += data
        if b"END" in data:
            self.session.over.set()


def test_what_comes_is_shown_and_logged_for_its_owner_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "console" / "alba1.log", [Line([b"boot", b"ing\r\n", b"END\n"])])
    bench.session.run(30)
    assert bytes(bench.shown) == bench.file.read_bytes() == b"booting\r\nEND\n"
    assert bench.file.stat().st_mode & 0o777 == 0o600
    assert bench.file.parent.stat().st_mode & 0o777 == 0o700
    assert all(line.closed for line in bench.opened if isinstance(line, Line))


def test_stamps_stand_before_lines_whatever_the_pieces(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "log", [Line([b"one\ntw", b"o\nEND"])], stamps=True)
    bench.session.run(30)
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ "
    assert re.fullmatch(f"{stamp}one\n{stamp}two\n{stamp}END", bench.file.read_text())
    assert bytes(bench.shown) == b"one\ntwo\nEND"


def test_a_console_that_drops_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consoles, "LONGEST", 0.01)
    away = Unreachable("no answer")
    lines = [Line([b"before ", None]), away, Line([b"after END"])]
    bench = Bench(tmp_path / "log", lines)
    bench.session.write(b"lost, and no harm done")
    bench.session.run(30)
    assert bytes(bench.shown) == b"before after END"
    assert bench.told == [
        "the console dropped (the session is gone); opening it again",
        "no answer yet: no answer",
        "the console is back",
    ]


def test_one_that_somebody_takes_each_time_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consoles, "LONGEST", 0.01)
    bench = Bench(tmp_path / "log", [Line([None]) for _ in range(20)])
    with pytest.raises(Failed, match="dropped 5 times in a row"):
        bench.session.run(30)
    assert len(bench.lines) == 20 - consoles.DROPS - 1


def test_one_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        Bench(tmp_path / "log", [Unreachable("no answer")])


def test_seconds_end_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "log", [Line([])])
    bench.session.run(0.05)
    assert not bench.session.over.is_set()


def test_on_a_real_terminal(tmp_path: Path, on_terminal: Any) -> None:
    terminal = on_terminal(sys.executable, str(ECHO), str(tmp_path / "log"))
    terminal.until(lambda screen: b"login: " in screen)
    terminal.type(b"ro\x03ot")  # Ctrl-C is the server's
    terminal.until(lambda screen: b"ro\x03ot" in screen)
    terminal.type(b"\rdrop")
    terminal.until(lambda screen: b"the console is back" in screen)
    terminal.type(b"whoami\r")
    terminal.until(lambda screen: b"whoami\r" in screen)
    terminal.type(b"~.")
    terminal.until(lambda screen: b"ended" in screen)
    assert terminal.process.wait(10) == 0
    assert b"whoami\r" in (tmp_path / "log").read_bytes()
