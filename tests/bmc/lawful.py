"""What holds of every document of `metal enroll --dry-run -o json`, whatever the BMC answered."""

from __future__ import annotations

import json
import re
from typing import Any

KEYS = {
    "address", "vendor", "model", "serial", "sku", "uuid", "bios_version", "bmc_firmware",
    "power_state", "health", "cpu", "memory_gib", "dimms", "drives", "nics", "psus", "reset_types",
    "boot_targets", "virtual_media", "unknown",
}  # fmt: skip
WITHIN = {
    "dimms": {"slot", "size_gib"},
    "drives": {"name", "size_bytes", "media", "protocol", "serial", "failing"},
    "nics": {"name", "mac"},
}
TEXTS = ("vendor", "model", "serial", "sku", "bios_version", "bmc_firmware")
COUNTS = ("sockets", "cores", "threads")


def assert_lawful(document: dict[str, Any]) -> None:
    """Every key is there, of the right kind; each null has its reason and no zero stands for it."""
    json.dumps(document, allow_nan=False)
    assert set(document) >= KEYS
    _texts(document)
    _numbers(document)
    for key, fields in WITHIN.items():
        for part in document[key] or ():
            assert set(part) >= fields
    assert _without_reason(document) == []


def _without_reason(document: dict[str, Any]) -> list[str]:
    unknown = document["unknown"]
    assert all(isinstance(why, str) and why for why in unknown.values())
    nulls = [key for key, value in document.items() if value is None and key != "node"]
    nulls += [f"cpu.{key}" for key, value in document["cpu"].items() if value is None]
    for key, parts in document.items():
        if isinstance(parts, list):
            nulls += [
                f"{key}.{field}"
                for part in parts
                if isinstance(part, dict)
                for field, value in part.items()
                if value is None
            ]
    return [key for key in nulls if key not in unknown]


def _texts(document: dict[str, Any]) -> None:
    for key in TEXTS:
        text = document[key]
        assert text is None or (isinstance(text, str) and text.strip() and text[0] not in "{["), key
    assert document["uuid"] is None or re.fullmatch(r"[0-9a-fA-F-]{36}", document["uuid"])
    assert document["power_state"] in (None, "On", "Off")
    assert document["health"] in (None, "OK", "Warning", "Critical")
    for nic in document["nics"] or ():
        assert re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", nic["mac"])
    for drive in document["drives"] or ():
        assert drive["failing"] in (None, True, False)
        assert drive["media"] in (None, "SSD", "HDD")


def _numbers(document: dict[str, Any]) -> None:
    numbers = [document["cpu"][key] for key in COUNTS] + [document["memory_gib"]]
    numbers += [dimm["size_gib"] for dimm in document["dimms"] or ()]
    numbers += [drive["size_bytes"] for drive in document["drives"] or ()]
    for number in numbers:
        assert number is None or (type(number) in (int, float) and number > 0), number
