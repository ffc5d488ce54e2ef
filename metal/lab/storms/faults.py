"""What goes wrong and when, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal, NamedTuple

Kind = Literal[
    "loses power", "panics", "restarts", "hangs", "loses its link", "BMC is silent",
    "loses power and BMC",
    "sickens", "sickens and dies", "flaps",
    "site loses its uplink", "site loses power",
    "watcher is killed", "watcher stalls", "watcher is cut off",
    "database is away", "clock jumps",
]  # fmt: skip

RATES: dict[Kind, float] = {
    "loses power": 4,
    "panics": 4,
    "restarts": 4,
    "hangs": 4,
    "loses its link": 4,
    "BMC is silent": 3,
    "loses power and BMC": 2,
    "sickens": 4,
    "sickens and dies": 2,
    "flaps": 1,
    "site loses its uplink": 2,
    "site loses power": 1,
    "watcher is killed": 5,
    "watcher stalls": 4,
    "watcher is cut off": 3,
    "database is away": 2,
    "clock jumps": 2,
}
"""How often, against each other."""


class Fault(NamedTuple):
    at: float
    """Seconds since the beginning."""
    kind: Kind
    which: float
    """0 to 1: which server, site or watcher it hits."""
    lasts: float
    """Seconds until the cause is gone."""


def draw(luck: random.Random, seconds: float, every: float) -> Iterator[Fault]:
    """Faults at random moments, one in `every` seconds on average; a third come in pairs.

    By `seconds` the causes are gone, or soon after: what is still held then is held for nothing.
    """
    kinds, weights = list(RATES), list(RATES.values())
    at = 0.0
    while (at := at + luck.expovariate(1 / every)) < seconds:
        for _ in range(luck.choice((1, 1, 2))):
            kind = luck.choices(kinds, weights)[0]
            begins, which = at + luck.uniform(0, 300), luck.random()
            lasts = min(_length(luck, kind), max(30.0, seconds - begins))
            yield Fault(begins, kind, which, lasts)


def _length(luck: random.Random, kind: Kind) -> float:
    if kind.startswith(("watcher", "database")):
        return luck.choice((15.0, 60.0, 600.0)) * luck.uniform(0.5, 2)
    if kind == "flaps":
        return luck.uniform(3600, 4 * 3600)
    return luck.choice((30.0, 120.0, 1800.0, 6 * 3600.0)) * luck.uniform(0.5, 2)
