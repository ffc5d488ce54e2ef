"""Which public keys age can encrypt to, told without loading pyrage.

SSH keys: RFC 4253 section 6.6 and RFC 8709 for the blob; age takes ssh-ed25519 and ssh-rsa only.
age recipients: Bech32 (BIP 173) of an X25519 public key under the prefix `age`.
tests/inventory/test_keys.py holds the verdicts against pyrage's.
"""

import binascii
from base64 import b64decode

_WANTED = "an ssh-ed25519 or ssh-rsa public key, or an age recipient (age1…)"
_REFUSED = {
    "ecdsa-sha2-": "ECDSA keys can only sign: age cannot encrypt to them",
    "sk-": "keys in a security token (sk-) can only sign: age cannot encrypt to them",
    "ssh-dss": "DSA keys are broken and gone: age cannot encrypt to them",
    "AGE-PLUGIN-": "this is the identity of an age plugin, not a recipient",
}
_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_RSA_BITS = 2048

Problem = tuple[str, str]
"""(what, mend)"""


def key_problem(key: str) -> Problem | None:
    """Why `key` cannot receive secrets and what to do; None if it can.

    A private key is never repeated in the answer.
    """
    if "PRIVATE KEY" in key or key.upper().startswith("AGE-SECRET-KEY-"):
        what = "this is a private key: whoever reads this file has it now"
        return what, "make a new pair, and put the public half here"
    if key.lower().startswith("age1"):
        return _age(key)
    for start, why in _REFUSED.items():
        if key.startswith(start):
            return why, f"use {_WANTED}; `ssh-keygen -t ed25519` makes one"
    words = key.split()
    if not words or words[0] not in ("ssh-ed25519", "ssh-rsa"):
        return f"{key[:40]!r} is no public key", f"use {_WANTED}"
    return _ssh(words)


def _ssh(words: list[str]) -> Problem | None:
    kind = words[0]
    mend = "copy the whole line of the .pub file again"
    try:
        parts = _strings(b64decode(words[1], validate=True)) if len(words) > 1 else []
    except (binascii.Error, ValueError):
        return f"this {kind} key is damaged", mend
    if not parts or parts[0] != kind.encode():
        return f"this {kind} key is damaged", mend
    if kind == "ssh-ed25519" and (len(parts) != 2 or len(parts[1]) != 32):
        return "this ssh-ed25519 key is damaged", mend
    if kind == "ssh-rsa":
        if len(parts) != 3:
            return "this ssh-rsa key is damaged", mend
        bits = int.from_bytes(parts[2], "big").bit_length()
        if bits < _RSA_BITS:
            what = f"this RSA key has {bits} bits, too few to keep a secret"
            return what, f"{_RSA_BITS} at least; `ssh-keygen -t ed25519` makes a better one"
    return None


def _strings(blob: bytes) -> list[bytes]:
    """The length-prefixed strings of an SSH blob; ValueError if they do not add up."""
    parts = []
    while blob:
        size = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + size:
            raise ValueError("cut short")
        parts.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    return parts


def _age(key: str) -> Problem | None:
    prefix, _, data = key.rpartition("1")
    if prefix not in ("age", "AGE") and prefix.lower().startswith("age1"):
        what = f"{prefix} is an age plugin: every controller would need it"
        return what, f"use {_WANTED}"
    if prefix != "age" or len(data) != 58 or not _checksum_holds(prefix, data):
        return "this age recipient is damaged", "copy it again: age1 and 58 characters"
    return None


def _checksum_holds(prefix: str, data: str) -> bool:
    """Bech32 (BIP 173): prefix, data and checksum are one polynomial of residue 1."""
    if any(c not in _CHARSET for c in data):
        return False
    values = [_CHARSET.index(c) for c in data]
    spread = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    residue = 1
    for value in spread + values:
        top = residue >> 25
        residue = (residue & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            residue ^= generator if top >> i & 1 else 0
    # 52 characters carry 260 bits for 32 bytes: the four left over are zero.
    return residue == 1 and values[51] & 0b1111 == 0
