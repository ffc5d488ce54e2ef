"""Who speaks IPMI on a network: asked with one datagram an address, without logging in.

Two questions to each, as BMCs exist that answer only one of them: the ASF presence ping (IPMI 2.0
rev. 1.1, 13.2.3) and Get Channel Authentication Capabilities (22.13), which needs no session.
"""

import contextlib
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from metal.drivers.readable import readable

ASF_PING = bytes.fromhex("0600ff06 000011be 80 00 00 00")
CAPABILITIES = bytes.fromhex("0600ff07 00 00000000 00000000 09 20 18 c8 81 00 38 8e 04 b5")
"""To the channel it arrives on (0Eh), privilege administrator, with the bit that asks for v2."""
AUTH_TYPES = {0: "none", 1: "md2", 2: "md5", 4: "password", 5: "oem"}
"""Bits of byte 3 of the answer, 22.13."""
BURST = 64
"""Datagrams sent before answers are read: more would overflow the socket's buffer."""
BREATH = 0.002
"""Seconds between two bursts: switches ask for the owner of every address of a subnet at once."""


@dataclass(frozen=True)
class Capabilities:
    """What a BMC says before anybody logged in (22.13)."""

    auth_types: tuple[str, ...]
    """IPMI 1.5 authentication types it accepts: "none", "md2", "md5", "password", "oem"."""
    null_user: bool
    """An account with an empty name is enabled; it has a password."""
    anonymous: bool
    """An account with an empty name and an empty password is enabled."""
    version_2: bool
    """It speaks IPMI 2.0's sessions; without, only 1.5's, which metal does not speak."""
    per_message: bool
    """Messages are authenticated one by one, not just the log-in."""


def ping_many(hosts: Iterable[str], port: int, seconds: float) -> frozenset[str]:
    """The `hosts` that answered at UDP `port` within `seconds`, as they were written.

    Each is asked, and once more after a third of the time. Nothing is sent that counts as a try
    of a password. One socket a family, however many hosts.
    """
    targets = _targets(hosts, port)
    found: set[str] = set()
    everybody = sum(map(len, targets.values()))
    with _sockets(targets) as sockets:
        end = time.monotonic() + seconds
        for until in (end - seconds * 2 / 3, end):
            silent = [key for key, names in targets.items() if names[0] not in found]
            answers = _ask(sockets, silent, until)
            while len(found) < everybody and (answer := next(answers, None)):
                found.update(targets.get(answer[0], ()))
    return frozenset(found)


def capabilities(host: str, port: int, seconds: float) -> Capabilities | None:
    """What the BMC at `host` says of its log-ins; None if it was silent or said nothing of it."""
    targets = _targets([host], port)
    with _sockets(targets) as sockets:
        end = time.monotonic() + seconds
        for until in (end - seconds * 2 / 3, end):
            for sender, datagram in _ask(sockets, list(targets), until):
                if sender in targets and (told := _capabilities(datagram)):
                    return told
    return None


Target = tuple[int, tuple[str, int]]
"""(family, (address as the socket writes it, port))."""


def _targets(hosts: Iterable[str], port: int) -> dict[Target, list[str]]:
    """Where to send → the hosts that were written so; a name that has no address is left out."""
    targets: dict[Target, list[str]] = {}
    for host in hosts:
        with contextlib.suppress(OSError, UnicodeError):
            family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            targets.setdefault((family, (str(where[0]), port)), []).append(host)
    return targets


@contextlib.contextmanager
def _sockets(targets: Iterable[Target]) -> Iterator[dict[int, socket.socket]]:
    """One for each family among them."""
    with contextlib.ExitStack() as stack:
        sockets = {
            family: stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            for family in {family for family, _ in targets}
        }
        for udp in sockets.values():
            udp.setblocking(False)
        yield sockets


def _ask(
    sockets: dict[int, socket.socket], to: list[Target], until: float
) -> Iterator[tuple[Target, bytes]]:
    """Both questions to each, and what comes until then.

    An address without a route is as silent as any other.
    """
    for start in range(0, len(to), BURST):
        for family, where in to[start : start + BURST]:
            for question in (CAPABILITIES, ASF_PING):
                with contextlib.suppress(OSError):
                    sockets[family].sendto(question, where)
        yield from _answers(sockets, time.monotonic() + BREATH)
    yield from _answers(sockets, until)


def _answers(sockets: dict[int, socket.socket], until: float) -> Iterator[tuple[Target, bytes]]:
    """(sender, datagram) of whatever is RMCP, until then."""
    families = {udp: family for family, udp in sockets.items()}
    while (left := until - time.monotonic()) > 0:
        for udp in readable(families, left):
            with contextlib.suppress(OSError):  # "port unreachable", for one of the hosts
                datagram, sender = udp.recvfrom(1024)
                if datagram[:1] == b"\x06" and len(datagram) > 8:
                    yield (families[udp], (str(sender[0]), int(sender[1]))), datagram


def _capabilities(datagram: bytes) -> Capabilities | None:
    """The answer of table 22-15 in a packet without a session (13.6)."""
    body = datagram[14:]
    # rqAddr, netfn 7, checksum, rsAddr, sequence, command, completion code, channel, auth types, …
    if datagram[3:5] != b"\x07\x00" or len(body) < 11 or body[1] >> 2 != 7 or body[5] != 0x38:
        return None
    if body[6] != 0:
        return None
    types, status, extended = body[8], body[9], body[10]
    return Capabilities(
        auth_types=tuple(name for bit, name in AUTH_TYPES.items() if types & 1 << bit),
        null_user=bool(status & 0x02),
        anonymous=bool(status & 0x01),
        version_2=bool(types & 0x80 and extended & 0x02),
        per_message=not status & 0x10,
    )
