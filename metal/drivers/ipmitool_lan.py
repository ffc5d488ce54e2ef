"""`ipmitool lan print`, `user list` and `sel info` → what the BMC exposes, and its accounts."""

import re

from metal.drivers.ipmitool_lines import fields, listed
from metal.model.facts import Account
from metal.model.findings import Exposure

NOT_HERE = "not in this output of ipmitool"
DEFAULT_COMMUNITIES = ("public", "private")
USER = re.compile(r"^(\d+)\s+(.*?)\s*\b(true|false)\s+(true|false)\s+(true|false)\s+(\S.*?)\s*$")
NO_ROLE = ("NO ACCESS", "UNKNOWN", "")
NAMELESS = "(Empty User)"


def read_lan(text: str) -> tuple[str | None, Exposure]:
    """(the BMC's own MAC, what it offers)."""
    told = fields(text)
    mac = told.get("MAC Address", "").lower()
    return mac if re.fullmatch(r"(?!(?:00:){5}00)(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", mac) else None, (
        _exposure(
            ipmi_lan=True,
            cipher_suites=_suites(told),
            auth_types=_auth_types(text),
            snmp_communities=_communities(told),
        )
    )


def _auth_types(text: str) -> tuple[str, ...] | None:
    """Those that are enabled for some privilege; what is merely supported lets nobody in."""
    enabled = listed(text, "Auth Type Enable")
    said = [line.partition(":")[2] for line in enabled] or listed(text, "Auth Type Support")
    words = {word.lower() for line in said for word in line.split()}
    return (
        tuple(t for t in ("none", "md2", "md5", "password", "oem") if t in words) if said else None
    )


def _suites(told: dict[str, str]) -> tuple[int, ...] | None:
    """Those listed, without those that nobody may use (X, the n-th letter for the n-th)."""
    numbers = [int(n) for n in re.findall(r"\d+", told.get("RMCP+ Cipher Suites", ""))]
    levels = told.get("Cipher Suite Priv Max", "")
    if not numbers:
        return None
    if not re.fullmatch(r"[XcuoaO]+", levels):
        levels = ""
    levels = levels.ljust(len(numbers), "a")
    return tuple(sorted(n for n, level in zip(numbers, levels, strict=False) if level != "X"))


def _communities(told: dict[str, str]) -> tuple[str, ...] | None:
    said = told.get("SNMP Community String")
    return None if said is None else tuple(n for n in DEFAULT_COMMUNITIES if n == said)


def read_users(text: str) -> tuple[tuple[Account, ...], Exposure]:
    """Slots with a name, and the nameless ones that let somebody in (I06)."""
    found: list[Account] = []
    anonymous = False
    for slot, name, _, _, messaging, role in filter(None, map(_user, text.splitlines())):
        usable = messaging == "true" and role not in NO_ROLE
        anonymous = anonymous or (not name and usable)
        if name or usable:
            found.append(Account(name=name, role=role.capitalize(), id=slot))
    return tuple(found), _exposure(anonymous=anonymous)


def _user(line: str) -> tuple[str, str, str, str, str, str] | None:
    match = USER.match(line)
    if not match:
        return None
    slot, name, callin, link, messaging, role = match.groups()
    return slot, "" if name == NAMELESS else name, callin, link, messaging, role


def read_sel_info(text: str) -> Exposure:
    """Full is what overflowed, or has no room for one more entry (I20)."""
    told = fields(text)
    overflow, used = told.get("Overflow"), told.get("Percent Used", "")
    room = re.match(r"\d+", told.get("Free Space", ""))
    signs = [overflow.lower() == "true"] if overflow else []
    signs += [used == "100%"] if used.endswith("%") else []
    signs += [int(room[0]) < 16] if room else []
    return _exposure(log_full=any(signs) if signs else None)


def _exposure(**found: object) -> Exposure:
    told = Exposure.model_validate(found)
    unknown = {key: NOT_HERE for key, value in told if value is None}
    return told.model_copy(update={"unknown": unknown})
