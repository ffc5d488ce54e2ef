"""What the HA manager asks of the world it runs in."""

from collections.abc import Collection
from typing import Protocol

from metal.lab.ha.shared import Exit


class World(Protocol):
    """One cluster's hardware and guests."""

    @property
    def now(self) -> float:
        """Seconds, of any beginning."""

    def node_names(self) -> Collection[str]:
        """All members, whether they run or not."""

    def quorate(self, node: str) -> bool:
        """Whether the node sees a quorum, itself included."""

    def online(self, node: str) -> bool:
        """Whether the quorate part of the cluster sees the node."""

    def order(self, node: str, sid: str, uid: str, what: str, target: str) -> Exit | None:
        """Work for a service, done by the node's agent; None while it is under way.

        `what` is started, stop, migrate, relocate or error. The same `uid` again asks how it goes,
        unless it ended: then it is ordered anew (a service that is to run is looked at for ever).
        """

    def place(self, sid: str, node: str) -> None:
        """Move the configuration of a service whose node is fenced; stale locks are dropped."""

    def score(self, sid: str, online: Collection[str]) -> dict[str, float]:
        """Node → how bad it would be there: the scheduler's word, the smallest is best."""

    def moves_live(self, sid: str) -> bool:
        """Whether it is migrated (a VM) or relocated (a container)."""

    def watchdog(self, node: str, client: str, *, armed: bool) -> None:
        """A client's sign of life, or (not armed) its wish to be left alone."""

    def shutting_down(self, node: str) -> tuple[bool, bool]:
        """(the node shuts down, it starts again afterwards)."""

    def log(self, who: str, what: str) -> None: ...
