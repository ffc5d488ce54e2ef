"""The double's system event log. Source: IPMI 2.0 rev. 1.1, chapters 31 and 32."""

import time
from datetime import datetime

from metal.lab.ipmi_sensors import (
    MEMORY,
    PLATFORM,
    POWER_SUPPLY,
    SENSOR_SPECIFIC,
    SEVERITY,
    TEMPERATURE,
    THRESHOLD,
    sensors,
)
from metal.lab.machine import Machine
from metal.model.facts import LogEntry

OK, NOT_FOUND, CANCELLED = 0x00, 0xCB, 0xC5
OFFSETS = {"ok": 0, "warning": 1, "critical": 2}
"""Of the generic severity event type 07h, table 42-2."""
STATES = {
    (MEMORY, "Correctable error"): (SENSOR_SPECIFIC, 0),
    (MEMORY, "Uncorrectable error"): (SENSOR_SPECIFIC, 1),
    (POWER_SUPPLY, "Predictive failure"): (SENSOR_SPECIFIC, 2),
    (POWER_SUPPLY, "Power input lost"): (SENSOR_SPECIFIC, 3),
    (TEMPERATURE, "Upper critical"): (THRESHOLD, 9),
}
"""(sensor type, what it says) → (event type, offset), tables 42-2 and 42-3."""
OVER = " (over)"
SINCE_START = 42
"""What a clock shows that was never set."""
ROOM = 512
"""Records that fit."""


class Sel:
    """A log with reservations, whose erasing takes `erasing` looks to be done."""

    def __init__(self, machine: Machine, faults: set[str]) -> None:
        self._machine, self._faults = machine, faults
        self._reservation = 0
        self._to_wait = 0
        self.erased = 0

    def info(self, data: bytes) -> tuple[int, bytes]:
        full = "log-full" in self._faults
        count = len(self._machine.events)
        free = 0 if full else max(0, ROOM - count) * 16
        head = b"\x51" + count.to_bytes(2, "little") + min(free, 0xFFFF).to_bytes(2, "little")
        return OK, head + bytes(8) + bytes([0x82 if full else 0x02])

    def reserve(self, data: bytes) -> tuple[int, bytes]:
        self._reservation += 1
        return OK, self._reservation.to_bytes(2, "little")

    def get(self, data: bytes) -> tuple[int, bytes]:
        events = self._machine.events
        number = int.from_bytes(data[2:4], "little")
        index = {0: 0, 0xFFFF: len(events) - 1}.get(number, number - 1)
        if not 0 <= index < len(events):
            return NOT_FOUND, b""
        following = index + 2 if index + 1 < len(events) else 0xFFFF
        part = _record(self._machine, index + 1, events[index])[data[4] :][: data[5]]
        return OK, following.to_bytes(2, "little") + part

    def clear(self, data: bytes) -> tuple[int, bytes]:
        """31.9: begun with AAh, then asked about with 00h."""
        if "reservation-lost" in self._faults and self._reservation == 1:
            self._reservation += 1  # somebody else made one meanwhile
        if int.from_bytes(data[:2], "little") != self._reservation or data[2:5] != b"CLR":
            return CANCELLED, b""
        if data[5] == 0xAA:
            self._to_wait = 2
        elif self._to_wait:
            self._to_wait -= 1
            if not self._to_wait and "clear-ignored" not in self._faults:
                self._machine.events.clear()
                self._faults.discard("log-full")
                self.erased += 1
        return OK, bytes([0 if self._to_wait else 1])

    def clock(self, data: bytes) -> tuple[int, bytes]:
        now = SINCE_START if "clock-1970" in self._faults else int(time.time())
        return OK, now.to_bytes(4, "little")


def _record(machine: Machine, number: int, entry: LogEntry) -> bytes:
    """Table 32-1: of the sensor that its text names, else of the one for the whole system."""
    at = int(datetime.fromisoformat(entry.at).timestamp()) if entry.at else SINCE_START
    head = number.to_bytes(2, "little") + b"\x02" + at.to_bytes(4, "little")
    return head + b"\x20\x00\x04" + _event(machine, entry)


def _event(machine: Machine, entry: LogEntry) -> bytes:
    name, _, state = entry.text.partition(": ")
    for index, sensor in enumerate(sensors(machine), 1):
        if sensor.name == name and (sensor.kind, state.removesuffix(OVER)) in STATES:
            kind, offset = STATES[sensor.kind, state.removesuffix(OVER)]
            over = 0x80 if state.endswith(OVER) else 0
            return bytes([sensor.kind, index, kind | over, offset, 0xFF, 0xFF])
    system = next(i for i, s in enumerate(sensors(machine), 1) if s.kind == PLATFORM)
    return bytes([PLATFORM, system, SEVERITY, OFFSETS.get(entry.severity, 0), 0xFF, 0xFF])
