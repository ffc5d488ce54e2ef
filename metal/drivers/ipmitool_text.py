"""Outputs of ipmitool, as donors send them → the shapes that the driver gives. Pure.

Each `read_…` takes one output; `read` finds out which it is. What an output does not hold stays
None, with its reason in `unknown`.
"""

import re
from collections.abc import Iterator
from typing import Literal

from pyghmi.ipmi.private.constants import entity_ids

from metal.drivers import ipmi_judge as judge
from metal.drivers.ipmi_flags import decode_flags
from metal.drivers.ipmi_identity import Fru, identity, maker_number
from metal.drivers.ipmitool_lan import read_lan, read_sel_info, read_users
from metal.drivers.ipmitool_lines import after, fields
from metal.drivers.ipmitool_sel import is_sel, read_sel
from metal.drivers.ipmitool_words import error_of
from metal.model.base import Frozen
from metal.model.errors import BadInput
from metal.model.facts import Account, BootOnce, Facts, Health, HealthReport, LogEntry, Power
from metal.model.findings import Exposure

Kind = Literal[
    "fru", "mc info", "sdr", "sel", "sel info", "lan", "user", "chassis", "bootparam", "error"
]
FRU_KEYS = {
    "Chassis Part Number": "chassis_part",
    "Chassis Serial": "chassis_serial",
    "Board Mfg": "board_maker",
    "Board Product": "board_product",
    "Board Serial": "board_serial",
    "Board Part Number": "board_part",
    "Product Manufacturer": "product_maker",
    "Product Name": "product_name",
    "Product Part Number": "product_part",
    "Product Serial": "product_serial",
}
NOT_HERE = "not in this output of ipmitool"
COLUMN: dict[str, Health] = {"ok": "ok", "nc": "warning", "cr": "critical", "nr": "critical"}
BEYOND = {
    side[0] + short: f"{side} {name} threshold"
    for side in ("lower", "upper")
    for short, name in (("nc", "non-critical"), ("cr", "critical"), ("nr", "non-recoverable"))
}
"""What `sdr elist` has in its column for a threshold that is passed: "ucr"."""
FAULTS = ("Power Overload", "Main Power Fault", "Power Control Fault", "Drive Fault", "Fan Fault")
LINE = re.compile(r"^(.*?)\s*\|\s*([0-9A-Fa-f]+)h\s*\|\s*(\w+)\s*\|\s*(\d+)\.\d+\s*\|\s*(.*?)\s*$")
PLAIN = re.compile(r"^(.*?)\s*\|\s*(.*?)\s*\|\s*(ok|ns|nc|cr|nr|us)\s*$")
NUMBER = re.compile(r"^-?[\d.]+ [A-Za-z%]|^0x[0-9a-f]+$")
NOTHING = ("", "no reading", "disabled", "not readable", "no data available")


class Told(Frozen):
    """What one output holds; None for what is not its subject."""

    kind: Kind
    facts: Facts | None = None
    health: HealthReport | None = None
    log: tuple[LogEntry, ...] | None = None
    accounts: tuple[Account, ...] | None = None
    exposure: Exposure | None = None
    boot_once: BootOnce | None = None
    """None in a bootparam: the next boot goes by the usual order."""
    error: str | None = None
    mend: str | None = None
    exit_code: int = 0


def read(text: str, where: str = "") -> Told:
    """BadInput when it is no output of ipmitool that is known. `where`: file or address."""
    text = text.replace("\r\n", "\n")
    if "FRU Device Description" in text:
        return Told(kind="fru", facts=read_fru(text, where))
    if re.search(r"^Device ID\s*:", text, re.M) and "Firmware Revision" in text:
        return Told(kind="mc info", facts=read_mc_info(text, where))
    if re.search(r"^System Power\s*:", text, re.M):
        facts, health = read_chassis(text, where)
        return Told(kind="chassis", facts=facts, health=health)
    if "Boot parameter" in text or "Boot Flags" in text:
        return Told(kind="bootparam", boot_once=read_bootparam(text))
    if re.search(r"^ID\s+Name\s+Callin", text, re.M):
        accounts, exposure = read_users(text)
        return Told(kind="user", accounts=accounts, exposure=exposure)
    if re.search(r"^(?:Set in Progress|Auth Type Support|IP Address Source)\s*:", text, re.M):
        mac, exposure = read_lan(text)
        return Told(kind="lan", facts=_facts(where, bmc_mac=mac), exposure=exposure)
    if re.search(r"^SEL Information", text, re.M):
        return Told(kind="sel info", exposure=read_sel_info(text))
    if is_sel(text):
        return Told(kind="sel", log=read_sel(text))
    if sensors := read_sensors(text):
        facts = _facts(where, psus=judge.psus(sensors), health=judge.report(sensors).health)
        return Told(kind="sdr", facts=facts, health=judge.report(sensors))
    if error := error_of(text):
        return Told(kind="error", error=error.what, mend=error.mend, exit_code=error.exit_code)
    raise BadInput(
        "is no output of ipmitool that metal knows",
        where=where,
        mend="fru print, mc info, sdr elist, sel list, sel info, lan print, user list, chassis "
        "status and chassis bootparam get 5 are",
    )


def read_fru(text: str, where: str = "") -> Facts:
    """Of the builtin FRU (ID 0), the first that tells a name; each stands alone (I16)."""
    found = [identity(fru) for fru in _frus(text)]
    best = next((i for i in found if i.model or i.serial), None)
    if best is None:
        return _facts(where, reason="its FRU tells nothing")
    return _facts(
        where,
        vendor=best.vendor,
        model=best.model,
        serial=best.serial,
        sku=best.sku,
        board_serial=best.board_serial,
    )


def _frus(text: str) -> Iterator[Fru]:
    """The builtin one first, then the others in their order."""
    blocks = re.split(r"^FRU Device Description\s*:", text, flags=re.M)[1:]
    for block in sorted(blocks, key=lambda b: "(ID 0)" not in b.split("\n")[0]):
        told = fields(block)
        yield Fru(**{ours: told[k] for k, ours in FRU_KEYS.items() if k in told})


def read_mc_info(text: str, where: str = "") -> Facts:
    """The BMC's firmware, and the maker by number where its name is unknown (I17)."""
    told = fields(text)
    name = after(told, "Manufacturer Name")
    number = maker_number(told.get("Manufacturer ID", ""))
    if name and name.lower().startswith("unknown"):
        name = None
    known = identity(Fru(product_maker=name), number)
    return _facts(where, vendor=known.vendor, bmc_firmware=after(told, "Firmware Revision"))


def read_chassis(text: str, where: str = "") -> tuple[Facts, HealthReport]:
    told = fields(text)
    power: Power = "unknown"
    if told.get("System Power") in ("on", "off"):
        power = "on" if told["System Power"] == "on" else "off"
    bad = [k for k, v in told.items() if k.endswith(FAULTS) and v.lower() == "true"]
    health: Health = "critical" if bad else "ok"
    reasons = tuple(k.lower() for k in bad)
    return _facts(where, power_state=power, health=health), HealthReport(
        health=health, reasons=reasons
    )


def read_bootparam(text: str) -> BootOnce | None:
    """Of the bytes where they are there, else of the words; the valid bit first (I08)."""
    if re.search(r"parameter 5 is invalid|Boot Flag Invalid", text, re.I):
        return None
    data = re.search(r"^\s*Boot parameter data:\s*([0-9a-f]{10})", text, re.M | re.I)
    if data:
        return decode_flags(bytes.fromhex(data[1]))
    valid, once = "Boot Flag Valid" in text, "only next boot" in text
    if not (valid and once):
        return None
    words = (("Force PXE", 1), ("CD/DVD", 5), ("Hard-Drive", 2))
    selector = next((n for word, n in words if word in text), 0)
    efi = 0x20 if "EFI boot" in text else 0
    return decode_flags(bytes([0x80 | efi, selector << 2, 0, 0, 0]))


# ── Sensors ──────────────────────────────────────────────────────────────────────────────────


def read_sensors(text: str) -> list[judge.Sensor]:
    """Lines of `sdr elist` (with id and entity) or of `sdr list` (without)."""
    found: list[judge.Sensor] = []
    for line in text.splitlines():
        if match := LINE.match(line):
            name, number, column, entity, said = match.groups()
            belongs = entity_ids.get(int(entity), f"entity {entity}")
            found.append(_sensor(name, f"{number.upper()}h", column, belongs, said))
        elif match := PLAIN.match(line):
            name, said, column = match.groups()
            found.append(_sensor(name, str(len(found)), column, None, said))
    return found


def _sensor(name: str, key: str, column: str, entity: str | None, said: str) -> judge.Sensor:
    parts, column = [p.strip() for p in said.split(",")], column.lower()
    states = [p for p in parts if p.lower() not in NOTHING and not NUMBER.match(p)]
    value = next((p for p in parts if NUMBER.match(p)), "").replace(" degrees C", " °C")
    states += [BEYOND[column]] if column in BEYOND else []
    # "ns": no reading. What has neither number nor text says nothing of itself.
    told = COLUMN.get(column[-2:], "unknown") if states or value else "unknown"
    return judge.Sensor(name.strip(), key, entity, tuple(states), told, value)


def _facts(where: str, reason: str = NOT_HERE, **found: object) -> Facts:
    facts = Facts.model_validate({"address": where, "protocol": "ipmi", **found})
    missing = {key for key, value in facts if value is None and key != "node"}
    missing |= {f"cpu.{key}" for key in type(facts.cpu).model_fields}
    return facts.model_copy(update={"unknown": dict.fromkeys(sorted(missing), reason)})
