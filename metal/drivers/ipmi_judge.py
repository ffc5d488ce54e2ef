"""How an IPMI machine fares, judged from its sensors' texts: the only judge of them.

Pure, and shared by the driver, whose texts are pyghmi's, and the reader of ipmitool's outputs:
the same machine must be as ill in one as in the other. Numbers are those of docs/bmc-quirks.md.
"""

import re
from collections import Counter
from dataclasses import dataclass

from metal.model.facts import Health, HealthReport, Psu

CRITICAL = re.compile(
    r"failure detected|(?<!non-)(?<!predictive )\bfail(?:ed|ure)\b(?! predict)|non-?recoverable"
    r"|(?<!non-)\bcritical\b|\bfault\b|thermal trip|\bierr\b|internal error|uncorrectable"
    r"|(?:ac|input) lost|config(?:uration)? error|parity error|^parity$|run-in"
    r"|insufficient resources|(?<!non-)\bfatal\b|\b[ps]err\b|bus timeout|rebuild.*abort",
    re.IGNORECASE,
)
WARNING = re.compile(
    r"predict(?:ive|ed)? ?(?:drive )?fail|non-critical|redundancy (?:lost|degraded)"
    r"|no[nt][ -]redundant|logging limit|degraded|out[- ]of[- ]range|rebuild(?!.*abort)|throttl"
    r"|correctable (?:ecc|error|machine check)|limit exceeded|performance lags|power down"
    r"|\boff-?line\b|install error|(?:heartbeat|communication) lost|^low$|incompatib"
    r"|(?:watchdog|timer) expired|\bhang\b",
    re.IGNORECASE,
)
WORSE = re.compile(r"uncorrectable|non-recoverable|insufficient", re.IGNORECASE)
"""Contains a word of WARNING, but is CRITICAL."""
HARMLESS = re.compile(
    r"^(?:no |not (?!redundant)).*|.*\b(?:deasserted|no failure)\b.*"
    r"|.*\b(?:password|account|intrusion|pxe)\b.*",
    re.IGNORECASE,
)
"""An open lid, a wrong password and a boot that found no server say nothing of how it fares."""
PSU_ENTITY = "Power supply"
PSU_STATE = re.compile(
    r"presence detected|power supply|failure detected|predictive failure|(?:ac|input) lost",
    re.IGNORECASE,
)
PSU_NAME = re.compile(
    r"^(?:ps|psu|pwr supply|power supply)[ _-]?\d+(?:[ _]status)?$", re.IGNORECASE
)
HEAT = re.compile(r"°C|degrees C|RPM", re.IGNORECASE)
"""Units of readings that tell how it is cooled, pyghmi's and ipmitool's."""
ORDER: tuple[Health, ...] = ("critical", "warning", "ok", "unknown")


@dataclass(frozen=True)
class Sensor:
    """One sensor as read."""

    name: str
    id: str
    """Such as "64h": unlike names, which repeat (I19)."""
    entity: str | None
    """What it belongs to, in pyghmi's words for table 43-13; None where that is not told."""
    states: tuple[str, ...]
    """Texts such as "Presence detected"; numbers are left out."""
    level: Health = "unknown"
    """Of its thresholds alone: its text may say worse (I18)."""
    value: str = ""
    power_supply: bool | None = None
    """Whether its type says so; None where the type is not told."""


def level(sensor: Sensor) -> Health:
    """The worst of what its thresholds and its text say."""
    said: list[Health] = [sensor.level, *map(level_of, sensor.states)]
    return min(said, key=ORDER.index)


def level_of(state: str) -> Health:
    """Of one text: a sensor's state or what an event says."""
    if HARMLESS.match(state):
        return "ok"
    if WARNING.search(state) and not WORSE.search(state):
        return "warning"
    return "critical" if CRITICAL.search(state) else "ok"


def report(sensors: list[Sensor]) -> HealthReport:
    names = distinct(sensors)
    bad = [(s, found) for s in sensors if (found := level(s)) in ("critical", "warning")]
    worst: Health = min((level(s) for s in sensors), key=ORDER.index, default="unknown")
    return HealthReport(
        health=worst,
        reasons=tuple(f"{names[s.id]}: {_why(s)}" for s, _ in bad),
        cooling=any(HEAT.search(s.value) for s in sensors),
    )


def _why(sensor: Sensor) -> str:
    """The worst it says: who is beyond a critical threshold is beyond the others too."""
    worst = level(sensor)
    states = [s for s in sensor.states if level_of(s) == worst] or list(sensor.states)
    said = ", ".join(states).lower() or f"beyond its {sensor.level} threshold"
    return (
        f"{said} ({sensor.value})" if sensor.value and not sensor.value.startswith("0 ") else said
    )


def distinct(sensors: list[Sensor]) -> dict[str, str]:
    """Id → name; with what it belongs to where names repeat (I19)."""
    often = Counter(s.name for s in sensors)
    return {
        s.id: s.name
        if often[s.name] == 1
        else f"{s.name} ({', '.join(filter(None, (s.entity, s.id)))})"
        for s in sensors
    }


def psus(sensors: list[Sensor]) -> tuple[Psu, ...] | None:
    """One for each supply that is there: an empty bay has no state. None where no sensor is
    about one."""
    names = distinct(sensors)
    supplies = [s for s in sensors if _about_a_supply(s)]
    there = tuple(Psu(name=names[s.id], health=level(s)) for s in supplies if s.states)
    return there if supplies else None


def _about_a_supply(sensor: Sensor) -> bool:
    if sensor.power_supply is not None:
        return sensor.power_supply
    if sensor.entity not in (None, PSU_ENTITY):
        return False
    present = any(PSU_STATE.search(s) for s in sensor.states)
    return present or bool(PSU_NAME.match(sensor.name) and sensor.states)
