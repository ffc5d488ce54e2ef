"""FRU, device id, sensors, users and settings of an IPMI BMC → Facts and HealthReport.

Sources: IPMI 2.0 rev. 1.1: 20.1 (device id), 22.14 (GUID), 28.2 (chassis).
"""

import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from pyghmi.exceptions import PyghmiException

from metal.drivers import ipmi_users
from metal.drivers.ipmi_ask import ask, ask_if_known, still_there
from metal.drivers.ipmi_exposure import bmc_mac
from metal.drivers.ipmi_fru import read_dimms, read_fru
from metal.drivers.ipmi_identity import identity
from metal.drivers.ipmi_judge import Sensor, psus, report
from metal.drivers.ipmi_sel import sel_info
from metal.drivers.ipmi_sensors import read_sensors
from metal.drivers.ipmi_session import Silent
from metal.drivers.placeholders import told_uuid
from metal.model.facts import Cpu, Facts, HealthReport

T = TypeVar("T")
NEVER = "IPMI has no way to tell it"
NOT_TOLD = "the BMC does not tell it over IPMI"
NO_TELLING = (
    "drives",
    "nics",
    "bios_version",
    "secure_boot",
    "virtual_media",
    "controllers",
    "boot_modes",
)
CONTROLS = ("On", "ForceOff", "ForceRestart")
"""Chassis controls that every BMC has (28.3), in Redfish's words."""
TARGETS = ("Pxe", "Cd", "Hdd", "BiosSetup")
"""Boot devices that the flags know (table 28-14), in Redfish's words."""


def read_facts(command: Any, address: str) -> Facts:
    """What little IPMI tells; the rest is unknown with its reason."""
    unknown: dict[str, str] = {}

    def part(key: str, read: Callable[[Any], T | None]) -> T | None:
        """One part of the facts: that it cannot be read leaves the others."""
        try:
            return read(command)
        except Silent:
            still_there(command)
            unknown[key] = "the BMC did not answer in time"
            return None
        except (PyghmiException, NotImplementedError, IndexError, KeyError, ValueError) as error:
            unknown[key] = f"it cannot be read: {error}"
            return None

    fru, wrong = read_fru(command)
    device = ask(command, 6, 1)
    known = identity(fru, int.from_bytes(device[6:9], "little"))
    sensors: list[Sensor] | None = part("psus", read_sensors)
    dimms = part("dimms", read_dimms)
    found: dict[str, Any] = {
        "vendor": known.vendor,
        "model": known.model,
        "serial": known.serial,
        "sku": known.sku,
        "board_serial": known.board_serial,
        "uuid": part("uuid", _uuid),
        "bmc_firmware": f"{device[2] & 0x7F}.{device[3]:02x}",
        "bmc_mac": part("bmc_mac", bmc_mac),
        "dimms": dimms,
        "memory_gib": sum(d.size_gib for d in dimms) if dimms else None,
        "psus": psus(sensors) if sensors is not None else None,
        "accounts": part("accounts", ipmi_users.accounts),
        "logs": ("SEL",) if part("logs", sel_info) else None,
        "reset_types": CONTROLS,
        "boot_targets": TARGETS if ask_if_known(command, 0, 9, 5, 0, 0) else None,
    }
    if wrong:
        names = ("vendor", "model", "serial", "sku", "board_serial")
        unknown.update(dict.fromkeys(names, wrong))
    reasons = dict.fromkeys(NO_TELLING, NEVER) | {f"cpu.{k}": NEVER for k in Cpu.model_fields}
    reasons |= {k: unknown.get(k, NOT_TOLD) for k, value in found.items() if value is None}
    return Facts(
        address=address,
        protocol="ipmi",
        power_state="on" if ask(command, 0, 1)[0] & 1 else "off",
        health=report(sensors or []).health,
        unknown=reasons,
        **found,
    )


def read_health(command: Any) -> HealthReport:
    return report(read_sensors(command))


def _uuid(command: Any) -> str | None:
    """Get System GUID: some send it as SMBIOS has it, some as RFC 4122 or the other way round.

    Whichever reading has a version and variant that exist is it, SMBIOS's first: that is what an
    operating system on the machine shows.
    """
    raw = ask(command, 6, 0x37)
    if len(raw) < 16:
        return None
    raw = raw[:16]
    ways = [uuid.UUID(bytes_le=raw), uuid.UUID(bytes=raw), uuid.UUID(bytes=raw[::-1])]
    sound = (u for u in ways if u.variant == uuid.RFC_4122 and u.version in range(1, 6))
    return told_uuid(str(next(sound, ways[0])))
