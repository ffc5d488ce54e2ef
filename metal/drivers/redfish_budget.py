"""What one look at a BMC may cost: one that lists parts without end must hold no sweep for weeks,
and fill no memory. Honest machines need a tenth of it."""

import time
from dataclasses import dataclass, field

from metal.model.errors import Failed

CALLS = 3000
SECONDS = 1800.0
BYTES = 24 * 1024 * 1024
"""Of bodies, unpacked. As Python objects they may take ten times as much."""
REMEMBERED = 8 * 1024 * 1024
"""Bytes of a look up to which what is read is kept for who asks again."""


class Spent(Failed):
    """The look has cost what it may: what is left is not read."""


@dataclass
class Budget:
    """Of one look, from its beginning on."""

    calls: int = 0
    received: int = 0
    """Bytes."""
    begun: float = field(default_factory=time.monotonic)

    def spend(self, where: str) -> None:
        """One call more. Spent: the look is at its end."""
        self.calls += 1
        took = time.monotonic() - self.begun
        for over, what in (
            (self.calls > CALLS, f"{CALLS} calls"),
            (took > SECONDS, f"{SECONDS:g} s"),
            (self.received > BYTES, f"{BYTES >> 20} MiB"),
        ):
            if over:
                raise Spent(
                    f"the look took {what}, and all that was left is not read",
                    where=where,
                    mend="restart the BMC; no server has as many parts",
                )

    @property
    def remembers(self) -> bool:
        return self.received < REMEMBERED
