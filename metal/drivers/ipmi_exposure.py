"""What an IPMI BMC offers to whoever reaches it. Asks only, never tries a password.

Source: IPMI 2.0 rev. 1.1: 22.13 (authentication), 22.15 (cipher suites), table 23-4 (LAN
parameters 16, 23 and 24), 31.2 and 31.10 (log and clock).
"""

from datetime import UTC, datetime
from typing import Any

from pyghmi.exceptions import IpmiException

from metal.drivers.ipmi_ask import ask_if_known
from metal.drivers.ipmi_sel import sel_info
from metal.drivers.ipmi_users import THIS_CHANNEL, users
from metal.drivers.rmcp import AUTH_TYPES, capabilities
from metal.model.findings import Exposure

DEFAULT_COMMUNITIES = ("public", "private")
ADMINISTRATOR = 4
COMMUNITY, SUITES, SUITE_PRIVILEGES = 16, 23, 24
STANDARD, OEM = 0xC0, 0xC1
ONLY_REDFISH = "only Redfish tells it"
NOT_TOLD = "the BMC does not tell it over IPMI"
PAGES = 64
PATIENCE = 3.0


def read_exposure(command: Any) -> Exposure:
    types, anonymous = _authentication(command)
    found: dict[str, Any] = {
        "ipmi_lan": True,  # this was asked over it
        "cipher_suites": _cipher_suites(command),
        "auth_types": types,
        "anonymous": anonymous,
        "snmp_communities": _communities(command),
        "clock": _clock(command),
        "log_full": _log_full(command),
    }
    others = ("snmp", "services", "certificate_expires", "certificate_self_signed")
    unknown = dict.fromkeys((*others, "password_change_required"), ONLY_REDFISH)
    unknown |= {key: NOT_TOLD for key, value in found.items() if value is None}
    return Exposure(unknown=unknown, **found)


def outside_exposure(host: str, port: int) -> Exposure:
    """What it tells to who has no account of its own: nothing else of it is known."""
    told = capabilities(host, port, PATIENCE)
    if told is None:
        return Exposure()
    return Exposure(
        ipmi_lan=True, auth_types=told.auth_types, anonymous=told.null_user or told.anonymous
    )


def _authentication(command: Any) -> tuple[tuple[str, ...] | None, bool | None]:
    """(IPMI 1.5 types, whether somebody may log in without a name).

    Some tell that only to who has not logged in yet (OpenIPMI's answers D5h within a session).
    """
    types: tuple[str, ...] | None = None
    said: bool | None = None
    told = ask_if_known(command, 6, 0x38, THIS_CHANNEL, ADMINISTRATOR)
    if told is None or len(told) < 3:
        host, port = command.ipmi_session.peer
        if outside := capabilities(host, port, PATIENCE):
            types, said = outside.auth_types, outside.null_user or outside.anonymous
    else:
        types = tuple(name for bit, name in AUTH_TYPES.items() if told[1] & 1 << bit)
        said = bool(told[2] & 0x03)
    try:
        listed: bool | None = any(user.anonymous for user in users(command))
    except (IpmiException, IndexError):
        listed = None
    known = [value for value in (said, listed) if value is not None]
    return types, any(known) if known else None


def _cipher_suites(command: Any) -> tuple[int, ...] | None:
    """Those it offers, without those that its settings let nobody use (I06, I03)."""
    data = b""
    for page in range(PAGES):
        part = ask_if_known(command, 6, 0x54, THIS_CHANNEL, 0, 0x80 | page)
        if part is None:
            break
        data += part[1:]
        if len(part) < 17:
            break
    offered = _suite_ids(data)
    privileges = _suite_privileges(command)
    if not offered:
        return tuple(sorted(n for n, level in privileges.items() if level)) or None
    return tuple(sorted(n for n in offered if privileges.get(n, ADMINISTRATOR)))


def _suite_ids(data: bytes) -> set[int]:
    """Records of table 22-19: a start byte, the id, a maker's number, then algorithms."""
    found: set[int] = set()
    position = 0
    while position + 1 < len(data):
        if data[position] in (STANDARD, OEM):
            found.add(data[position + 1])
            position += 2 if data[position] == STANDARD else 5
        else:
            position += 1  # an algorithm, tagged by its upper two bits
    return found


def _suite_privileges(command: Any) -> dict[int, int]:
    """Suite → the most it may be used for; 0: nobody may. {} where it is not told."""
    entries = _lan(command, SUITES)
    levels = _lan(command, SUITE_PRIVILEGES)
    if not entries or not levels:
        return {}
    nibbles = [n for byte in levels[1:] for n in (byte & 0x0F, byte >> 4)]
    found: dict[int, int] = {}
    for number, level in zip(entries[1:], nibbles, strict=False):
        found.setdefault(number, level)  # unused entries at the end read as suite 0 again
    return found


def _communities(command: Any) -> tuple[str, ...] | None:
    """Only whether a well-known one is set, never one that somebody chose."""
    told = _lan(command, COMMUNITY)
    if told is None:
        return None
    text = told.split(b"\0")[0].decode("latin-1").strip()
    return tuple(name for name in DEFAULT_COMMUNITIES if name == text)


def _lan(command: Any, parameter: int) -> bytes | None:
    """Data of a LAN parameter (23.2), its revision byte left out."""
    told = ask_if_known(command, 12, 2, THIS_CHANNEL, parameter, 0, 0)
    return told[1:] if told and len(told) > 1 else None


def _clock(command: Any) -> str | None:
    told = ask_if_known(command, 10, 0x48)
    if told is None or len(told) < 4:
        return None
    seconds = int.from_bytes(told[:4], "little")
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _log_full(command: Any) -> bool | None:
    try:
        return sel_info(command).full
    except (IpmiException, IndexError):
        return None


def bmc_mac(command: Any) -> str | None:
    """The BMC's own address (LAN parameter 5); None for one that nobody set."""
    told = _lan(command, 5)
    return told[:6].hex(":") if told and len(told) >= 6 and any(told[:6]) else None
