"""One simulated server: what its BMC, its firmware and its disks share.

Power-on starts `on_boot` in a thread; every power-off ends that boot's `Boot.off` event, so
whatever runs on the machine must watch it: a machine without power does nothing.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from metal.lab.serial_port import SerialPort
from metal.model.facts import Cpu, Dimm, Drive, LogEntry, Nic


@dataclass(frozen=True)
class Hardware:
    """What the machine is made of, and what its BMC will tell."""

    vendor: str
    model: str
    serial: str
    uuid: str
    bios_version: str
    bmc_firmware: str
    cpu: Cpu
    dimms: tuple[Dimm, ...]
    drives: tuple[Drive, ...]
    nics: tuple[Nic, ...]

    @property
    def memory_gib(self) -> float:
        return sum(d.size_gib for d in self.dimms)


@dataclass
class DiskState:
    """What is on a drive. The lab's own truth: nothing of `metal` reads it."""

    system: str = ""
    """Empty, or what boots from it, such as "debian trixie"."""
    wipes: int = 0
    """How often it was partitioned anew: a law says at most once per install."""
    luks_uuid: str = ""
    luks_slots: dict[int, str] = field(default_factory=dict)
    """Slot → SHA-256 of the key that opens it; empty where nothing is encrypted."""
    luks_tokens: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Slots that open themselves: by which of clevis's pins, and how that is set."""
    installed_with: dict[str, Any] = field(default_factory=dict)
    """What the installer was told: hostname, address, packages, root password hash, late URL."""
    erased: int = 0
    """How often the live system erased it."""

    @property
    def blank(self) -> bool:
        return not (self.system or self.luks_slots)

    def erase(self) -> None:
        self.system, self.luks_uuid, self.luks_slots, self.installed_with = "", "", {}, {}
        self.luks_tokens = {}
        self.erased += 1


@dataclass(frozen=True)
class Boot:
    """One stretch between power-on and power-off."""

    device: str
    """"network", "http", "media" or "disk"."""
    off: threading.Event
    """Set once the power is gone."""
    mode: str | None = None
    """"bios" or "uefi" where the BMC chose it for this boot alone."""
    image: str | None = None
    """What was in the virtual drive."""


class Machine:
    """A server. All methods may be called from any thread."""

    def __init__(self, name: str, hardware: Hardware) -> None:
        self.name = name
        self.hardware = hardware
        self.disks: dict[str, DiskState] = {d.name: DiskState() for d in hardware.drives}
        self.complaints: tuple[str, ...] = ()
        """What the BMC reports as wrong: "PSU 2: power supply failure detected"."""
        self.severity: str = "critical"
        """Of the complaints: "warning" or "critical"."""
        self.faults: set[str] = set()
        """What only a burn-in finds: "disk-smart", "disk-slow", "dimm"."""
        self.boot_once: str | None = None
        """"network", "http", "media", "disk" or None; used up at the next power-on."""
        self.boot_mode: str | None = None
        """"bios" or "uefi" of that boot alone; None: as the firmware is set."""
        self.media: str | None = None
        """Address of the image in its virtual drive."""
        self.events: list[LogEntry] = []
        """What its BMC logged of it, oldest first."""
        self.power_ons = 0
        self.power_offs = 0
        self.on_boot: Callable[[Machine, Boot], None] = lambda _m, _b: None
        self.asked_at = 0.0
        """When the installer last asked for its answers, seconds since the epoch."""
        self.waited = 0.0
        """Lab seconds that its live system waited for a controller that was away."""
        self.serial = SerialPort()
        self.plugged = True
        """False: no power at all, the BMC is dead too."""
        self._lock = threading.RLock()
        self._boot: Boot | None = None

    @property
    def power(self) -> str:
        """ "on" or "off"."""
        return "on" if self._boot else "off"

    @property
    def boot(self) -> Boot | None:
        """The running stretch; None while it is off."""
        return self._boot

    @property
    def health(self) -> str:
        return self.severity if self.complaints else "ok"

    def power_on(self) -> None:
        """No effect when it is on already, as on a real one."""
        with self._lock:
            if self._boot or not self.plugged:
                return
            self.power_ons += 1
            self._start()

    def power_off(self) -> None:
        """Pull the power: what runs on it ends at once."""
        with self._lock:
            boot, self._boot = self._boot, None
            if boot:
                self.power_offs += 1
        if boot:
            boot.off.set()

    def reboot(self) -> None:
        """What the installer does at its end: from the inside, without the BMC."""
        with self._lock:
            if self._boot:
                self._boot.off.set()
                self._start()

    def _start(self) -> None:
        device, self.boot_once = self.boot_once or "disk", None
        mode, self.boot_mode = self.boot_mode, None
        if device == "media" and not self.media:
            device = "disk"  # an empty drive: the firmware goes on to the next in its order
        boot = self._boot = Boot(device, threading.Event(), mode, self.media)
        threading.Thread(
            target=self.on_boot, args=(self, boot), name=f"boot-{self.name}", daemon=True
        ).start()
