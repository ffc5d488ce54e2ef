"""Who else gives out addresses on this wire: one DHCPDISCOVER, and who answers it.

Format: RFC 2131 (figure 1) and RFC 2132. The question comes from a made-up, locally administered
card, so nobody's lease is touched and our own service, which answers known cards only, is silent.
"""

import secrets
import socket
import struct
import time
from dataclasses import dataclass

from metal.model.errors import Refused

COOKIE = b"\x63\x82\x53\x63"
DISCOVER, OFFER = 1, 2
MESSAGE_TYPE, SERVER_ID, PARAMETERS, END = 53, 54, 55, 255
BROADCAST_FLAG = 0x8000


@dataclass(frozen=True)
class Offer:
    """One DHCP server's answer."""

    server: str
    address: str
    """What it would have given; 0.0.0.0 from a proxy, which gives none."""
    boot_file: str = ""


def offers(interface: str, seconds: float = 6.0) -> tuple[Offer, ...]:
    """Everybody who answers on `interface` within `seconds`, each server once.

    Refused without the rights to ask (root, or CAP_NET_RAW and port 68).
    """
    xid, card = secrets.token_bytes(4), b"\x02" + secrets.token_bytes(5)
    try:
        with _socket(interface) as udp:
            udp.sendto(_discover(xid, card), ("255.255.255.255", 67))
            return _listen(udp, xid, seconds)
    except PermissionError as error:
        raise Refused(
            "only root may look for other DHCP servers", where=interface, mend="run it as root"
        ) from error
    except OSError as error:
        raise Refused(
            f"cannot look for other DHCP servers: {error.strerror}",
            where=interface,
            mend="name an interface that exists and is up; a DHCP client may hold port 68",
        ) from error


def _socket(interface: str) -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    udp.bind(("", 68))
    return udp


def _discover(xid: bytes, card: bytes) -> bytes:
    head = struct.pack("!BBBB4sHH", 1, 1, 6, 0, xid, 0, BROADCAST_FLAG) + bytes(16)
    head += card.ljust(16, b"\0") + bytes(64 + 128) + COOKIE
    options = bytes((MESSAGE_TYPE, 1, DISCOVER, PARAMETERS, 4, 1, 3, 6, 67, END))
    return (head + options).ljust(300, b"\0")


def _listen(udp: socket.socket, xid: bytes, seconds: float) -> tuple[Offer, ...]:
    found: dict[str, Offer] = {}
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        udp.settimeout(left)
        try:
            packet, (sender, _) = udp.recvfrom(4096)
        except TimeoutError:
            break
        if offer := parse_offer(packet, xid, sender):
            found.setdefault(offer.server, offer)
    return tuple(found.values())


def parse_offer(packet: bytes, xid: bytes, sender: str) -> Offer | None:
    """The offer in `packet`; None if it is something else, of somebody else, or broken."""
    if len(packet) < 241 or packet[0] != 2 or packet[4:8] != xid or packet[236:240] != COOKIE:
        return None
    options = _options(packet[240:])
    if options.get(MESSAGE_TYPE) != bytes([OFFER]):
        return None
    server = options.get(SERVER_ID, b"")
    return Offer(
        server=socket.inet_ntoa(server) if len(server) == 4 else sender,
        address=socket.inet_ntoa(packet[16:20]),
        boot_file=packet[108:236].split(b"\0")[0].decode("latin-1"),
    )


def _options(raw: bytes) -> dict[int, bytes]:
    """Code → value; ends quietly where the packet does."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 1 < len(raw) and raw[at] != END:
        if raw[at] == 0:
            at += 1
            continue
        code, length = raw[at], raw[at + 1]
        found[code] = raw[at + 2 : at + 2 + length]
        at += 2 + length
    return found
