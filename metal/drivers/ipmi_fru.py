"""Field replaceable units of an IPMI BMC, each and each area of it alone (I16).

Source: Platform Management FRU Information Storage Definition 1.0, decoded by pyghmi.
"""

from typing import Any

from pyghmi.exceptions import PyghmiException
from pyghmi.ipmi import fru

from metal.drivers.ipmi_judge import Fru
from metal.model.facts import Dimm

BROKEN = (PyghmiException, IndexError, ValueError, KeyError, TypeError)
KEYS = {
    "chassis_part": "Chassis part number",
    "chassis_serial": "Chassis serial number",
    "board_maker": "Board manufacturer",
    "board_product": "Board product name",
    "board_serial": "Board serial number",
    "board_part": "Board model",
    "product_maker": "Manufacturer",
    "product_name": "Product name",
    "product_part": "Model",
    "product_serial": "Serial Number",
}


class _Areas(fru.FRU):  # type: ignore[misc]  # pyghmi has no types
    """What could be read of it stays, whatever is wrong with the rest."""

    def parsedata(self) -> None:
        self.info: dict[str, Any] = {}
        self.wrong = ""
        self.databytes = bytearray(self.rawfru)
        if not self.databytes or self.databytes[0] != 1:
            self.wrong = "it is empty or of an unknown format"
            return
        for parse in (self._parse_chassis, self._parse_board, self._parse_prod):
            try:
                parse()
            except BROKEN as error:
                self.wrong = str(error)


def read_fru(command: Any) -> tuple[Fru, str]:
    """(FRU 0, what is wrong with it or "")."""
    try:
        areas = _Areas(ipmicmd=command)
    except BROKEN as error:
        return Fru(), str(error)
    if areas.info is None:
        return Fru(), "there is none"
    return Fru(**{ours: _text(areas.info.get(key)) for ours, key in KEYS.items()}), areas.wrong


def read_dimms(command: Any) -> tuple[Dimm, ...] | None:
    """Of the FRUs that are a memory module's own SPD; None where there is none."""
    found: list[Dimm] = []
    for number, locator in sorted(command.init_sdr().fru.items()):
        try:
            info = fru.FRU(ipmicmd=command, fruid=number, sdr=locator).info or {}
        except (*BROKEN, NotImplementedError):
            continue
        if info.get("capacity_mb"):
            size = round(info["capacity_mb"] / 1024, 2)
            found.append(Dimm(slot=str(locator.fru_name), size_gib=size))
    return tuple(found) or None


def _text(value: Any) -> str | None:
    """FRU texts may be any bytes."""
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("latin-1")
    return None if value is None else str(value)
