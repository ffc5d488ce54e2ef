"""What the pages of docs/ show is what the commands print: run, line by line."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from metal.lab import control
from metal.lab.topology import read

REPOSITORY = Path(__file__).resolve().parents[2]
SPEED = 60
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LEFT_OUT = "…"
"""A line of its own: any lines may stand here."""
HOME = "/home/you/fleet"
"""Where the pages' reader works."""
VARY = (
    (r"\b127\.\d+\.", "127.N."),
    (r"\blab \d+ in\b", "lab N in"),
    (r"runs \d+ times as fast", "runs N times as fast"),
    (r"\d{4}-\d\d-\d\dT[\d:]+\+00:00", "TIME"),
    (r"\d{4}-\d\d-\d\d-", "DATE-"),
    (r"([0-9A-F]{2}:){31}[0-9A-F]{2}", "FINGERPRINT"),
    (r"by-uuid/[0-9a-f-]{36}", "by-uuid/UUID"),
)
"""What differs from run to run: which lab it is, the time, certificates."""


@dataclass(frozen=True)
class Shown:
    """A command of a page, and what the page says that it prints."""

    command: str
    output: tuple[str, ...]


def shown(page: str) -> Iterator[Shown]:
    """Every `$ command` of the page's fenced blocks, in their order."""
    for block in FENCE.finditer((REPOSITORY / "docs" / page).read_text()):
        if block[1] or not block[2].startswith("$ "):
            continue
        for part in re.split(r"^\$ ", block[2], flags=re.MULTILINE)[1:]:
            command, *output = part.rstrip("\n").split("\n")
            yield Shown(command, tuple(line.rstrip() for line in output))


def alike(wanted: tuple[str, ...], got: list[str]) -> bool:
    """Whether `got` is `wanted`, where an elision stands for any lines."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == LEFT_OUT else re.escape(line) + r"\n" for line in wanted
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in got)) is not None


def plain(text: str) -> list[str]:
    """Lines without what varies; an empty last one does not count."""
    for pattern, instead in VARY:
        text = re.sub(pattern, instead, text)
    return [line.rstrip() for line in text.rstrip("\n").split("\n")] if text.strip() else []


class Reader:
    """Somebody who follows a page, in an empty workspace of the repository's own fleet."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.environment = folder, dict(os.environ)
        self.environment |= {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "80"}
        self.serving: list[subprocess.Popen[str]] = []
        for name in ("inventory.toml", "profiles", "preseed", "pxe"):
            source = REPOSITORY / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)

    def follow(self, step: Shown) -> list[str]:
        """What is printed; a file that the page shows with `cat` is written."""
        words = shlex.split(self.here(step.command), comments=True)
        if words[0] == "cat":
            file = self.folder / words[1]
            file.touch(mode=0o600)
            file.write_text(self.here("\n".join([*step.output, ""])))
        elif words[0] == "export":
            self.environment |= dict(word.split("=", 1) for word in words[1:])
            return []
        if words[:3] == ["metal", "lab", "up"]:
            words += ["--speed", str(SPEED)]
        if words[-1] == "&":
            return self._serve(words[:-1], len(step.output))
        printed = self._begin(words).communicate(timeout=300)[0]
        return plain(printed.replace(str(self.folder), HOME))

    def here(self, text: str) -> str:
        """The pages tell of lab 20; where another one runs, this is the next."""
        lab = self.folder / ".lab"
        return text.replace("127.20.", f"127.{read(lab).lab}.") if lab.exists() else text

    def _serve(self, words: list[str], lines: int) -> list[str]:
        process = self._begin(words)
        self.serving.append(process)
        assert process.stdout
        return plain("".join(process.stdout.readline() for _ in range(lines)))

    def _begin(self, words: list[str]) -> subprocess.Popen[str]:
        program = [sys.executable, "-m", "metal"] if words[0] == "metal" else [words[0]]
        return subprocess.Popen(
            [*program, *words[1:]],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self) -> None:
        for process in self.serving:
            process.kill()
            process.communicate()
        if (self.folder / ".lab" / "lab" / "topology.json").exists():
            control.down(self.folder / ".lab")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    made = Reader(tmp_path)
    try:
        yield made
    finally:
        made.end()


@pytest.mark.parametrize("page", ["enroll.md", "tutorial.md", "keys.md", "install.md"])
def test_what_a_page_shows_is_what_is_printed(page: str, reader: Reader) -> None:
    wrong = []
    for step in shown(page):
        wanted = tuple(plain("\n".join(step.output)))
        got = reader.follow(step)
        if not alike(wanted, got):
            wrong.append("\n".join([f"$ {step.command}", "shown:", *wanted, "printed:", *got]))
    assert not wrong, "\n\n".join(wrong)


def test_another_line_than_shown_is_seen() -> None:
    assert alike(("a", LEFT_OUT, "d"), ["a", "b", "c", "d"])
    assert alike(("a", LEFT_OUT), ["a"])
    assert not alike(("a", LEFT_OUT, "d"), ["a", "b", "c"])
    assert not alike(("a",), ["a", "b"])
    assert not alike((), ["a"])
