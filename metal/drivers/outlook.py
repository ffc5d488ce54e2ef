"""How long a BMC will still be asked, as far as that can be told.

Where all connections are taken, who has most left goes first: 200 BMCs are at their end when the
longest one is, so it must not be begun last. A guess is enough, as it is mended with every answer.
"""

import math
from dataclasses import dataclass


@dataclass
class Outlook:
    """Of one look, or of as many as there are servers behind the BMC."""

    expected: float = math.inf
    """Calls; before anything was read, nobody knows."""
    calls: int = 0
    seconds: float = 0.0
    """What those calls took."""

    def answered(self, seconds: float) -> None:
        self.calls += 1
        self.seconds += seconds

    @property
    def left(self) -> float:
        """Seconds."""
        if not self.calls or math.isinf(self.expected):
            return math.inf
        return max(self.expected - self.calls, 1) * self.seconds / self.calls
