"""Find BMCs on a network: an RMCP+ ping and the Redfish root, no credential, no guessing.

The ping (IPMI 2.0, 13.2.3) is one datagram an address; whether Redfish is there is asked of its
service root (DSP0266, 6.2), which every client may read without logging in.
"""

import socket
import threading
from dataclasses import dataclass

from metal.controller.progress import Progress
from metal.controller.sweeping import side_by_side
from metal.drivers.bmc import HTTPS, RMCP, beside_redfish, connect
from metal.drivers.ports import Bmc
from metal.enroll.handover import joined
from metal.enroll.ranges import network_of
from metal.model.errors import MetalError
from metal.model.fleet import BmcAccess

OPEN = 64
"""Connections tried at once."""
PING_SECONDS, TCP_SECONDS, ROOT_SECONDS = 1.5, 1.0, 10.0
"""A datagram's answer, a connection's, and that of an old BMC's service root."""


@dataclass(frozen=True)
class Found:
    """An address where a BMC answers."""

    address: str
    port: int | None
    redfish: bool
    ipmi: bool

    def __str__(self) -> str:
        said = (("Redfish", self.redfish), ("IPMI", self.ipmi))
        return f"{self.word} ({' and '.join(name for name, yes in said if yes)})"

    @property
    def word(self) -> str:
        """As a person would type it."""
        return joined(self.address, self.port)


def scan(text: str, progress: Progress) -> list[Found]:
    """The BMCs that answer in the network `text`, by address."""
    network, port = network_of(text)
    hosts = [str(host) for host in network.hosts()] or [str(network.network_address)]
    what = f"scan {network}"
    progress.begin(what, what)
    pinged = _pinged(hosts, port or RMCP)
    progress.advance(what, 0.3, f"{len(pinged)} answer over IPMI")
    left = len(hosts)
    lock = threading.Lock()

    def ask(host: str) -> Found | None:
        nonlocal left
        redfish = _redfish(host, port)
        with lock:
            left -= 1
            progress.advance(what, 1 - 0.7 * left / len(hosts), f"{left} addresses left")
        return Found(host, port, redfish, host in pinged) if redfish or host in pinged else None

    answers = side_by_side(hosts, ask, workers=OPEN, stop=threading.Event())
    found = [answer for answer in answers if answer]
    progress.end(what, True, "1 BMC" if len(found) == 1 else f"{len(found)} BMCs")
    return found


def _pinged(hosts: list[str], port: int) -> frozenset[str]:
    from metal.drivers.rmcp import ping_many

    return ping_many(hosts, port, PING_SECONDS)


def _redfish(host: str, port: int | None) -> bool:
    """A connection first: most addresses of a network are nobody's, and must not cost 10 s."""
    from metal.drivers.bmc import speaks_redfish

    try:
        socket.create_connection((host, port or HTTPS), TCP_SECONDS).close()
        return speaks_redfish(BmcAccess(address=host, port=port), ROOT_SECONDS)
    except (OSError, MetalError):
        return False


class Pings:
    """Which of the addresses speak IPMI: asked all at once while the sweep begins, so that
    silence costs nothing."""

    def __init__(self, addresses: list[str]) -> None:
        self._found: frozenset[str] = frozenset()
        self._addresses = addresses
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def over_ipmi(self, access: BmcAccess, user: str, password: str) -> Bmc | None:
        """The BMC of a Redfish `access` over IPMI, on its usual port; None if it was silent."""
        self._thread.join()
        if access.address not in self._found:
            return None
        return connect(beside_redfish(access), user, password)

    def answers(self, address: str) -> bool | None:
        """Whether IPMI answered there on its usual port; None if it was not asked."""
        self._thread.join()
        return address in self._found if address in self._addresses else None

    def _ask(self) -> None:
        self._found = _pinged(self._addresses, RMCP)
