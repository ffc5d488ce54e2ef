"""What an IPMI machine is, from its FRU and its maker's number.

Pure, and shared by the driver and the reader of ipmitool's outputs. Numbers are those of
docs/bmc-quirks.md.
"""

import re
from dataclasses import dataclass

from metal.drivers.placeholders import told
from metal.drivers.vendors import vendor_name

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
