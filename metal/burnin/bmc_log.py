"""What a BMC's log says that it did not say before. Pure."""

from collections import Counter
from collections.abc import Iterable

from metal.model.facts import LogEntry


def complaints(log: Iterable[LogEntry]) -> list[LogEntry]:
    """Entries that are worse than ok."""
    return [entry for entry in log if entry.severity in ("warning", "critical")]


def new_entries(before: Iterable[LogEntry], after: Iterable[LogEntry]) -> list[LogEntry]:
    """Those of `after` that `before` does not hold, or not as often, in their order.

    By what they say, not by where they stand: only the end of a long log is read, so its length
    stays; a full one loses its oldest; and a clock that jumps back puts the newest first.
    """
    left = Counter(before)
    new = []
    for entry in after:
        if left[entry] > 0:
            left[entry] -= 1
        else:
            new.append(entry)
    return new
