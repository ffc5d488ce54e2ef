"""Sensors of an IPMI BMC, each read alone. Source: IPMI 2.0 rev. 1.1, 35.14 and chapter 42.

pyghmi decodes their states; how bad they are is ipmi_judge's to say, not pyghmi's: it calls a
lid that was opened critical, and a failure that is only predicted a failure.
"""

from collections.abc import Iterator
from typing import Any

from pyghmi.exceptions import PyghmiException

from metal.drivers.ipmi_ask import still_there
from metal.drivers.ipmi_judge import Sensor
from metal.drivers.ipmi_session import Silent

POWER_SUPPLY = 0x08
"""Sensor type, table 42-3."""
SPECIFIC = 0x6F
"""Reading type of a sensor that tells states of its own kind, and not a redundancy."""
SILENT_ONES = 2
"""Sensors that may leave the question open: each costs the whole wait for an answer."""


def read_sensors(command: Any) -> list[Sensor]:
    """Those that answer; one that does not is no reason to know nothing of the others."""
    found: list[Sensor] = []
    silent = 0
    for record in command.init_sdr().sensors.values():
        if not record.readable:
            continue
        try:
            found += _read(command, record)
        except Silent:
            still_there(command)
            silent += 1
            if silent >= SILENT_ONES:
                raise
    return found


def _read(command: Any, record: Any) -> Iterator[Sensor]:
    answer = command.raw_command(
        netfn=4, command=0x2D, rslun=record.sensor_lun, data=(record.sensor_number,)
    )
    if "error" in answer:
        return
    try:
        yield _sensor(record, record.decode_sensor_reading(command, answer["data"]))
    except (PyghmiException, IndexError, KeyError, ValueError, NotImplementedError):
        return


def _sensor(record: Any, raw: Any) -> Sensor:
    """Thresholds are among the states: "upper critical threshold"."""
    return Sensor(
        name=str(record.name),
        id=f"{record.sensor_number:02X}h",
        entity=str(record.entity),
        states=tuple(map(str, raw.states)),
        level="unknown" if raw.unavailable else "ok",
        value=f"{raw.value:g} {raw.units}".strip() if raw.value is not None else "",
        power_supply=record.sensor_type_number == POWER_SUPPLY and record.reading_type == SPECIFIC,
    )
