"""How RMCP+ packets look: cipher suites, sessions' keys, integrity and encryption.

Source: IPMI 2.0 specification rev. 1.1, 13.6 and 13.28 to 13.29, and RFC 2104/2404.
"""

import hmac
import os
import struct
import threading
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

RMCP = b"\x06\x00\xff\x07"


@dataclass(frozen=True)
class Suite:
    """A cipher suite, table 22-20. Confidentiality is AES-CBC-128 in both."""

    number: int
    authentication: int
    integrity: int
    digest: str
    check_bytes: int


SUITES = {3: Suite(3, 1, 1, "sha1", 12), 17: Suite(17, 3, 4, "sha256", 16)}


@dataclass
class Session:
    """One client. Until `up`, only the handshake is spoken."""

    console_id: bytes
    id: bytes
    suite: Suite
    used: float
    user: str = ""
    up: bool = False
    sequence: int = 0
    keys: dict[str, bytes] = field(default_factory=dict)
    random: bytes = b""
    """The BMC's number of its handshake: a message that is sent again gets the same answer."""
    client: tuple[str, int] = ("", 0)
    """Where its last packet came from."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def mac(self, key: bytes, data: bytes) -> bytes:
        return hmac.new(key, data, self.suite.digest).digest()


def plain(kind: int, payload: bytes) -> bytes:
    return RMCP + bytes([0x06, kind]) + bytes(8) + struct.pack("<H", len(payload)) + payload


def sealed(session: Session, kind: int, message: bytes) -> bytes:
    with session.lock:
        session.sequence += 1
        return packet(session, kind, session.sequence, message)


def packet(session: Session, kind: int, sequence: int, message: bytes) -> bytes:
    pad = -(len(message) + 1) % 16
    message += bytes(range(1, pad + 1)) + bytes([pad])
    iv = os.urandom(16)
    payload = iv + aes(session.keys["aes"], iv).encryptor().update(message)
    packet = bytes([0x06, 0xC0 | kind]) + session.console_id
    packet += struct.pack("<IH", sequence, len(payload)) + payload
    fill = -(len(packet) + 2) % 4
    packet += b"\xff" * fill + bytes([fill, 0x07])
    check = session.mac(session.keys["integrity"], packet)
    return RMCP + packet + check[: session.suite.check_bytes]


def aes(key: bytes, iv: bytes) -> Cipher[modes.CBC]:
    return Cipher(algorithms.AES(key), modes.CBC(iv))


def checksum(data: bytes) -> bytes:
    return bytes([-sum(data) & 0xFF])
