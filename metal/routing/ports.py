"""What applying a site's files asks of its gateways."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from metal.drivers.trial import Trial
from metal.routing.order import Call


class Gateway(Protocol):
    """Root's shell on one. Every call may be repeated."""

    def carries(self, address: str) -> bool:
        """Whether it has the shared address."""

    def stopped(self, units: Sequence[str]) -> tuple[str, ...]:
        """Those of `units` that do not run."""

    def hand_over(self) -> None:
        """The other of the pair carries the site, if it can."""

    def check(self, trial: Trial) -> None:
        """Refused, with what an engine says, where the files are unfit."""

    def begin(self, trial: Trial, seconds: float) -> bool:
        """Whether there is anything to try; after `seconds` the old files are back."""

    def stands(self, trial: Trial) -> bool | None:
        """True: in use. None: not yet. Failed: it was taken back."""

    def keep(self, trial: Trial) -> bool | None:
        """True: it stays. None: not in use yet. Failed: it was taken back."""


@dataclass(frozen=True)
class RoutingPorts:
    """For the gateways of one site."""

    gateway: Callable[[str], Gateway]
    silent: Callable[[Sequence[Call]], tuple[Call, ...]]
    """Those that nobody answers, as seen from here."""
    trial: Callable[[str], Trial]
    """Of a gateway of the order."""
    every: float = 1.0
