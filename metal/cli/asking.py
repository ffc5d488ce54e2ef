"""What is asked of the person: consent before something breaks, and credentials."""

import os
import stat
from pathlib import Path

import click

from metal.cli.face import Face
from metal.cli.render.plan import destroyed, summary
from metal.model.errors import BadInput, Refused
from metal.model.plan import Plan

USER, PASSWORD = "METAL_BMC_USER", "METAL_BMC_PASSWORD"


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
    answer = click.prompt(f"{summary(plan)} {hint}", default="", show_default=False, err=True)
    if answer.strip().lower() != wanted:
        raise Refused("nothing was done: consent was not given")


def credentials(file: Path | None) -> tuple[str, str]:
    """(user, password) of the BMCs as delivered: from a file, the environment or a prompt.

    Never from the arguments: those are in every process list and shell history.
    """
    if file is not None:
        return from_file(file)
    user, password = os.environ.get(USER), os.environ.get(PASSWORD)
    if user and password:
        return user, password
    if not os.isatty(0):
        raise BadInput(
            "no credentials of the BMCs",
            mend=f"--credentials FILE holding user:password, or set {USER} and {PASSWORD}",
        )
    user = click.prompt("BMC user", default=user or "ADMIN", err=True)
    return user, click.prompt("BMC password", hide_input=True, err=True)


def from_file(file: Path) -> tuple[str, str]:
    """`user:password` on the first line; a file that others can read is Refused."""
    try:
        with file.open(encoding="utf-8") as opened:
            # Of the file that is open, not of whatever bears the name a moment later.
            mode = os.fstat(opened.fileno()).st_mode
            line = opened.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("cannot be read as text", where=str(file), mend=_why(error)) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Refused(
            "others than you may read these credentials",
            where=str(file),
            mend=f"chmod 600 {file}",
        )
    user, colon, password = line.partition(":")
    if not (user and colon and password):
        raise BadInput("holds no user:password", where=f"{file}:1", mend="one line, one colon")
    return user, password


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"it says: {error.strerror}"
    return "one line of UTF-8: user:password"
