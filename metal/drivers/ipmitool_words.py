"""What ipmitool says when something went wrong → an error with a way out."""

import re

from metal.model.errors import Failed, MetalError, Refused, Unreachable, WrongPassword

_PASSWORD = "ask the donor for the password, or reset the BMC to its factory state"
_SUITE = "choose a cipher suite: -C 17, then -C 3"
ERRORS: tuple[tuple[str, type[MetalError], str, str], ...] = (
    (r"RAKP 2 HMAC is invalid", WrongPassword, "the password is wrong", _PASSWORD),
    (r"unauthorized name|invalid user ?name", WrongPassword, "there is no such user", _PASSWORD),
    (
        r"unauthorized role|privilege level to \w+ failed|insufficient privilege",
        Refused,
        "the account may not be what it asks to be",
        "ask for less: -L OPERATOR",
    ),
    (
        r"insufficient resources for session",
        Unreachable,
        "it has no session left",
        "wait 60 s: old sessions end by themselves",
    ),
    (
        r"no matching cipher suite|invalid (?:authentication|integrity|confidentiality) algorithm",
        Refused,
        "it does not speak the cipher suite",
        _SUITE,
    ),
    (
        r"sol payload (?:already active|in use)",
        Failed,
        "somebody else has the serial console",
        "put him out: ipmitool sol deactivate, then activate",
    ),
    (
        r"get channel cipher suites|get_channel_cipher",
        Failed,
        "it does not tell its cipher suites",
        _SUITE,
    ),
    (
        r"address lookup for|could not open socket|invalid hostname|no route to host",
        Unreachable,
        "its address cannot be reached",
        "check the address",
    ),
    (
        r"get auth(?:entication)? capabilities|unable to establish|timeout|no response",
        Unreachable,
        "it did not answer",
        "check its address, cable and power, and that IPMI over LAN is switched on",
    ),
)
"""By preference: several lines of one output may match."""


def error_of(text: str) -> MetalError | None:
    """The error that an output tells of; None if it is none."""
    for pattern, kind, what, mend in ERRORS:
        match = re.search(pattern, text, re.IGNORECASE)
        if match:
            line = next(ln for ln in text.splitlines() if match[0].lower() in ln.lower())
            return kind(f"{what} ({line.strip()})", mend=mend)
    return None
