"""Sentences that are never cut: folded to the width, what follows stands under what began."""

from textwrap import wrap

from metal.tui.grid import safe


def hanging(lead: str, text: str, width: int, *, under: int | None = None) -> list[str]:
    """`text` after `lead`; at least one line, a break in `text` (before a mend) begins a new one.

    `under`: how far all but the first line are indented; as wide as `lead` unless told.
    """
    blank = " " * (len(lead) if under is None else under)
    lines: list[str] = []
    for part in text.splitlines() or [""]:
        first = blank if lines else lead
        folded = wrap(
            safe(part.strip()),
            width,
            initial_indent=first,
            subsequent_indent=blank,
            break_on_hyphens=False,
        )
        lines += folded or [first.rstrip()]
    return lines
