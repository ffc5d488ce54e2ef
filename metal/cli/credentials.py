"""Credentials that a person gives: from files, the environment or a prompt."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from metal.model.errors import BadInput, Refused

USER, PASSWORD = "METAL_BMC_USER", "METAL_BMC_PASSWORD"
FORM = "one a line: the user, a colon, the password (which may hold colons)"
NAMED = 3
"""BMCs that a question lists by name."""
LARGEST = 65536
"""Characters of a file of credentials."""


class Given(NamedTuple):
    """What a person gave, and where: errors say that, never the password."""

    user: str
    password: str
    source: str


def credentials(files: Sequence[Path], bmcs: Sequence[str]) -> list[Given]:
    """Those of the BMCs as delivered, in the order they are tried.

    From files, the environment or a prompt, never from the arguments: those are in every process
    list and shell history.
    """
    return from_files(files) or given(bmcs)


def given(bmcs: Sequence[str]) -> list[Given]:
    """From the environment or a prompt. Nobody is asked, and nothing is missed, unless some
    `bmcs` need it."""
    if pair := from_environment():
        return [pair]
    if not bmcs:
        return []
    if not os.isatty(0):
        raise BadInput(
            f"no credentials of the {_of(bmcs)}",
            mend=f"--credentials FILE holding user:password, or set {USER} and {PASSWORD}",
        )
    click.echo(f"As delivered, of the {_of(bmcs)}:", err=True)
    user = click.prompt("BMC user", default=os.environ.get(USER) or "ADMIN", err=True)
    return [Given(user, click.prompt("BMC password", hide_input=True, err=True), "the prompt")]


def _of(bmcs: Sequence[str]) -> str:
    """ "BMC one1", "BMCs one1, 10.0.0.2 and 3 more"."""
    names = list(dict.fromkeys(bmcs))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{'BMCs' if len(names) > 1 else 'BMC'} {', '.join(names[:NAMED])}{more}"


def from_files(files: Sequence[Path]) -> list[Given]:
    """Each once, whatever file it is in."""
    found = [pair for file in files for pair in from_file(file)]
    return list({pair[:2]: pair for pair in reversed(found)}.values())[::-1]


def from_environment() -> Given | None:
    """If both are set."""
    user, password = os.environ.get(USER), os.environ.get(PASSWORD)
    return Given(user, password, f"{USER} and {PASSWORD}") if user and password else None


def from_file(file: Path) -> list[Given]:
    """`user:password` on each line; blank ones and those that begin with # say nothing. A password
    may hold colons, a user none.

    A file that others can read is Refused.
    """
    pairs = [_pair(line, f"{file}:{number}") for number, line in private_lines(file)]
    if not pairs:
        raise BadInput("holds no user:password", where=f"{file}:1", mend=FORM)
    return pairs


def private_lines(file: Path) -> list[tuple[int, str]]:
    """(number, line) of each that says something. A file that others can read is Refused."""
    try:
        with file.open(encoding="utf-8-sig") as opened:
            # Of the file that is open, not of whatever bears the name a moment later.
            mode = os.fstat(opened.fileno()).st_mode
            lines = opened.read(LARGEST).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("cannot be read as text", where=str(file), mend=_why(error)) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Refused(
            "others than you may read these credentials",
            where=str(file),
            mend=f"chmod 600 {file}",
        )
    return [(n, line) for n, line in enumerate(lines, 1) if line.strip() and line[0] != "#"]


def _pair(line: str, where: str) -> Given:
    user, colon, password = line.partition(":")
    if not (user and colon and password):
        raise BadInput("holds no user:password", where=where, mend=FORM)
    return Given(user, password, where)


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"it says: {error.strerror}"
    return "lines of UTF-8: user:password"
