"""How a console is read while its guest writes on it, and where it was moved in mid-line."""

from pathlib import Path

import pytest

from metal.lab.namespaces.counting import Count, counts, gaps

LINES = "metal-guest ready at 6\r\ncount 7 up 12.50\r\ncount 8 up 12.61\r\n"
TOLD = [Count(number=7, up=12.5), Count(number=8, up=12.61)]


def console(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_bytes(text.encode())
    return file


@pytest.mark.parametrize("length", range(len(LINES)))
def test_a_line_counts_once_it_is_whole(tmp_path: Path, length: int) -> None:
    written = LINES[:length]
    whole = written.count("\n") - written.count("ready at 6\r\n")
    assert counts(console(tmp_path, "console", written)) == TOLD[:whole]


@pytest.mark.parametrize("length", range(len(LINES) + 1))
def test_a_line_that_a_move_splits_counts_once(tmp_path: Path, length: int) -> None:
    before = console(tmp_path, "before", LINES[:length])
    after = console(tmp_path, "after", LINES[length:])
    assert counts(before, after) == TOLD
    assert gaps(counts(before, after)) == []


def test_a_console_that_is_not_there_tells_nothing(tmp_path: Path) -> None:
    assert counts(tmp_path / "none") == []
