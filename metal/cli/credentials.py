"""Credentials that a person gives: from files, the environment or a prompt."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import click

from metal.model.errors import BadInput, Refused

USER, PASSWORD = "METAL_BMC_USER", "METAL_BMC_PASSWORD"
LARGEST = 65536
"""Characters of a file of credentials."""


def credentials(files: Sequence[Path]) -> list[tuple[str, str]]:
    """(user, password) of the BMCs as delivered, in the order they are tried.

    From files, the environment or a prompt, never from the arguments: those are in every process
    list and shell history.
    """
    return from_files(files) or given(needed=True)


def given(*, needed: bool) -> list[tuple[str, str]]:
    """From the environment or a prompt. Nobody is asked, and nothing is missed, unless some are
    `needed`."""
    if pair := from_environment():
        return [pair]
    if not needed:
        return []
    if not os.isatty(0):
        raise BadInput(
            "no credentials of the BMCs",
            mend=f"--credentials FILE holding user:password, or set {USER} and {PASSWORD}",
        )
    user = click.prompt("BMC user", default=os.environ.get(USER) or "ADMIN", err=True)
    return [(user, click.prompt("BMC password", hide_input=True, err=True))]


def from_files(files: Sequence[Path]) -> list[tuple[str, str]]:
    return list(dict.fromkeys(pair for file in files for pair in from_file(file)))


def from_environment() -> tuple[str, str] | None:
    """(user, password), if both are set."""
    user, password = os.environ.get(USER), os.environ.get(PASSWORD)
    return (user, password) if user and password else None


def from_file(file: Path) -> list[tuple[str, str]]:
    """`user:password` on each line; blank ones and those that begin with # say nothing.

    A file that others can read is Refused.
    """
    pairs = [_pair(line, f"{file}:{number}") for number, line in private_lines(file)]
    if not pairs:
        raise BadInput("holds no user:password", where=f"{file}:1", mend="one a line, one colon")
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


def _pair(line: str, where: str) -> tuple[str, str]:
    user, colon, password = line.partition(":")
    if not (user and colon and password):
        raise BadInput("holds no user:password", where=where, mend="one a line, one colon")
    return user, password


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"it says: {error.strerror}"
    return "lines of UTF-8: user:password"
