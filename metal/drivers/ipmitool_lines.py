"""Lines of "key : value", which most of ipmitool's outputs are."""

import re

from metal.drivers.placeholders import told


def fields(text: str) -> dict[str, str]:
    """Key → value; the first of a key counts. Lines that go on have "" for a key."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = re.match(r"^\s*([^:]+?)\s*: ?(.*)$", line)
        if match:
            found.setdefault(match[1].lstrip("- "), match[2].strip())
    return found


def listed(text: str, key: str) -> list[str]:
    """The value of `key` and of the lines below it that go on without one."""
    found: list[str] = []
    inside = False
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if name.strip():
            inside = bool(colon) and name.strip() == key
        if inside:
            found.append(value.strip())
    return found


def after(found: dict[str, str], key: str) -> str | None:
    return told(found.get(key))
