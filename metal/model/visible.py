"""Texts that others wrote, made fit to be shown: nothing in them can move a terminal's cursor,
set its title or turn what follows around."""

import re

UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and line feed, DEL, C1
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"  # invisible, bidirectional
    "|[\ud800-\udfff]"  # halves of surrogate pairs
)


def visible(text: str) -> str:
    """A question mark for each character that is not to be seen but to be obeyed."""
    return UNSEEN.sub("?", text)


def escaped(text: str) -> str:
    """JSON text that says the same, with such characters written out."""
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
