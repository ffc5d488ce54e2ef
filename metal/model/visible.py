"""Texts that others wrote, made fit to be shown: nothing in them can move a terminal's cursor,
set its title or turn what follows around, and no password that stands in an address is repeated."""

import re

UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and line feed, DEL, C1
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"  # invisible, bidirectional
    "|[\ud800-\udfff]"  # halves of surrogate pairs
)

LOG_IN = re.compile(r"(?!\w+://[^/:@]*(?::\d+)?/)(\w+://)?\S*:.*@", re.DOTALL)
"""USER:PASSWORD@ before a host: whatever the password holds, but no @ in the path of a URL."""


def without_login(text: str) -> str:
    """ "…@10.0.0.5" of "root:calvin@10.0.0.5", with a scheme before it or not."""
    return LOG_IN.sub(r"\1…@", text, count=1) if LOG_IN.match(text) else text


def visible(text: str) -> str:
    """A question mark for each character that is not to be seen but to be obeyed."""
    return UNSEEN.sub("?", text)


def on_one_line(text: str) -> str:
    """The same where each line means something of its own: none of it can pass for another."""
    return " ".join(visible(text).split())


def escaped(text: str) -> str:
    """JSON text that says the same, with such characters written out."""
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
