"""What tells whose machine it is, in a captured tree → made-up values.

The same value becomes the same pseudonym everywhere in one file, in the same form, so that what
belongs together still does; paths are renamed with what they point to. A value goes because a
property names a machine, a person or a place, and then in every text; or because of its form.
"""

import hashlib
import re
import secrets
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv6Address
from typing import Any

NAMED = re.compile(
    r"serial(?:number|no)?$|(?:^|node|board|chassis|product|system)sn$|(?:service|asset)tag$|^sku$"
    r"|partnumber$|(?:^|\.)(?:node|unique)id$|host_?name$|fqdn|domain_?name$|racname$"
    r"|name_?servers?$|dns(?:_?servers?)?\d*$|user_?name$|e-?mail(?:address)?$"
    r"|contact(?:name|info)?$|phone(?:number)?$|mac_?addr(?:ess)?\d*$|^mac$|wwn|wwpn|guid$|durablename$|uniqueidentifier$"
    r"|initiatorname$|commonname(?:_cn)?$",
    re.IGNORECASE,
)
"""How properties end that name a machine or a person."""
PERSONAL = re.compile(r"^(?:contacts?|contactinfo|postaladdress|owner)$", re.IGNORECASE)
"""Properties of which all goes, however short, that stands in them."""
COMMON = frozenset(
    {"root", "admin", "administrator", "operator", "user", "guest", "oper", "callback", "system"}
    | {"none", "null", "unknown", "default", "manager", "localhost", "enabled", "disabled"}
    | {"not specified", "not available", "not applicable", "not present", "to be filled by o.e.m."}
)
"""What says nothing of whose machine it is, and much of how it is set up."""
FORMS = {
    "iqn": r"(?<=\biqn\.)\d{4}-\d\d\.[\w.:-]+",
    "mail": r"\b[\w.+-]{1,64}@(?!(?:odata|redfish|message|oem|openssh)\.)[\w-]+(?:\.[\w-]+)+",
    "name": "",  # in each file its own
    "uuid": r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    "octets": r"\b[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5,63}\b",  # MACs, EUI-64, fingerprints
    "ipv6": r"(?<![\w.:])(?:[0-9a-f]{0,4}:){2,7}(?:[0-9.]{7,15}|[0-9a-f]{1,4})?(?![\w:])",
    "ipv4": r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])",
    # a MAC, WWN or digest without signs, "0x" before it or not
    "hex": r"(?<![0-9a-wyz])(?=\d*[a-f])[0-9a-f]{12,}(?![0-9a-z])",
}
"""What is known by its form; what comes first goes before what it has within."""
VERSIONS = re.compile(r"version|revision|date", re.IGNORECASE)
LIKE_VERSIONS = {"ipv4", "ipv6", "hex"}
HEX = re.compile(r"[0-9a-f]{12,}", re.IGNORECASE)
SHORTEST, LONGEST = 5, 80
"""Shorter names ("1", "db") are in too many texts to be replaced everywhere; longer are none."""


def anonymous(tree: dict[str, Any], salt: bytes = b"") -> dict[str, Any]:
    """The tree under pseudonyms. `salt` (random without) makes them unguessable."""
    salt = salt or secrets.token_bytes(16)
    pattern = _pattern(_named(tree) - COMMON - _properties(tree))

    def text(value: str, key: str, *, is_key: bool = False) -> str:
        def renamed(found: re.Match[str]) -> str:
            form = str(found.lastgroup)
            if (form in LIKE_VERSIONS and VERSIONS.search(key)) or (form == "mail" and is_key):
                return found[0]
            return _pseudonym(form, found[0], salt)

        return pattern.sub(renamed, value)

    def walk(value: Any, key: str, personal: bool) -> Any:
        personal = personal or PERSONAL.search(key) is not None
        if isinstance(value, dict):
            return {text(k, "", is_key=True): walk(v, k, personal) for k, v in value.items()}
        if isinstance(value, list):
            return [walk(v, key, personal) for v in value]
        if not isinstance(value, str):
            return value
        whole = personal and not key.startswith("@") and not value.startswith("/redfish/")
        return _like(value, salt) if whole else text(value, key)

    found: dict[str, Any] = walk(tree, "", False)
    return found


def _pattern(names: set[str]) -> re.Pattern[str]:
    """Every form, with the names of this tree among them, the longest first."""
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    each = "|".join(map(_anywhere, longest_first)) or r"(?!)"
    forms = (f"(?P<{form}>{way or each})" for form, way in FORMS.items())
    return re.compile("|".join(forms), re.IGNORECASE)


def _anywhere(name: str) -> str:
    """A serial number within a longer word, too; a word ("beech") only as a word."""
    plain = re.escape(name)
    return plain if any(map(str.isdigit, name)) else rf"(?<!\w){plain}(?!\w)"


def _named(tree: Any) -> set[str]:
    """Values, in small letters, of the properties that name a machine or a person."""
    told = (
        value.strip().lower()
        for key, inner in _members(tree)
        if NAMED.search(key)
        for value in (inner if isinstance(inner, list) else [inner])
        if isinstance(value, str)
    )
    formed = re.compile("|".join(filter(None, FORMS.values())), re.IGNORECASE)
    return {
        value
        for value in told
        if SHORTEST <= len(value) <= LONGEST and _bare(value) and not formed.fullmatch(value)
    }


def _properties(tree: Any) -> set[str]:
    """Names of properties: a host that is called so would take the tree apart."""
    return {key.lower() for key, _ in _members(tree) if not key.startswith("/")}


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    """All keys of a tree and what they hold, at every depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _members(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _members(inner)


def _pseudonym(form: str, value: str, salt: bytes) -> str:
    if form == "ipv4":
        return _ipv4(value, salt)
    if form == "ipv6":
        return _ipv6(value, salt)
    return _like(value, salt)


def _like(value: str, salt: bytes) -> str:
    """Another text of the same form: letters for letters, digits for digits; of what has only
    hexadecimal digits the same for each way of writing it."""
    bare = _bare(value)
    if not bare.strip("0"):
        return value  # 00:00:00:00:00:00
    stream = iter(hashlib.shake_256(salt + bare.encode(errors="replace")).digest(2 * len(value)))
    if HEX.fullmatch(bare):
        digits = "0123456789ABCDEF" if value.isupper() else "0123456789abcdef"
        return "".join(digits[next(stream) % 16] if s.isalnum() else s for s in value)
    return "".join(_sign(s, next(stream)) if s.isalnum() else s for s in value)


def _bare(value: str) -> str:
    return "".join(sign for sign in value if sign.isalnum()).lower()


def _sign(sign: str, byte: int) -> str:
    pool = "0123456789" if sign.isdigit() else "abcdefghijklmnopqrstuvwxyz"
    new = pool[byte % len(pool)]
    return new.upper() if sign.isupper() else new


def _ipv4(value: str, salt: bytes) -> str:
    """One of 198.18.0.0/15 (RFC 2544), unless it says nothing (0.0.0.0, 255.…, 127.…)."""
    if value.startswith(("0.", "255.", "127.")):
        return value
    digest = hashlib.sha256(salt + value.encode()).digest()
    return f"198.{18 + digest[0] % 2}.{digest[1]}.{digest[2]}"


def _ipv6(value: str, salt: bytes) -> str:
    """One of 2001:db8::/32 (RFC 3849), link-local where it was, unless it says nothing."""
    try:
        address = IPv6Address(value)
    except AddressValueError:
        return value
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return value
    within = 0xFE80 << 112 if address.is_link_local else 0x20010DB8 << 96
    digest = hashlib.sha256(salt + address.packed).digest()
    return str(IPv6Address(within | int.from_bytes(digest[:8], "big")))
