"""What somebody at the rack is asked to do: one thing at a time, in large words and few."""

from textwrap import wrap

from metal.tui.line import Line, Tone, line
from metal.tui.source import ErrandSeen, Snapshot, ago

INDENT = 2


def errand_page(snapshot: Snapshot, width: int) -> list[Line]:
    """The oldest one."""
    if not snapshot.errands:
        return [line(), line("Nobody is asked to do anything. Escape goes back.")]
    errand = snapshot.errands[0]
    what = f"{errand.what[:1].upper()}{errand.what[1:]}."
    waited = ago((snapshot.taken_at - errand.asked_at).total_seconds())
    return [
        line(),
        *_folded(what, width, "title"),
        line(),
        *_folded(f"Why: {errand.why}.", width, "plain"),
        *_folded(f"Asked {waited} ago; it waits for your answer as long as it takes.", width),
        line(),
        line(f"{' ' * INDENT}y  it is {errand.wanted}: I did it and saw it"),
        line(f"{' ' * INDENT}n  it cannot be done"),
    ]


def errand_shown(snapshot: Snapshot) -> ErrandSeen | None:
    """The one that the page shows, and that an answer is for."""
    return snapshot.errands[0] if snapshot.errands else None


def _folded(text: str, width: int, tone: Tone = "faint") -> list[Line]:
    pad = " " * INDENT
    folded = wrap(text, width, initial_indent=pad, subsequent_indent=pad)
    return [line(part, tone) for part in folded]
