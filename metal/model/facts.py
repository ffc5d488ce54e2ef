"""What a server is, in one shape whatever protocol told it.

What the BMC does not tell is None, with the reason in `unknown`: never zero.
"""

from typing import Literal

from metal.model.base import Frozen

Power = Literal["on", "off", "unknown"]
Health = Literal["ok", "warning", "critical", "unknown"]
Media = Literal["ssd", "hdd", "nvme"]


class Cpu(Frozen):
    model: str | None = None
    sockets: int | None = None
    cores: int | None = None
    """Cores of all sockets together."""
    threads: int | None = None
    """Threads of all sockets together."""


class Dimm(Frozen):
    slot: str
    size_gib: float


class Drive(Frozen):
    name: str
    size_bytes: int | None = None
    media: Media | None = None
    protocol: str | None = None
    serial: str | None = None
    failing: bool | None = None


class Nic(Frozen):
    name: str
    mac: str
    """Lower case, colons: 02:00:5e:00:00:01."""


class Psu(Frozen):
    name: str
    health: Health = "unknown"


class Facts(Frozen):
    """One server as its BMC describes it."""

    address: str
    protocol: Literal["redfish", "ipmi"]
    vendor: str | None = None
    model: str | None = None
    serial: str | None = None
    sku: str | None = None
    uuid: str | None = None
    bios_version: str | None = None
    bmc_firmware: str | None = None
    power_state: Power = "unknown"
    health: Health = "unknown"
    cpu: Cpu = Cpu()
    memory_gib: float | None = None
    dimms: tuple[Dimm, ...] | None = None
    drives: tuple[Drive, ...] | None = None
    nics: tuple[Nic, ...] | None = None
    psus: tuple[Psu, ...] | None = None
    reset_types: tuple[str, ...] | None = None
    boot_targets: tuple[str, ...] | None = None
    virtual_media: tuple[str, ...] | None = None
    unknown: dict[str, str] = {}
    """key → why the BMC did not tell it."""


class HealthReport(Frozen):
    """What a BMC says of the machine's condition now."""

    health: Health
    reasons: tuple[str, ...] = ()
    """Such as "PSU 2: power supply failure detected"; empty when ok."""
