"""Field replaceable units of an IPMI BMC, each and each area of it alone (I16).

Source: Platform Management FRU Information Storage Definition 1.0, decoded by pyghmi.
"""

from typing import Any

from pyghmi.exceptions import IpmiException, PyghmiException
from pyghmi.ipmi import fru

from metal.drivers.ipmi_ask import ask, still_there
from metal.drivers.ipmi_identity import Fru
from metal.drivers.ipmi_session import Silent
from metal.drivers.placeholders import told
from metal.model.facts import Dimm

BROKEN = (PyghmiException, IndexError, ValueError, KeyError, TypeError)
ABSENT = (0xC3, 0xC9, 0xCB, 0x81)
"""Completion codes by which BMCs say that there is no such FRU, or that it cannot be reached."""
TOO_MUCH = (0xC7, 0xC8, 0xC9, 0xCA)
"""And that so many bytes are too many for one answer."""
CHUNK, SMALLEST = 224, 4
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
    """(FRU 0, why it is not told whole or "")."""
    try:
        data = _bytes_of(command, 0)
    except Silent:
        still_there(command)
        return Fru(), "the BMC did not answer in time when its FRU was asked for"
    except BROKEN as error:
        return Fru(), f"its FRU cannot be read: {error}"
    if data is None:
        return Fru(), "it has no FRU"
    areas = _Areas(rawdata=data)
    wrong = f"its FRU is broken: {areas.wrong}" if areas.wrong else ""
    return Fru(**{ours: _text(areas.info.get(key)) for ours, key in KEYS.items()}), wrong


def read_dimms(command: Any) -> tuple[Dimm, ...] | None:
    """Of the FRUs that are a memory module's own SPD; None where there is none."""
    found: list[Dimm] = []
    for number, locator in sorted(command.init_sdr().fru.items()):
        try:
            info = fru.FRU(rawdata=_bytes_of(command, number), sdr=locator).info or {}
        except (*BROKEN, NotImplementedError):
            continue
        if info.get("capacity_mb"):
            size = round(info["capacity_mb"] / 1024, 2)
            serial, part = (told(_text(info.get(key))) for key in ("serial", "model"))
            found.append(Dimm(slot=str(locator.fru_name), size_gib=size, serial=serial, part=part))
    return tuple(found) or None


def _bytes_of(command: Any, number: int) -> bytes | None:
    """What FRU `number` holds (34.1, 34.2), in pieces as large as the BMC gives; None if absent.

    pyghmi's own reading gives up on a BMC that calls a piece too long (C7h, C8h).
    """
    try:
        size = int.from_bytes(ask(command, 10, 0x10, number)[:2], "little")
    except IpmiException as error:
        if error.ipmicode in ABSENT:
            return None
        raise
    found, chunk = b"", CHUNK
    while len(found) < size:
        wanted = min(chunk, size - len(found))
        try:
            part = ask(command, 10, 0x11, number, *len(found).to_bytes(2, "little"), wanted)
        except IpmiException as error:
            if error.ipmicode not in TOO_MUCH or chunk <= SMALLEST:
                raise
            chunk //= 2
            continue
        if not part[0]:
            break
        found += part[1 : 1 + part[0]]
    return found


def _text(value: Any) -> str | None:
    """FRU texts may be any bytes."""
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("latin-1")
    return None if value is None else str(value)
