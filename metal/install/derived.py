"""What follows from an install's throw-away key, and is therefore stored nowhere.

Both are gone when the controller forgets that key, and the key cannot be computed from them.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping

TOLD = ("fingerprint", "host_key", "initramfs_key")
"""What a report's proof covers besides its phase, in this order; what was not told is empty."""


def token_of(disk_key: str) -> str:
    """The token of the install that `disk_key` was made for: 43 characters.

    It stands in the URLs of the install, so whoever listens on the boot network knows it.
    """
    digest = _derived(disk_key, b"metal: token of this key's install")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def hash_of(token: str) -> str:
    """What the state store knows of a token: SHA-256, hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def address_of(disk_key: str) -> str:
    """Where the boot service keeps the medium of the install, 43 characters: who may see what is
    in a server's virtual drive does not learn the token by that."""
    digest = _derived(disk_key, b"metal: address of this key's medium")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def marker_of(token: str) -> str:
    """The file in /boot by which a medium sees that the install it was made for is over."""
    return f"metal-medium-{hash_of(token)[:16]}"


def report_key_of(disk_key: str) -> str:
    """What reports of the installed system are proven with: 128 hex digits.

    It stands in the preseed's body alone: only the machine that got its answers has it (and
    whoever read them on the wire: docs/security.md).
    """
    inner = _derived(disk_key, b"metal: inner key of this install's reports")
    return inner.hex() + _derived(disk_key, b"metal: outer key of this install's reports").hex()


def proof_of(report_key: str, phase: str, told: Mapping[str, str]) -> str:
    """HMAC's construction (RFC 2104) with two keys of one block each: a shell has sha256sum only,
    and a key must not be an argument. preseed/metal-up.sh.j2 does the same."""
    inner, outer = report_key[:64], report_key[64:]
    line = "|".join((inner, phase, *(told.get(name, "") for name in TOLD)))
    return _line_hash(f"{outer}|{_line_hash(line)}")


def _line_hash(line: str) -> str:
    return hashlib.sha256(f"{line}\n".encode()).hexdigest()


def _derived(disk_key: str, purpose: bytes) -> bytes:
    return hmac.new(disk_key.encode(), purpose, hashlib.sha256).digest()
