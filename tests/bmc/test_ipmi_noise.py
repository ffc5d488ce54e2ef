"""Datagrams that are no IPMI, or the beginning of it: noise, and no answer."""

import socket
import threading
from collections.abc import Iterator

import pytest

from metal.drivers.ipmi import Ipmi
from metal.model.errors import Unreachable

AUTH_CAPABILITIES = bytes.fromhex("0600ff0700000000000000000009811c63200038000180")
"""Message and its checksums as they begin; the length in it says more than there is."""


@pytest.fixture
def noisy() -> Iterator[socket.socket]:
    """Answers each datagram with another beginning of a message, the empty one too."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))

        def serve() -> None:
            heard = 0
            while (got := udp.recvfrom(1024))[0] != b"end":
                udp.sendto(AUTH_CAPABILITIES[heard % len(AUTH_CAPABILITIES) :][::-1], got[1])
                udp.sendto(AUTH_CAPABILITIES[: heard % len(AUTH_CAPABILITIES)], got[1])
                udp.sendto(AUTH_CAPABILITIES, got[1])
                heard += 1

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield udp
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"end", udp.getsockname())
        thread.join(5)


def test_what_is_cut_short_is_no_answer(noisy: socket.socket) -> None:
    with pytest.raises(Unreachable):
        Ipmi("127.0.0.1", "ADMIN", "x", port=noisy.getsockname()[1], timeout=3.0)
