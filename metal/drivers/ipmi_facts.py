"""FRU, device id and sensors of an IPMI BMC → Facts and HealthReport.

Sources: IPMI 2.0 rev. 1.1 (20.1, 22.14, 35) and the FRU storage definition 1.0, decoded by pyghmi.
"""

from typing import Any

from pyghmi.constants import Health as Level
from pyghmi.exceptions import PyghmiException

from metal.drivers.placeholders import told
from metal.model.errors import MetalError
from metal.model.facts import Cpu, Dimm, Facts, Health, HealthReport, Psu

NEVER = "IPMI has no way to tell it"
NOT_TOLD = "the BMC does not tell it over IPMI"
HARMLESS = {"Present", "Ok", "Predictive failure"}
"""States that are no complaint, or not yet one."""


def read_facts(command: Any, address: str) -> Facts:
    """What little IPMI tells; the rest is unknown with its reason."""
    unknown: dict[str, str] = {}
    fru = _fru(command, unknown)
    readings = _sensors(command, unknown)
    device = command._get_device_id()
    found: dict[str, Any] = {
        "vendor": _first(fru, "Manufacturer", "Board manufacturer"),
        "model": _model(fru),
        "serial": _first(fru, "Serial Number", "Chassis serial number", "Board serial number"),
        "uuid": told(fru.get("UUID")),
        "bmc_firmware": told(str(device["firmware_version"])),
        "dimms": _dimms(command, unknown),
        "psus": tuple(
            Psu(name=r.name, health=_level(r)) for r in readings if r.type == "Power Supply"
        )
        or None,
    }
    dimms = found["dimms"]
    found["memory_gib"] = sum(d.size_gib for d in dimms) if dimms else None
    reasons = dict.fromkeys(("drives", "nics", "sku", "bios_version", "virtual_media"), NEVER)
    reasons |= dict.fromkeys(("reset_types", "boot_targets"), NEVER)
    reasons |= {f"cpu.{k}": NEVER for k in Cpu.model_fields}
    for key, value in found.items():
        if value is None:
            reasons[key] = unknown.get(key, NOT_TOLD)
    status = command.xraw_command(netfn=0, command=1)["data"][0]
    return Facts(
        address=address,
        protocol="ipmi",
        power_state="on" if status & 1 else "off",
        health=_worst(readings),
        unknown=reasons,
        **found,
    )


def read_health(command: Any) -> HealthReport:
    """All sensors. The text of a state decides, not its status column (I18)."""
    readings = list(command.get_sensor_data())
    bad = [r for r in readings if _level(r) in ("warning", "critical")]
    return HealthReport(health=_worst(readings), reasons=tuple(map(_reason, bad)))


def _fru(command: Any, unknown: dict[str, str]) -> dict[str, Any]:
    try:
        fru: dict[str, Any] = command._get_zero_fru()
    except (PyghmiException, IndexError, ValueError) as error:
        # A broken FRU (I16): the machine has no name then, but it is there.
        unknown.update(dict.fromkeys(("vendor", "model", "serial"), f"its FRU is broken: {error}"))
        return {}
    return fru


def _model(fru: dict[str, Any]) -> str | None:
    """Dell's product name may be the host's name (I14); Supermicro's model is a part number."""
    names = ("Board product name", "Product name", "Model", "Board model")
    if "dell" not in str(fru.get("Manufacturer", "")).lower():
        names = ("Product name", "Model", "Board product name", "Board model")
    return _first(fru, *names)


def _first(fru: dict[str, Any], *keys: str) -> str | None:
    return next((text for k in keys if (text := told(_text(fru.get(k))))), None)


def _text(value: Any) -> str:
    """FRU texts may be any bytes (I16)."""
    raw = isinstance(value, bytes | bytearray)
    return bytes(value).decode("latin-1") if raw else str(value or "")


def _sensors(command: Any, unknown: dict[str, str]) -> list[Any]:
    try:
        return list(command.get_sensor_data())
    except (PyghmiException, NotImplementedError) as error:
        unknown["psus"] = f"its sensors cannot be read: {error}"
        return []


def _dimms(command: Any, unknown: dict[str, str]) -> tuple[Dimm, ...] | None:
    """Some BMCs have a FRU with the SPD of each DIMM."""
    try:
        parts = [
            (name, info) for name, info in command.get_inventory() if info and name != "System"
        ]
    except MetalError:
        raise
    except (PyghmiException, NotImplementedError, IndexError, KeyError, ValueError) as error:
        unknown["dimms"] = f"its FRUs cannot be read: {error}"
        return None
    return (
        tuple(
            Dimm(slot=str(name), size_gib=round(info["capacity_mb"] / 1024, 2))
            for name, info in parts
            if info.get("capacity_mb")
        )
        or None
    )


def _level(reading: Any) -> Health:
    if reading.unavailable:
        return "unknown"
    if reading.health & (Level.Critical | Level.Failed):
        # pyghmi calls a failure that is only predicted critical already.
        return "warning" if set(reading.states) <= HARMLESS else "critical"
    return "warning" if reading.health & Level.Warning else "ok"


def _worst(readings: list[Any]) -> Health:
    levels = {_level(r) for r in readings}
    order: tuple[Health, ...] = ("critical", "warning", "ok")
    return next((level for level in order if level in levels), "unknown")


def _reason(reading: Any) -> str:
    states = [s for s in reading.states if s not in ("Present", "Ok")]
    value = f" ({reading.value:g} {reading.units})" if reading.value is not None else ""
    return f"{reading.name}: {', '.join(states).lower()}{value}"
