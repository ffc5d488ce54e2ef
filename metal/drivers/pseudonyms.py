"""Serial numbers, MACs, UUIDs, addresses and names in a captured tree → made-up ones.

The same value becomes the same pseudonym everywhere in one file, in the same form, so that what
belongs together still does; paths are renamed with what they point to.
"""

import hashlib
import re
import secrets
from typing import Any

NAMED = ("SerialNumber", "HostName", "FQDN", "AssetTag", "SKU", "PartNumber", "UserName")
MAC = re.compile(r"\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b")
UUID = re.compile(r"\b[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b")
IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
VERSIONS = re.compile(r"version|revision|date", re.IGNORECASE)
SHORTEST = 5
"""Shorter names ("1", "root") are in too many texts to be replaced everywhere."""


def anonymous(tree: dict[str, Any], salt: bytes = b"") -> dict[str, Any]:
    """The tree under pseudonyms. `salt` (random without) makes them unguessable."""
    salt = salt or secrets.token_bytes(16)
    names = {value: _like(value, salt) for value in _named(tree)}
    longest_first = sorted(names, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first))) if names else None

    def text(value: str, key: str) -> str:
        if pattern:
            value = pattern.sub(lambda m: names[m[0]], value)
        for form in (MAC, UUID):
            value = form.sub(lambda m: _like(m[0], salt, digits="0123456789abcdef"), value)
        if not VERSIONS.search(key):
            value = IPV4.sub(lambda m: _address(m[0], salt), value)
        return value

    def walk(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {text(k, ""): walk(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [walk(v, key) for v in value]
        return text(value, key) if isinstance(value, str) else value

    renamed: dict[str, Any] = walk(tree, "")
    return renamed


def _named(value: Any) -> set[str]:
    """Values of the properties that name a machine or a person."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            named = key in NAMED and isinstance(inner, str) and len(inner.strip()) >= SHORTEST
            found |= {inner.strip()} if named else _named(inner)
    elif isinstance(value, list):
        for inner in value:
            found |= _named(inner)
    return found


def _like(value: str, salt: bytes, digits: str = "") -> str:
    """Another text of the same form: letters for letters, digits for digits."""
    stream = hashlib.shake_256(salt + value.lower().encode()).digest(len(value))
    kinds = ((str.isdigit, "0123456789"), (str.isupper, "ABCDEFGHJKLMNPQRSTUVWXYZ"))
    out = []
    for sign, byte in zip(value, stream, strict=True):
        pool = next((p for is_, p in kinds if is_(sign)), "abcdefghijklmnopqrstuvwxyz")
        if digits and sign.isalnum():
            pool = digits.upper() if sign.isupper() else digits
        out.append(pool[byte % len(pool)] if sign.isalnum() else sign)
    return "".join(out)


def _address(value: str, salt: bytes) -> str:
    """One of 198.18.0.0/15 (RFC 2544), unless it says nothing (0.0.0.0, 255.…, 127.…)."""
    if value.startswith(("0.", "255.", "127.")):
        return value
    digest = hashlib.sha256(salt + value.encode()).digest()
    return f"198.{18 + digest[0] % 2}.{digest[1]}.{digest[2]}"
