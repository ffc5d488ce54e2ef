"""What a server is, in one shape whatever protocol told it.

What the BMC does not tell is None, with the reason in `unknown`: never zero.
"""

from typing import Literal

from metal.model.base import Frozen

Power = Literal["on", "off", "unknown"]
Health = Literal["ok", "warning", "critical", "unknown"]
Media = Literal["ssd", "hdd", "nvme"]
BootDevice = Literal["network", "http", "media", "disk"]
BootMode = Literal["bios", "uefi"]


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
    """As the BMC tells it: some say 15.26 of a module of 16."""
    serial: str | None = None
    part: str | None = None
    """Its maker's part number."""


class Controller(Frozen):
    name: str
    model: str | None = None
    raid: bool | None = None
    """True if it hides its drives behind volumes."""


class Drive(Frozen):
    name: str
    size_bytes: int | None = None
    media: Media | None = None
    protocol: str | None = None
    serial: str | None = None
    failing: bool | None = None
    model: str | None = None
    slot: str | None = None
    """Where a person finds it: "Bay 3", "Box 1 Bay 4"."""
    wear_percent: float | None = None
    """How much of its rated writes is used up: 0 is new, 100 worn out."""


class Nic(Frozen):
    name: str
    mac: str
    """Lower case, colons: 02:00:5e:00:00:01."""


class Psu(Frozen):
    name: str
    health: Health = "unknown"
    model: str | None = None
    serial: str | None = None
    watts: int | None = None
    """What it can give."""


class Account(Frozen):
    """A log-in of the BMC itself. Never its password."""

    name: str
    """"" for an anonymous one."""
    enabled: bool | None = None
    role: str | None = None
    """Such as "Administrator", in the BMC's own words."""
    id: str = ""
    """Slot number (IPMI) or path (Redfish)."""


class PasswordRules(Frozen):
    """What a BMC says of its passwords; None: not told."""

    longest: int | None = None
    """Characters."""
    tries: int | None = None
    """Wrong log-ins in a row that lock an account; None also where none ever does."""


Loader = Literal["ipxe", "grub"]
"""What asks the boot service what to start: GRUB where it must be signed (Secure Boot)."""


class Facts(Frozen):
    """One server as its BMC describes it."""

    address: str
    protocol: Literal["redfish", "ipmi", "both"]
    """both: Redfish, completed by what only IPMI told."""
    node: str | None = None
    """Which server behind the BMC (the System's id); None where there is just one."""
    vendor: str | None = None
    model: str | None = None
    serial: str | None = None
    sku: str | None = None
    uuid: str | None = None
    bios_version: str | None = None
    secure_boot: bool | None = None
    """Whether the firmware starts what is signed and nothing else."""
    bmc_firmware: str | None = None
    power_state: Power = "unknown"
    health: Health = "unknown"
    """Its own, as the BMC says it."""
    health_rollup: Health = "unknown"
    """With that of its parts, where the BMC adds it up."""
    cpu: Cpu = Cpu()
    memory_gib: float | None = None
    dimms: tuple[Dimm, ...] | None = None
    drives: tuple[Drive, ...] | None = None
    nics: tuple[Nic, ...] | None = None
    psus: tuple[Psu, ...] | None = None
    reset_types: tuple[str, ...] | None = None
    boot_targets: tuple[str, ...] | None = None
    boot_modes: tuple[str, ...] | None = None
    virtual_media: tuple[str, ...] | None = None
    """Slots that can insert an image."""
    controllers: tuple[Controller, ...] | None = None
    accounts: tuple[Account, ...] | None = None
    logs: tuple[str, ...] | None = None
    """Names of the logs it keeps."""
    board_serial: str | None = None
    bmc_mac: str | None = None
    """With the board's serial what a machine without a serial of its own is known by (R32)."""
    unknown: dict[str, str] = {}
    """key → why the BMC did not tell it; of a list that is there, that not all of it was told."""
    notes: tuple[str, ...] = ()
    """What is odd about what it told, such as two protocols that contradict each other."""


class HealthReport(Frozen):
    """What a BMC says of the machine's condition now."""

    health: Health
    reasons: tuple[str, ...] = ()
    """Such as "PSU 2: power supply failure detected"; empty when ok."""
    cooling: bool = False
    """Whether a temperature or a fan was among what it looked at."""


class LogEntry(Frozen):
    """One line of a BMC's event log."""

    at: str | None
    """ISO 8601 in UTC; None where its clock was not set (1970)."""
    severity: Health
    text: str


class LogMark(Frozen):
    """Up to where an event log was read."""

    where: str = ""
    """Path of its entries (Redfish), so that it need not be looked for again."""
    count: int
    last: str = ""
    """What the newest entry was, as it stood there; "" of an empty log."""
    newest_first: bool = False


class LogNews(Frozen):
    """What an event log got since a mark."""

    mark: LogMark | None = None
    """To go on from. None: it has no log, or what is new in it cannot be told."""
    entries: tuple[LogEntry, ...] = ()
    """Oldest first."""
    cleared: bool = False
    """It has fewer entries than before: somebody cleared it."""


class BootOnce(Frozen):
    """What the next boot is set to, as read back."""

    device: BootDevice
    mode: BootMode | None = None
    """None: the BMC does not tell."""
