"""Values of a Redfish body in the shape that is wanted, whatever a BMC put there.

BMCs send numbers as strings, one object where a list belongs, a list where an object belongs, or
null: what can be understood is used, the rest counts as not told. Nothing here ever raises.
"""

import math
from typing import Any

TOO_MUCH = 1e18
"""No size in bytes, no count and no reading is as large."""

LONGEST_WORD = 256


def items(value: Any) -> list[Any]:
    """The elements of a list; one object alone counts as a list of it."""
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, dict) else []


def objects(value: Any) -> list[dict[str, Any]]:
    """Those elements of a list that are objects."""
    return [item for item in items(value) if isinstance(item, dict)]


def section(value: Any) -> dict[str, Any]:
    """An object; the first one of a list; {} for anything else."""
    return next(iter(objects(value)), {})


def number(value: Any) -> float | None:
    """A finite number, written as a number or as a text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and abs(found) < TOO_MUCH else None


def positive(value: Any) -> int | None:
    """A count or size above zero: zero means that it is not known."""
    found = number(value)
    return int(found) if found is not None and found >= 1 else None


def words(value: Any) -> tuple[str, ...] | None:
    """The texts of a list, each once; None where there are none. One that is longer than any
    word is none."""
    texts = (v for v in items(value) if isinstance(v, str) and len(v) <= LONGEST_WORD)
    found = tuple(dict.fromkeys(v for v in texts if v.strip()))
    return found or None
