"""The named formats of Proxmox's API schema that metal meets; an unnamed one accepts anything.

After PVE::JSONSchema: a format is a test of one string; NAME-list and NAME-opt are made of it.
"""

import ipaddress
import re
from collections.abc import Callable

NODE = r"[a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?"
CONFIG_ID = r"[A-Za-z][A-Za-z0-9_\-]+"
STORAGE_ID = r"[A-Za-z][A-Za-z0-9\-_.]*[A-Za-z0-9]"
USER_ID = r"[^\s:/]+@[A-Za-z][A-Za-z0-9._\-]+"


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda value: compiled.fullmatch(value) is not None


def _parses(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def test(value: str) -> bool:
        try:
            parse(value)
        except ValueError:
            return False
        return True

    return test


def _network(value: str) -> object:
    if "/" not in value:
        raise ValueError("no prefix length")
    return ipaddress.ip_interface(value)


def _ipconfig(value: str) -> bool:
    """ip=CIDR|dhcp, gw=, ip6=CIDR|dhcp|auto, gw6=; a gateway needs its address."""
    parts = property_string(value, "ip")
    if not parts.keys() <= {"ip", "gw", "ip6", "gw6"}:
        return False
    if ("gw" in parts and "ip" not in parts) or ("gw6" in parts and "ip6" not in parts):
        return False
    cidr, address = _parses(_network), _parses(ipaddress.ip_address)
    return (
        (parts.get("ip", "dhcp") == "dhcp" or cidr(parts["ip"]))
        and (parts.get("ip6", "dhcp") in {"dhcp", "auto"} or cidr(parts["ip6"]))
        and all(address(parts[key]) for key in ("gw", "gw6") if key in parts)
    )


TESTS: dict[str, Callable[[str], bool]] = {
    "pve-node": _matches(NODE),
    "pve-vmid": _matches(r"[1-9][0-9]{2,8}"),
    "pve-configid": _matches(CONFIG_ID),
    "pve-storage-id": _matches(STORAGE_ID),
    "pve-userid": _matches(USER_ID),
    "pve-tokenid": _matches(USER_ID + r"![A-Za-z][A-Za-z0-9._\-]+"),
    "pve-groupid": _matches(r"[A-Za-z0-9.\-_]+"),
    "pve-roleid": _matches(r"[A-Za-z0-9.\-_]+"),
    "pve-poolid": _matches(r"[A-Za-z0-9.\-_]+(/[A-Za-z0-9.\-_]+){0,2}"),
    "pve-realm": _matches(r"[A-Za-z][A-Za-z0-9._\-]+"),
    "pve-priv": _matches(r"[A-Za-z.]+"),
    "pve-iface": _matches(r"[a-zA-Z][a-zA-Z0-9_]{1,20}([:.]\d+)?"),
    "pve-ha-node": _matches(NODE + r"(:\d+)?"),
    "pve-ha-resource-id": _matches(r"(vm|ct|fa):[1-9][0-9]{2,8}"),
    "pve-ha-resource-or-vm-id": _matches(r"((vm|ct|fa):)?[1-9][0-9]{2,8}"),
    "pve-tag": _matches(r"(?i)[a-z0-9_][a-z0-9_\-+.]*"),
    "pve-volume-id": _matches(STORAGE_ID + r":\S+"),
    "pve-storage-content": _matches(
        "images|rootdir|vztmpl|iso|backup|snippets|none|import",
    ),
    "pve-storage-path": _matches(r"/.*"),
    "pve-startup-order": _matches(r"(order=)?\d+(,(up|down)=\d+)*|(up|down)=\d+(,(up|down)=\d+)*"),
    "dns-name": _matches(
        r"([a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?)(\.[a-zA-Z0-9][a-zA-Z0-9\-]*)*"
    ),
    "storage-pair": _matches(f"1|{STORAGE_ID}(:{STORAGE_ID})?"),
    "bridge-pair": _matches(r"1|[\w.]+(:[\w.]+)?"),
    "ip": _parses(ipaddress.ip_address),
    "ipv4": _parses(ipaddress.IPv4Address),
    "ipv6": _parses(ipaddress.IPv6Address),
    "CIDR": _parses(_network),
    "CIDRv4": _parses(ipaddress.IPv4Interface),
    "CIDRv6": _parses(ipaddress.IPv6Interface),
    "pve-qm-ipconfig": _ipconfig,
}


def well_formed(name: str, value: str) -> bool:
    """Whether `value` is of the format `name`; formats the double does not know accept all."""
    if name.endswith("-list") and name not in TESTS:
        one = TESTS.get(name.removesuffix("-list"))
        return one is None or all(one(part) for part in split_list(value))
    test = TESTS.get(name.removesuffix("-opt"))
    return test is None or (name.endswith("-opt") and value == "") or test(value)


def split_list(value: str) -> list[str]:
    """Proxmox's lists are parted by commas, semicolons, spaces or NUL."""
    return [part for part in re.split(r"[,;\0\s]+", value) if part]


def property_string(value: str, default_key: str) -> dict[str, str]:
    """a,b=c → {default_key: a, b: c}"""
    pairs = [part.partition("=") for part in value.split(",") if part]
    return {key if equals else default_key: rest if equals else key for key, equals, rest in pairs}
