"""Leave a site or a cluster, over days: one VM after the other, each on its day.

Who cannot go is passed over, with whoever must not go without it; the others go on. Asked again
(resumed), those are tried again: what has gone stays gone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from metal.model.base import Frozen
from metal.model.errors import Failed, MetalError
from metal.operations.lease import LeaseLost
from metal.operations.run import Run

VERSION = 1
LONGER = 86_400.0
"""Seconds after its day before the wait for it could fail: its clock and ours differ by less."""


class Leg(Frozen):
    """One VM's way, as it was planned and agreed to."""

    vm: str
    cluster: str
    server: str
    """Rather there; another one of the cluster when that does not do any more."""
    gib: int
    mbit: int
    """What it may take of the uplink."""
    begins: float
    """Not before: seconds since the epoch."""
    after: tuple[str, ...] = ()
    """VMs without which it does not go: those it stays together with that go before it."""


class Leaving(Frozen):
    """Chosen beforehand, shown, and kept with the operation."""

    name: str
    legs: tuple[Leg, ...]
    """In the order in which they go."""


@dataclass(frozen=True)
class LeavingPorts:
    now: Callable[[], float]
    """Seconds since the epoch."""
    bring: Callable[[Leg], dict[str, Any]]
    """See that it may go, and move it: what it says of where it is then. Goes on with a move
    that was begun, and says where the VM is when it went before. Any MetalError: it did not go."""
    every: float = 60.0
    """Seconds between two looks at the clock."""


def leave(run: Run, order: Leaving, ports: LeavingPorts) -> dict[str, Any]:
    """What became of each VM; Failed naming those that did not go, after all others did."""
    return _Leaving(run, order, ports).perform()


class _Leaving:
    def __init__(self, run: Run, order: Leaving, ports: LeavingPorts) -> None:
        self._run, self._order, self._ports = run, order, ports
        self._tried = False
        """Whether this performance did anything that the journal did not hold."""
        self._sent = 0
        self._all = sum(leg.gib for leg in order.legs) or 1

    def perform(self) -> dict[str, Any]:
        gone: dict[str, Any] = {}
        legs, number = self._order.legs, 1
        while legs:
            failed = self._go(legs, number, gone)
            if failed and self._tried:
                raise _did_not_go(self._order.name, failed)
            # What failed was another performance's: this one was asked to try again.
            legs = tuple(leg for leg in legs if leg.vm in failed)
            number += 1
        self._run.progress(1.0, f"{len(gone)} VMs have left {self._order.name}")
        return {"name": self._order.name, "vms": gone}

    def _go(self, legs: Sequence[Leg], number: int, gone: dict[str, Any]) -> dict[str, str]:
        """Each of them, for the `number`th time; why those did not go that did not."""
        failed: dict[str, str] = {}
        again = "" if number == 1 else f", try {number}"
        for leg in legs:
            missing = [vm for vm in leg.after if vm in failed]
            if missing:
                failed[leg.vm] = f"it stays together with {', '.join(missing)}"
                continue
            self._await_day(leg, again)
            self._run.progress(self._sent / self._all, f"{leg.vm}: to {leg.cluster}")
            said = self._run.step(f"{leg.vm} goes{again}", partial(self._bring, leg))
            if why := said.get("failed"):
                failed[leg.vm] = why
            else:
                gone[leg.vm] = said
                self._sent += leg.gib
        return failed

    def _await_day(self, leg: Leg, again: str) -> None:
        now = self._ports.now
        self._run.wait(
            f"the day of {leg.vm}{again}",
            lambda: True if now() >= leg.begins else None,
            seconds=max(0.0, leg.begins - now()) + LONGER,
            every=self._ports.every,
        )

    def _bring(self, leg: Leg) -> dict[str, Any]:
        """A failure is a result, too: the journal knows then what was tried."""
        self._tried = True
        try:
            said = self._ports.bring(leg)
        except LeaseLost:
            raise
        except MetalError as error:
            self._run.say(f"{leg.vm} did not go: {error}")
            return {"failed": str(error)}
        self._run.say(said.get("todo") or f"{leg.vm} is there")
        return said


def _did_not_go(name: str, failed: Mapping[str, str]) -> Failed:
    whys = "\n".join(f"  {vm}: {why}" for vm, why in failed.items())
    number = "one VM" if len(failed) == 1 else f"{len(failed)} VMs"
    return Failed(f"{number} did not go, all others did\n{whys}", where=name)
