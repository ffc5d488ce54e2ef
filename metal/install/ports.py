"""What the install flow acts through, and how patient it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from metal.drivers.ports import Bmc, DiskKeys, Escrow, HostKeys
from metal.live.session import LivePorts
from metal.model.keys import Pin
from metal.operations.installs import PHASES, Install
from metal.operations.store import Store
from metal.operations.switching import Switching


@dataclass(frozen=True)
class Patience:
    """How long each phase may take, in seconds, and how often it is looked at."""

    boot: float = 900
    """From power-on to the boot script: big servers test their memory first."""
    preseed: float = 300
    """From the boot script to the preseed: the installer downloads itself and starts."""
    boots: int = 3
    """How often the machine is told to boot from the network before it is given up."""
    partitioned: float = 1800
    base: float = 3 * 3600
    finished: float = 6 * 3600
    up: float = 24 * 3600
    """The first boot may wait until somebody gives the disk its key."""
    poll: float = 2.0

    @classmethod
    def at_pace(cls, poll: float) -> "Patience":
        """For a fleet that is polled every `poll` seconds: where that is faster than the
        default, time itself runs faster (a lab), and every phase gets as much less."""
        pace = min(1.0, poll / cls.poll)
        scaled = {
            f.name: pace * getattr(cls, f.name) for f in fields(cls) if f.name not in _UNPACED
        }
        return cls(**scaled, poll=poll)


_UNPACED = ("boots", "poll")


@dataclass(frozen=True)
class Medium:
    """The image that brings the installer to one server (metal/install/medium.py)."""

    ensure: Callable[[], None]
    """It is written, for the open install."""
    addresses: Callable[[], Sequence[str]]
    """Where a BMC may fetch it, the best first."""
    forget: Callable[[], None]
    """Remove it: its token is worth nothing any more."""


@dataclass(frozen=True)
class InstallPorts:
    """What the flow acts through."""

    store: Store
    secrets: Escrow
    host_keys: HostKeys
    bmc: Callable[[str], Bmc]
    """Logs in to a server's BMC; the flow closes it."""
    power: Switching
    """What switches the server: its BMC, a plug, a person."""
    disks: Callable[[], Sequence[DiskKeys]]
    """Logs in to the installed server, and finds the disks that it unlocks at boot."""
    pins: Sequence[Pin]
    """By what its disks are to open themselves."""
    unlock: Callable[[str], int]
    """Gives the key to the dropbear that waits at a boot; Unreachable where none does."""
    held: bool
    """Whether the controller keeps the disk's final key."""
    fetch: Callable[[], None]
    """Makes what is installed from: the installer of the action's release, or the image."""
    patience: Patience = Patience()
    medium: Medium | None = None
    """None: it is installed over the network."""
    live: LivePorts | None = None
    """How the live system is booted that unpacks an image; None: Debian's installer does it."""


def record_of(store: Store, server: str, operation: int) -> Install | None:
    """The operation's install; an older one of the server does not count."""
    install = store.installs.latest(server)
    return install if install and install.operation == operation else None


def has_reached(store: Store, server: str, operation: int, phase: str) -> bool:
    install = record_of(store, server, operation)
    return install is not None and PHASES.index(install.phase) >= PHASES.index(phase)
