"""What an IPMI machine is and how it fares, judged from its FRU and its sensors' texts.

Pure, and shared by the driver and the reader of ipmitool's outputs. Numbers are those of
docs/bmc-quirks.md.
"""

import re
from collections import Counter
from dataclasses import dataclass

from metal.drivers.placeholders import told
from metal.drivers.vendors import vendor_name
from metal.model.facts import Health, HealthReport, Psu

MAKERS = {
    2: "IBM",
    11: "HP",
    42: "Sun Microsystems",
    111: "Oracle",
    119: "NEC",
    343: "Intel",
    674: "Dell",
    2011: "Huawei",
    2623: "ASUS",
    5703: "NVIDIA",
    5771: "Cisco",
    6569: "Inventec",
    6653: "Tyan",
    7244: "Quanta",
    10368: "Fujitsu",
    10876: "Supermicro",
    15370: "Gigabyte",
    19046: "Lenovo",
    20301: "IBM",
    37945: "Inspur",
    40092: "Wiwynn",
    42817: "IBM",
    47196: "HPE",
    47488: "Supermicro",
}
"""IANA enterprise numbers, which Get Device ID tells where the FRU has no maker (I17)."""
PSU_ENTITY = 10
"""Table 43-13."""
CRITICAL = re.compile(
    r"failure detected|(?<!non-)(?<!predictive )\bfail(?:ed|ure)\b(?! predict)|non-?recoverable"
    r"|(?<!non-)\bcritical\b|\bfault\b|thermal trip|\bierr\b|uncorrectable|(?:ac|input) lost"
    r"|configuration error|(?:config|parity) error|run-in|insufficient resources",
    re.IGNORECASE,
)
WARNING = re.compile(
    r"predict(?:ive|ed)? ?(?:drive )?fail|non-critical|redundancy (?:lost|degraded)|non-redundant"
    r"|logging limit|degraded|out-of-range|rebuild|throttl|correctable (?:ecc|error)",
    re.IGNORECASE,
)
HARMLESS = re.compile(r"^(?:no |not ).*|.*\b(?:deasserted|no failure)\b.*$", re.IGNORECASE)
PSU_STATE = re.compile(
    r"presence detected|power supply|failure detected|predictive failure|(?:ac|input) lost",
    re.IGNORECASE,
)
PSU_NAME = re.compile(
    r"^(?:ps|psu|pwr supply|power supply)[ _-]?\d+(?:[ _]status)?$", re.IGNORECASE
)
ORDER: tuple[Health, ...] = ("critical", "warning", "ok", "unknown")


@dataclass(frozen=True)
class Fru:
    """FRU 0's texts as they stand there."""

    chassis_part: str | None = None
    chassis_serial: str | None = None
    board_maker: str | None = None
    board_product: str | None = None
    board_serial: str | None = None
    board_part: str | None = None
    product_maker: str | None = None
    product_name: str | None = None
    product_part: str | None = None
    product_serial: str | None = None


@dataclass(frozen=True)
class Sensor:
    """One sensor as read."""

    name: str
    id: str
    """Unlike names, which repeat (I19)."""
    entity: int | None
    instance: int | None
    states: tuple[str, ...]
    """Texts such as "Presence detected"; numbers are left out."""
    level: Health = "unknown"
    """Of its thresholds alone: its text may say worse (I18)."""
    value: str = ""
    power_supply: bool | None = None
    """Whether its type says so; None where the type is not told."""


@dataclass(frozen=True)
class Identity:
    vendor: str | None
    model: str | None
    serial: str | None
    sku: str | None
    board_serial: str | None


def identity(fru: Fru, maker: int | None = None) -> Identity:
    """`maker` is the IANA number of the BMC."""
    name, part = _text(fru.product_name), _text(fru.product_part)
    board, board_part = _text(fru.board_product), _text(fru.board_part)
    makers = [_text(fru.product_maker), _text(fru.board_maker), MAKERS.get(maker or -1)]
    house = " ".join(m for m in makers if m).lower()
    dell, supermicro = "dell" in house, "supermicro" in house.replace(" ", "")
    if dell:
        names = [board, name, part]  # the product name may be the host's (I14)
    elif supermicro:
        names = [name, part, board, board_part]  # a board is in many products (I15)
    else:
        names = [name, board, part, board_part]
    model = next(filter(None, names), None)
    if name is None:
        makers[:2] = makers[1::-1]  # a rebrand without a name of its own: the board's maker (I15)
    serial = _text(fru.product_serial) or _text(fru.chassis_serial)
    sku = _text(fru.product_serial) if dell else part
    return Identity(
        vendor=vendor_name(next(filter(None, makers), None), model),
        model=model,
        serial=serial,
        sku=None if sku == model else sku,
        board_serial=_text(fru.board_serial),
    )


def maker_number(text: str) -> int | None:
    """Of "11" or "19046 (0x4A66)"; None for what is no number."""
    match = re.match(r"\s*(0x[0-9a-f]+|\d+)", text, re.IGNORECASE)
    return int(match[1], 0) if match else None


def _text(value: str | None) -> str | None:
    """FRUs are padded with dots, blanks and bytes that are no text (I16)."""
    if value is None:
        return None
    printable = "".join(c if c.isprintable() else " " for c in value).replace("\ufffd", " ")
    return told(re.sub(r"(?:[.\s]{2,}|\s+)$", "", printable))


# ── Sensors ──────────────────────────────────────────────────────────────────────────────────


def level(sensor: Sensor) -> Health:
    """The worst of what its thresholds and its text say."""
    said: list[Health] = [sensor.level, *map(_level_of, sensor.states)]
    return min(said, key=ORDER.index)


def _level_of(state: str) -> Health:
    if HARMLESS.match(state):
        return "ok"
    if WARNING.search(state) and not re.search(r"uncorrectable|non-recoverable", state, re.I):
        return "warning"
    return "critical" if CRITICAL.search(state) else "ok"


def report(sensors: list[Sensor]) -> HealthReport:
    names = distinct(sensors)
    bad = [(s, found) for s in sensors if (found := level(s)) in ("critical", "warning")]
    worst: Health = min((level(s) for s in sensors), key=ORDER.index, default="unknown")
    return HealthReport(health=worst, reasons=tuple(f"{names[s.id]}: {_why(s)}" for s, _ in bad))


def _why(sensor: Sensor) -> str:
    states = [s for s in sensor.states if _level_of(s) != "ok"] or list(sensor.states)
    said = ", ".join(states).lower() or f"beyond its {sensor.level} threshold"
    return (
        f"{said} ({sensor.value})" if sensor.value and not sensor.value.startswith("0 ") else said
    )


def distinct(sensors: list[Sensor]) -> dict[str, str]:
    """Id → name; with what it belongs to where names repeat (I19)."""
    often = Counter(s.name for s in sensors)
    return {
        s.id: s.name if often[s.name] == 1 else f"{s.name} ({s.entity}.{s.instance}, {s.id})"
        for s in sensors
    }


def psus(sensors: list[Sensor]) -> tuple[Psu, ...] | None:
    """One for each supply that is there; None where no sensor is about one."""
    names = distinct(sensors)
    return (
        tuple(Psu(name=names[s.id], health=level(s)) for s in sensors if _about_a_supply(s)) or None
    )


def _about_a_supply(sensor: Sensor) -> bool:
    if sensor.power_supply is not None:
        return sensor.power_supply
    if sensor.entity not in (None, PSU_ENTITY):
        return False
    present = any(PSU_STATE.search(s) for s in sensor.states)
    return present or bool(PSU_NAME.match(sensor.name) and sensor.states)
