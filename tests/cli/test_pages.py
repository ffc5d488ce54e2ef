"""Every `metal …` that a page names is a command, with options that it takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from metal.cli.root import metal

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted([*REPOSITORY.glob("docs/*.md"), REPOSITORY / "README.md"])
NAMED = re.compile(r"`metal ([^`]+)`|^(?:\$ |    )metal ([^#\n]+)", re.MULTILINE)
ASKED = click.Context(metal, **metal.context_settings)
"""As metal itself asks: click keeps a command's help option as it was first asked for."""
OPTION = re.compile(r"--?[a-z][a-z-]*|-[A-Z]")


def named(text: str) -> Iterator[list[str]]:
    """The words after `metal` of each command in backticks, after a `$` or in an indented block."""
    for found in NAMED.finditer(text):
        yield (found[1] or found[2]).split()


def complaint(words: list[str]) -> str | None:
    """What is wrong with the command; None where nothing is."""
    command: click.Command = metal
    taken = options(metal)
    words = list(words)
    while isinstance(command, click.Group):
        while words and words[0].startswith("-"):
            given = words.pop(0)
            if given not in taken:
                return f"no option {given}"
            if not taken[given] and words:
                words.pop(0)
        if not words or not re.fullmatch(r"[a-z][a-z0-9|-]*", words[0]):
            return None  # the group itself is meant: `metal -C .lab …`
        name = words.pop(0)
        found = [command.get_command(ASKED, one) for one in name.split("|")]
        if not all(found):
            return f"no command {name}"
        command, taken = found[0], options(found[0])
    given = [w.strip("[]()…,").split("=")[0] for w in words]
    unknown = [w for w in given if OPTION.fullmatch(w) and w not in taken]
    return f"no option {', '.join(unknown)}" if unknown else None


def options(command: click.Command) -> dict[str, bool]:
    """Each option, and whether it is a flag."""
    return {
        name: parameter.is_flag or parameter.count
        for parameter in command.get_params(click.Context(command, parent=ASKED))
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_exists(page: Path) -> None:
    wrong = {f"metal {' '.join(w)}": complaint(w) for w in named(page.read_text())}
    assert not {k: v for k, v in wrong.items() if v}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("enrol alba1", "no command enrol"),
        ("-C .lab enroll --al", "no option --al"),
        ("bmc audit --all", None),
        ("bmc rotate --everything", "no option --everything"),
        ("-C .lab …", None),
    ],
)
def test_a_command_that_is_none_is_seen(words: str, said: str | None) -> None:
    assert complaint(words.split()) == said
