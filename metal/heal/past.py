"""What was seen before now, and what is known besides the look itself. Pure data."""

from collections.abc import Mapping, Sequence

from metal.model.base import Frozen
from metal.model.world import World


class Look(Frozen):
    """One of the looks before this one."""

    ago: float
    """Seconds."""
    world: World


def unbroken(past: Sequence[Look], gap: float) -> list[Look]:
    """The last looks of which none is further than `gap` seconds from the next, or from now.

    Only these are "in a row": what somebody saw an hour ago says nothing of the time between.
    """
    kept: list[Look] = []
    until = 0.0
    for look in reversed(past):
        if look.ago - until > gap:
            break
        kept.append(look)
        until = look.ago
    return kept[::-1]


class Sense(Frozen):
    """What is known besides the looks."""

    views: Mapping[str, Mapping[str, bool]] = {}
    """Place → server → whether the host answered there a moment ago."""
    known: Mapping[str, tuple[str, ...]] = {}
    """Server → kinds of signs that it had when it was accepted: no news, so no reason to act."""
    fell: frozenset[str] = frozenset()
    """VMs that ran on a server when it was lost to its cluster, and were not seen running since."""
    suspect_seconds: float = 60.0
    """How long a server must be lost to its cluster, its BMC saying on, before it is fenced."""
    gap: float = 150.0
    """Seconds between two looks up to which they are in a row."""


class History(Frozen):
    """What was done and what failed before, as the store remembers it."""

    acted: tuple[float, ...] = ()
    """Of each recovery and each emptying that the watcher began: seconds since."""
    failures: Mapping[str, int] = {}
    """Server → how often it fell ill within the policy's flap_hours, this time included."""
