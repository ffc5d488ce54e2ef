"""Makers' names as people say them: the same maker writes itself in several ways."""

import re

NAMES = (
    (r"dell", "Dell"),
    (r"hpe|hewlett.packard enterprise", "HPE"),
    (r"hp|hewlett.packard", "HP"),
    (r"lenovo", "Lenovo"),
    (r"ibm", "IBM"),
    (r"super ?micro", "Supermicro"),
    (r"intel", "Intel"),
    (r"giga-?byte|giga computing", "Gigabyte"),
    (r"asrock ?rack|asrockrack", "ASRock Rack"),
    (r"asus|asustek", "ASUS"),
    (r"(?:ts_)?fujitsu|fsas", "Fujitsu"),
    (r"nvidia", "NVIDIA"),
    (r"cisco", "Cisco"),
    (r"quanta|qct", "Quanta"),
    (r"inspur", "Inspur"),
    (r"huawei", "Huawei"),
    (r"oracle", "Oracle"),
    (r"tyan|mitac", "Tyan"),
    (r"wiwynn", "Wiwynn"),
    (r"inventec", "Inventec"),
    (r"x-?fusion", "xFusion"),
    (r"h3c|new h3c", "H3C"),
    (r"foxconn|hon hai|ingrasys", "Foxconn"),
    (r"zt ?systems|ztsystems", "ZT Systems"),
    (r"nutanix", "Nutanix"),
    (r"nec", "NEC"),
    (r"ampere", "Ampere"),
)
KNOWN = [(re.compile(rf"^(?:{form})\b", re.IGNORECASE), name) for form, name in NAMES]


def vendor_name(maker: str | None, model: str | None, *, sure: bool = False) -> str | None:
    """ "Dell Inc." → "Dell"; a maker that is not known keeps its own words, None if `sure`.

    HPE's Cray machines are another house with other firmware: they are told apart by the model.
    """
    name = next((name for form, name in KNOWN if form.search(maker or "")), None)
    name = name or (None if sure else maker)
    if maker is None or name is None:
        return None
    cray = "cray" in f"{maker} {model or ''}".lower()
    return "HPE Cray" if cray and name in ("HPE", maker) else name
