"""Names for the inventory out of what people write."""

import re


def slug(text: str, longest: int = 40, *, else_: str = "x") -> str:
    """`text` as a name: lower case, hyphens for what a host name cannot have, a letter first."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not plain[:1].isalpha():
        plain = f"{else_}-{plain}".strip("-")
    return plain[:longest].rstrip("-")
