"""What a BMC can really do, proven once and then relied on. Pure data."""

from typing import Literal

from metal.model.base import Frozen
from metal.model.facts import BootDevice, BootMode

TlsProfile = Literal["modern", "legacy"]
"""modern: TLS 1.2 or newer. legacy: only by consent in the inventory, bmc.tls = "legacy"."""
Method = Literal["redfish-iso", "uefi-http", "pxe", "proxy-dhcp", "stick"]
BY_MEDIUM: frozenset[Method] = frozenset({"redfish-iso", "stick"})
"""Ways on which the installer comes from a medium made for the server, and not over its wire."""


class BootProof(Frozen):
    """One boot override that was tried: whether it stuck when read back."""

    device: BootDevice
    mode: BootMode | None = None
    works: bool
    why: str = ""
    """What the BMC said, where it does not work."""


class Passport(Frozen):
    """One server's BMC. None: not proven yet."""

    proven_at: str
    """ISO 8601 UTC."""
    protocols: tuple[Literal["redfish", "ipmi"], ...]
    redfish_version: str | None = None
    ipmi_version: str | None = None
    cipher_suite: int | None = None
    tls: TlsProfile | None = None
    tls_version: str | None = None
    console: Literal["ipmi-sol", "none"] | None = None
    boots: tuple[BootProof, ...] = ()
    virtual_media: tuple[str, ...] | None = None
    seconds_a_call: float | None = None
    """The median of the calls that were timed."""
    poll_seconds: float = 10
    """It is never asked more often than this."""
    notes: tuple[str, ...] = ()
    """Quirks that were met, with their numbers of docs/bmc-quirks.md."""


class Route(Frozen):
    """How a server gets to an installer."""

    method: Method
    why: str
    rejected: dict[str, str] = {}
    """method → why not, in order of preference."""
