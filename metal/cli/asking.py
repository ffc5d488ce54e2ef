"""What is asked of the person: consent before something breaks."""

from itertools import zip_longest

import click

from metal.cli.face import Face
from metal.cli.render.plan import destroyed, summary
from metal.model.errors import Refused
from metal.model.plan import Plan


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
    """Whether the certificate `new` is the right one: it is if it was told (`fingerprint`, which
    whoever asks has compared), else by asking.

    Refused where nobody can be asked; `mend` says how to read it at the machine itself.
    """
    face.say(f"pinned is  {old or 'none'}")
    face.say(f"it shows   {new}")
    if old:
        face.say(f"differ in  {_differing(old, new)}")
    if fingerprint:
        return fingerprint == new
    if not face.interactive:
        what = "nobody can be asked whether that is the right one"
        raise Refused(what, where=where, mend=mend)
    answer = click.prompt("type yes if you compared it", default="", err=True)
    return bool(answer.strip().lower() == "yes")


def _differing(old: str, new: str) -> str:
    """Where two fingerprints differ: "31 of 32 pairs, number 1 to 32"."""
    pairs = list(zip_longest(old.split(":"), new.split(":")))
    at = [number for number, (a, b) in enumerate(pairs, 1) if a != b]
    ends = f"number {at[0]}" if len(at) == 1 else f"number {at[0]} to {at[-1]}"
    return f"{len(at)} of {len(pairs)} pairs, {ends}"
