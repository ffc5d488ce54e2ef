"""What the flows of this stage need, put together by whoever composes the stages."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

from metal.drivers.ports import Hypervisor
from metal.model.errors import Failed
from metal.model.plan import Restart
from metal.operations.switching import Switching


def _nobody(addresses: Sequence[str]) -> dict[str, str]:
    raise Failed(f"nobody can tell Ceph to shut out {', '.join(addresses)}")


@dataclass(frozen=True)
class HealPorts:
    """For one server and its cluster."""

    hypervisor: Hypervisor
    power: Switching
    """What proves the server off: its BMC, a plug, a person."""
    hold: Callable[[str, str], None]
    """(server, note): nothing may be done with the server until a person releases it."""
    place: Callable[[str, str], Restart]
    """(dead server, VM) → where it may run now; Refused, with the reason, where nowhere."""
    storage: str
    """Where the cluster keeps VM disks."""
    draining: Callable[[str], None]
    """Records that the server's life is `draining`. Safe to repeat."""
    patience: float = 600.0
    """Seconds to wait for the cluster's HA: 180 are usual when the HA master died."""
    every: float = 1.0
    """Seconds between two looks, and before the first repetition of a step."""
    shut_out: Callable[[Sequence[str]], dict[str, str]] = _nobody
    """Addresses → until when Ceph lets no client there write, as read back from it."""
    removed: Callable[[str], bool] = lambda _vm: False
    """Whether somebody took a VM out of the inventory: then nobody wants it to run."""
    abreast: int = 4
    """VMs that are restarted side by side: each takes a second or two of asking every host."""
    crew: Callable[[int], Executor] = ThreadPoolExecutor
    """So many at once, for what is done side by side."""
    answers: Callable[[str], bool] = lambda _server: False
    """Whether the server's host itself speaks: its SSH or its API. One that does is not off."""
    pause: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    """Seconds that never jump."""
