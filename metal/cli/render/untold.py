"""Why a value of a document is null: nothing is left out without a word. Pure."""

from collections.abc import Mapping
from typing import Any

NOT_TOLD = "the BMC does not tell it"
NAMED = 3
"""So many parts are named; beyond them their number says enough."""
OF_COURSE = ("node", "unknown")
"""A server that is alone behind its BMC has no node's name, and lacks nothing by it."""


def reasons(document: Mapping[str, Any]) -> dict[str, str]:
    """`document["unknown"]`, completed: each null has its reason.

    What a part of a list lacks stands under the list's key and its own, "drives.serial", with
    how many and which parts lack it; what an object lacks under "cpu.cores".
    """
    found: dict[str, str] = {}
    for key, value in document.items():
        if value is None and key not in OF_COURSE:
            found[key] = NOT_TOLD
        elif isinstance(value, list):
            found |= {f"{key}.{field}": why for field, why in _of_parts(value).items()}
        elif isinstance(value, dict) and key not in OF_COURSE:
            found |= {f"{key}.{field}": NOT_TOLD for field in value if value[field] is None}
    known: dict[str, str] = document["unknown"]
    return found | known


def _of_parts(parts: list[Any]) -> dict[str, str]:
    """field → which of the parts are without it."""
    without: dict[str, list[str]] = {}
    for number, part in enumerate(p for p in parts if isinstance(p, dict)):
        for field in (f for f, value in part.items() if value is None):
            without.setdefault(field, []).append(_name(part) or str(number + 1))
    return {field: _of(names, len(parts)) for field, names in without.items()}


def _name(part: Mapping[str, Any]) -> str | None:
    return part.get("name") or part.get("slot")


def _of(names: list[str], parts: int) -> str:
    if len(names) == parts:
        return f"{NOT_TOLD} of any"
    listed = f": {', '.join(names)}" if len(names) <= NAMED else ""
    return f"{NOT_TOLD} of {len(names)} of {parts}{listed}"
