"""What is asked of the person: consent before something breaks, and credentials."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import click

from metal.cli.face import Face
from metal.cli.render.plan import destroyed, summary
from metal.model.errors import BadInput, Refused
from metal.model.plan import Plan

USER, PASSWORD = "METAL_BMC_USER", "METAL_BMC_PASSWORD"
LARGEST = 65536
"""Characters of a file of credentials."""


def consent(face: Face, plan: Plan, *, yes: bool) -> None:
    """Return when the plan may be carried out; Refused otherwise.

    What destroys is named, and allowed by typing how many there are: a reflex never does.
    """
    if yes or not plan.actions:
        return
    if not face.interactive:
        raise Refused(
            f"nobody can be asked whether to go on: {summary(plan)}",
            mend="--yes goes on without asking; `metal plan` shows what it would do",
        )
    lost = destroyed(plan)
    wanted = str(len(lost)) if lost else "yes"
    if lost:
        face.say(f"This wipes {len(lost)}:")
        for line in lost:
            face.say(f"  {line}")
    hint = f"type {wanted} (how many are wiped) to go on" if lost else "type yes to go on"
    answer = click.prompt(hint, default="", show_default=False, err=True)
    if answer.strip().lower() != wanted:
        raise Refused("nothing was done: consent was not given")


def agreed(face: Face, what: str, act: str, *, yes: bool) -> None:
    """Say what will happen, and return when a person wants it; Refused otherwise."""
    if yes:
        return
    if not face.interactive:
        raise Refused(f"nobody can be asked whether to {act}", mend="--yes goes on without asking")
    face.say(what)
    answer = click.prompt(f"type yes to {act}", default="", show_default=False, err=True)
    if answer.strip().lower() != "yes":
        raise Refused("nothing was done: consent was not given")


def compared(
    face: Face, where: str, old: str | None, new: str, fingerprint: str | None, mend: str
) -> bool:
    """Whether the certificate `new` is the right one: by `fingerprint`, else by asking.

    Refused where nobody can be asked; `mend` says how to read it at the machine itself.
    """
    face.say(f"pinned is  {old or 'none'}")
    face.say(f"it shows   {new}")
    if fingerprint:
        return fingerprint.upper() == new
    if not face.interactive:
        what = "nobody can be asked whether that is the right one"
        raise Refused(what, where=where, mend=mend)
    answer = click.prompt("type yes if you compared it", default="", err=True)
    return bool(answer.strip().lower() == "yes")


def credentials(files: Sequence[Path], *, needed: bool = True) -> list[tuple[str, str]]:
    """(user, password) of the BMCs as delivered, in the order they are tried.

    From files, the environment or a prompt, never from the arguments: those are in every process
    list and shell history. Nobody is asked, and nothing is missed, unless some are `needed`.
    """
    if files:
        return list(dict.fromkeys(pair for file in files for pair in from_file(file)))
    if given := from_environment():
        return [given]
    if not needed:
        return []
    if not os.isatty(0):
        raise BadInput(
            "no credentials of the BMCs",
            mend=f"--credentials FILE holding user:password, or set {USER} and {PASSWORD}",
        )
    user = click.prompt("BMC user", default=os.environ.get(USER) or "ADMIN", err=True)
    return [(user, click.prompt("BMC password", hide_input=True, err=True))]


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
