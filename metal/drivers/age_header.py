"""To whom an age file is encrypted, as far as its header tells without any private key.

Format: https://age-encryption.org/v1. Each recipient is a stanza. One for an SSH key carries a
tag of it (the first 4 bytes of the SHA-256 of the public key's wire form, base64); one for an age
recipient (X25519) carries a random share only, so that it can be counted and not told apart.
Stanzas whose name ends in -grease mean nothing and must be passed over.
"""

import base64
import hashlib
from collections import Counter
from dataclasses import dataclass

from metal.model.errors import Failed

MAGIC = b"age-encryption.org/v1"
X25519 = "X25519"
LARGEST = 1 << 20
"""Bytes of a header; no honest one is larger."""


@dataclass(frozen=True)
class Header:
    """The stanzas of a file."""

    tags: frozenset[str]
    """Of the SSH keys: "ssh-ed25519 xyoxYg"."""
    anonymous: int
    """How many age recipients."""
    others: tuple[str, ...] = ()
    """Kinds that metal never writes: a passphrase (scrypt), a plugin."""


def read_header(sealed: bytes) -> Header:
    """The header of an age file; Failed when it is none or cut short."""
    lines = sealed[:LARGEST].split(b"\n")
    if lines[0] != MAGIC:
        raise Failed("is no age file", mend="restore it from the workspace's last good copy")
    tags: set[str] = set()
    kinds: Counter[str] = Counter()
    for line in lines[1:]:
        if line.startswith(b"---"):
            anonymous = kinds.pop(X25519, 0)
            return Header(frozenset(tags), anonymous, tuple(sorted(kinds.elements())))
        if line.startswith(b"-> "):
            kind, *words = line[3:].decode(errors="replace").split(" ")
            if kind in ("ssh-ed25519", "ssh-rsa") and words:
                tags.add(f"{kind} {words[0]}")
            elif not kind.endswith("-grease"):
                kinds[kind] += 1
    raise Failed("its header is cut short", mend="restore it from the workspace's last good copy")


def tag_of(key: str) -> str | None:
    """What the stanza for this public key begins with; None for an age recipient."""
    words = key.split()
    if len(words) < 2 or words[0] not in ("ssh-ed25519", "ssh-rsa"):
        return None
    digest = hashlib.sha256(base64.b64decode(words[1])).digest()
    return f"{words[0]} {base64.b64encode(digest[:4]).rstrip(b'=').decode()}"
