"""How a command ends: every exception becomes one shape on stderr and one exit code."""

import errno
import os
import sys
from pathlib import Path

import click

from metal.cli.face import TYPED, Face
from metal.model.errors import MetalError, Unreachable

INTERRUPTED = 130
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Not a defect of ours: a person must make room."""
BROKEN_PIPE = 141
"""What a shell reports for a process that SIGPIPE ended."""


def ended(command: click.Command, words: list[str]) -> int:
    """Run `command` with `words`; the exit code, whatever happens."""
    _tolerate_odd_terminals()
    face = Face()
    face.typed = tuple(words)
    before = TYPED.set(face.here)
    try:
        code = _code(face, command, words)
        if code == Unreachable.exit_code:
            _tell_of_ended_lab(face)
        return code
    finally:
        TYPED.reset(before)


def _code(face: Face, command: click.Command, words: list[str]) -> int:
    try:
        with command.make_context("metal", words, obj=face) as context:
            if face.no_color:
                context.color = False
            command.invoke(context)
            if sys.stdout is not None:  # closed by whoever started us
                sys.stdout.flush()
        return 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        face.say(error.format_message())
        return error.exit_code
    except click.ClickException as error:
        return _complain(face, error.exit_code, error.format_message(), _help_of(error))
    except MetalError as error:
        return _tell(face, error)
    except (KeyboardInterrupt, click.Abort):
        return _complain(face, INTERRUPTED, "interrupted", face.resumable)
    except BrokenPipeError:
        # Whoever read us has enough. Nothing may be flushed into the dead pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            return _full(face, error)
        return _crashed(face, error)


def _tolerate_odd_terminals() -> None:
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")


def _tell(face: Face, error: MetalError) -> int:
    face.complain(str(error))
    return error.exit_code


def _tell_of_ended_lab(face: Face) -> None:
    """Its servers are not unplugged: there are none any more."""
    from metal.lab.topology import ended as lab_ended

    if lab_ended(face.folder):
        make_room = f"rm -r {face.folder}, then `metal lab up` makes another"
        face.say(f"  → the lab in {face.folder} has ended, nothing of it answers: {make_room}")


def _complain(face: Face, code: int, what: str, mend: str) -> int:
    face.complain(what + (f"\n  → {mend}" if mend else ""))
    return code


def _help_of(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path} --help" if context else ""


def _full(face: Face, error: OSError) -> int:
    what = f"{error.filename or 'the output'}: cannot be written: {error.strerror}"
    return _complain(face, 1, what, "make room there; the same command goes on")


def _crashed(face: Face, error: Exception) -> int:
    """A defect of ours: one line for the person, the traceback where a report can be made of it."""
    import traceback

    text = "".join(traceback.format_exception(error))
    if os.environ.get("METAL_DEBUG") == "1":
        face.say(text)
        return 1
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    try:
        log = crash_folder(face.folder) / "crash.log"
        _append(log, text)
        return _complain(face, 1, f"a defect in metal: {what}", f"the traceback is in {log}")
    except OSError as full:
        mend = f"METAL_DEBUG=1 prints the traceback; it could not be written: {full}"
        return _complain(face, 1, f"a defect in metal: {what}", mend)


def crash_folder(start: Path) -> Path:
    """state/ of the workspace `start` is in; without one, the person's own state folder."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "inventory.toml").is_file():
            return folder / "state"
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "metal"


def _append(log: Path, text: str) -> None:
    from datetime import UTC, datetime

    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a") as file:
        file.write(f"── {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC ──\n{text}\n")
