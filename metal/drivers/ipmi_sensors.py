"""Sensors of an IPMI BMC, each read alone. Source: IPMI 2.0 rev. 1.1, 35.14 and chapter 42."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyghmi.constants import Health as Level
from pyghmi.exceptions import PyghmiException

from metal.model.facts import Health, HealthReport, Psu

HARMLESS = {"Present", "Ok", "Predictive failure"}
"""States that are no complaint, or not yet one."""
POWER_SUPPLY = 0x08
"""Sensor type, table 42-3."""
SPECIFIC = 0x6F
"""Reading type of a sensor that tells states of its own kind, and not a redundancy."""
ORDER: tuple[Health, ...] = ("critical", "warning", "ok", "unknown")


@dataclass(frozen=True)
class Reading:
    """One sensor's state as pyghmi decodes it, under a name that is its own (I19)."""

    name: str
    raw: Any
    power_supply: bool


def read_sensors(command: Any) -> list[Reading]:
    """Those that answer; one that does not is no reason to know nothing of the others."""
    records = command.init_sdr().sensors
    often = Counter(record.name for record in records.values())
    return [
        Reading(_name(record, often), raw, _is_supply(record))
        for record in records.values()
        if record.readable
        for raw in _read(command, record)
    ]


def _read(command: Any, record: Any) -> Iterator[Any]:
    answer = command.raw_command(
        netfn=4, command=0x2D, rslun=record.sensor_lun, data=(record.sensor_number,)
    )
    if "error" in answer:
        return
    try:
        yield record.decode_sensor_reading(command, answer["data"])
    except (PyghmiException, IndexError, KeyError, ValueError, NotImplementedError):
        return


def _name(record: Any, often: Counter[str]) -> str:
    if often[record.name] == 1:
        return str(record.name)
    return f"{record.name} ({record.entity}, {record.sensor_number:02X}h)"


def _is_supply(record: Any) -> bool:
    return bool(record.sensor_type_number == POWER_SUPPLY and record.reading_type == SPECIFIC)


def health_of(readings: list[Reading]) -> HealthReport:
    """The text of a state decides, not its status column (I18)."""
    bad = [r for r in readings if level(r.raw) in ("warning", "critical")]
    worst = min((level(r.raw) for r in readings), key=ORDER.index, default="unknown")
    return HealthReport(health=worst, reasons=tuple(map(_reason, bad)))


def psus_of(readings: list[Reading]) -> tuple[Psu, ...] | None:
    """Supplies that are there: an empty bay has no state. None where no sensor is about one."""
    supplies = [r for r in readings if r.power_supply]
    there = tuple(Psu(name=r.name, health=level(r.raw)) for r in supplies if r.raw.states)
    return there if supplies else None


def level(raw: Any) -> Health:
    if raw.unavailable:
        return "unknown"
    if raw.health & (Level.Critical | Level.Failed):
        # pyghmi calls a failure that is only predicted critical already.
        return "warning" if set(raw.states) <= HARMLESS else "critical"
    return "warning" if raw.health & Level.Warning else "ok"


def _reason(reading: Reading) -> str:
    raw = reading.raw
    states = [s for s in raw.states if s not in ("Present", "Ok")]
    value = f" ({raw.value:g} {raw.units})" if raw.value is not None else ""
    return f"{reading.name}: {', '.join(states).lower()}{value}"
