"""A running cluster is touched only while nothing speaks against it."""

from collections.abc import Callable, Sequence

from metal.model.errors import Failed, MetalError

Doubts = Callable[[], Sequence[str]]
"""Why nothing may be touched now."""


def no_doubt(doubts: Doubts, *, where: str, what: str, mend: str) -> None:
    """Failed, saying `what` does not happen and why, while there is one."""
    if found := doubts():
        raise Failed(f"{what}: {'; '.join(found)}", where=where, mend=f"mend that first: {mend}")


def is_well(doubts: Doubts) -> bool:
    """False where nobody tells: what is tried meanwhile is taken back unless this comes in time."""
    try:
        return not doubts()
    except MetalError:
        return False
