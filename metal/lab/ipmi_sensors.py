"""FRU and sensors of a simulated machine, in IPMI's bytes.

Source: Platform Management FRU Information Storage Definition 1.0 and IPMI 2.0 rev. 1.1,
chapters 42 and 43 (sensor types, SDR formats).
"""

from collections.abc import Set
from dataclasses import dataclass, replace

from metal.lab.machine import Machine

PART = "PART-1"
"""Product part number in every FRU."""
THRESHOLD, SENSOR_SPECIFIC, SEVERITY = 0x01, 0x6F, 0x07
"""Event/reading types, table 42-1 and 42-2."""
TEMPERATURE, POWER_SUPPLY, MEMORY, DRIVE, PLATFORM = 0x01, 0x08, 0x0C, 0x0D, 0x24
"""Sensor types, table 42-3."""
BAD = {POWER_SUPPLY: (1, 2), MEMORY: (1, 0), DRIVE: (1, 2), PLATFORM: (2, 1)}
"""Sensor type → state bit when (critical, warning), table 42-3 and 42-2."""
PRESENT = {POWER_SUPPLY: 1, MEMORY: 1 << 6, DRIVE: 1}


@dataclass(frozen=True)
class Sensor:
    name: str
    kind: int
    entity: int
    """Table 43-13: 10 power supply, 32 memory device, 26 drive bay, 55 air inlet, 7 board."""
    reading: int


def sensors(machine: Machine) -> list[Sensor]:
    """In the order of their numbers, which begin at 1."""
    return [
        Sensor("PSU 1", POWER_SUPPLY, 10, SENSOR_SPECIFIC),
        Sensor("PSU 2", POWER_SUPPLY, 10, SENSOR_SPECIFIC),
        Sensor("Inlet", TEMPERATURE, 55, THRESHOLD),
        Sensor("System", PLATFORM, 7, SEVERITY),
        *(Sensor(d.slot[:16], MEMORY, 32, SENSOR_SPECIFIC) for d in machine.hardware.dimms),
        *(Sensor(d.name[:16], DRIVE, 26, SENSOR_SPECIFIC) for d in machine.hardware.drives),
    ]


def reading(machine: Machine, number: int) -> bytes | None:
    """The answer to Get Sensor Reading (35.14): value, flags, states. None: no such sensor."""
    known = sensors(machine)
    if not 1 <= number <= len(known):
        return None
    sensor = known[number - 1]
    bad = _complains(machine, sensor, {s.name for s in known})
    if sensor.kind == TEMPERATURE:
        states = {"critical": 0x10, "warning": 0x08}[machine.severity] if bad else 0
        return bytes([48 if bad else 22, 0xC0, states])
    states = PRESENT.get(sensor.kind, 0)
    if bad:
        states |= 1 << BAD[sensor.kind][machine.severity == "warning"]
    return bytes([0, 0xC0, states, 0x80])


def _complains(machine: Machine, sensor: Sensor, names: set[str]) -> bool:
    """A complaint "PSU 2: no input" is the sensor PSU 2's; one of no sensor is the system's."""
    about = {c.partition(":")[0] for c in machine.complaints}
    return sensor.name in about or (sensor.kind == PLATFORM and bool(about - names))


def sdr_records(machine: Machine, faults: Set[str] = frozenset()) -> list[bytes]:
    """Full records (43.1) for thresholds, compact ones (43.2) for states."""
    same = "duplicate-sensors" in faults
    once = [
        _record(i, replace(s, name="Status") if same and s.kind == POWER_SUPPLY else s)
        for i, s in enumerate(sensors(machine))
    ]
    again = once if "records-twice" in faults else []
    return once + [_numbered(i, record) for i, record in enumerate(again, len(once))]


def _record(index: int, sensor: Sensor) -> bytes:
    analog = sensor.reading == THRESHOLD
    name = sensor.name.encode("latin-1")
    body = bytes([0x20, 0, index + 1, sensor.entity, index + 1, 0x7F, 0x68 if analog else 0x60])
    body += bytes([sensor.kind, sensor.reading]) + bytes(6)
    # Units: unsigned and degrees C, or no number at all.
    body += bytes([0x00, 1, 0]) if analog else bytes([0xC0, 0, 0])
    if analog:
        # Linear, M=1, no tolerance, B=0, exponents 0; then ranges, upper thresholds 50/46/42.
        body += bytes(
            [0, 1, 0, 0, 0, 0, 0, 0, 22, 40, 5, 127, 0, 50, 46, 42, 0, 0, 0, 2, 2, 0, 0, 0]
        )
    else:
        body += bytes([1, 0, 0, 0, 0, 0, 0, 0])
    body += bytes([0xC0 | len(name)]) + name
    head = bytes(2) + bytes([0x51, 1 if analog else 2, len(body)])
    return _numbered(index, head + body)


def _numbered(number: int, record: bytes) -> bytes:
    return number.to_bytes(2, "little") + record[2:]


def fru_bytes(machine: Machine, faults: Set[str] = frozenset()) -> bytes:
    """Chassis, board and product areas of FRU 0, each padded to 8 bytes with its checksum."""
    hardware = machine.hardware
    maker = "" if "no-maker" in faults else hardware.vendor
    name = {"fru-host-name": "WIN-QB9K8RM13CA", "fru-part-number": "NONE"}
    product_name = next((name[f] for f in name if f in faults), hardware.model)
    board_name = "" if "fru-part-number" in faults else hardware.model
    chassis = _area(bytes([0x17]), "", hardware.serial)
    board = _area(bytes([0x19, 0, 0, 0]), maker, board_name, "B" + hardware.serial, "", "")
    product = _area(bytes([0x19]), maker, product_name, PART, "", hardware.serial, "", "")
    offsets = [0, 1, 1 + len(chassis) // 8, 1 + (len(chassis) + len(board)) // 8, 0, 0]
    return _checked(bytes([1, *offsets])) + chassis + board + product


def _area(head: bytes, *fields: str) -> bytes:
    """Format version, length in 8 bytes, head, fields as 8-bit text, end mark, padding."""
    texts = b"".join(bytes([0xC0 | len(f)]) + f.encode("latin-1") if f else b"\0" for f in fields)
    body = head + texts + b"\xc1"
    size = -(-(len(body) + 3) // 8)
    return _checked(bytes([1, size]) + body + bytes(size * 8 - len(body) - 3))


def _checked(data: bytes) -> bytes:
    return data + bytes([-sum(data) & 0xFF])
