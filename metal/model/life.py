"""A server's life as one table. The run status stands beside it, never multiplied into it."""

from enum import StrEnum

from metal.model.errors import Refused


class Life(StrEnum):
    FOUND = "found"
    ENROLLED = "enrolled"
    TESTED = "tested"
    INSTALLED = "installed"
    MEMBER = "member"
    DRAINING = "draining"
    RETIRED = "retired"


class Status(StrEnum):
    """How the operation (or the server's last operation) stands."""

    RUNNING = "running"
    WAITING = "waiting"
    HELD = "held"
    FAILED = "failed"
    DONE = "done"
    CANCELLED = "cancelled"


TRANSITIONS: dict[Life, frozenset[Life]] = {
    # Straight to member: the cluster it is in ran before metal, and was adopted.
    Life.FOUND: frozenset({Life.ENROLLED, Life.MEMBER}),
    # Straight to installed where nobody burnt it in: a server that was not
    # tested must not be called tested.
    Life.ENROLLED: frozenset({Life.TESTED, Life.INSTALLED, Life.MEMBER, Life.RETIRED}),
    Life.TESTED: frozenset({Life.INSTALLED, Life.MEMBER, Life.RETIRED}),
    Life.INSTALLED: frozenset({Life.MEMBER, Life.RETIRED}),
    Life.MEMBER: frozenset({Life.DRAINING}),
    Life.DRAINING: frozenset({Life.MEMBER, Life.RETIRED}),
    Life.RETIRED: frozenset({Life.FOUND}),
}


def check_transition(server: str, before: Life, after: Life) -> None:
    """Raise Refused unless the life table allows `before` → `after` (staying is allowed)."""
    if after != before and after not in TRANSITIONS[before]:
        allowed = ", ".join(sorted(TRANSITIONS[before]))
        raise Refused(
            f"a server that is {before} cannot become {after}",
            where=server,
            mend=f"from {before} it can become: {allowed}",
        )


def diagram() -> str:
    """The table as a Mermaid state diagram: what docs/life.md shows."""
    arrows = [f"    {a} --> {b}" for a, after in TRANSITIONS.items() for b in Life if b in after]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {Life.FOUND}", *arrows])
