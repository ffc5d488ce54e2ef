"""Answers that lie about themselves, byte by byte: lengths, chunks, compression, no end.

Whatever comes, a look ends in facts or in one of metal's own errors, soon, and holds little of it.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from metal.drivers.bmc import connect
from metal.drivers.redfish_session import RedfishSession
from metal.drivers.wire import Call, Wire
from metal.lab.web import self_signed
from metal.model.errors import Failed, MetalError, Refused, Unreachable
from metal.model.fleet import BmcAccess

BODY = json.dumps({"Id": "Root", "Systems": {"@odata.id": "/redfish/v1/Systems"}}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PATIENCE = 1.0
MIB = 2**20
Answer = Iterable[bytes]


class RawBmc:
    """Says the same bytes to every request, however many those are."""

    def __init__(self, folder: Path, says: Callable[[], Answer], *, hangs: bool) -> None:
        """`hangs`: keeps the connection open after its answer."""
        self._folder, self._says, self._hangs = folder, says, hangs
        self.certificate = "raw"
        """Name of the one that the next connection is shown."""
        self.sent = self.asked = 0
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                raw = self._listening.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._one, args=(raw,), daemon=True).start()

    def _context(self) -> ssl.SSLContext:
        certificate = self_signed(self._folder, self.certificate, "127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.cert, certificate.key)
        return context

    def _one(self, raw: socket.socket) -> None:
        try:
            with self._context().wrap_socket(raw, server_side=True) as wire:
                wire.settimeout(20)
                while b"\r\n\r\n" in wire.recv(65536):
                    self.asked += 1
                    for piece in self._says():
                        wire.sendall(piece)
                        self.sent += len(piece)
                        if self._over.is_set():
                            return
                    if not self._hangs:
                        return
        except OSError:
            pass


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[Callable[..., RawBmc]]:
    made: list[RawBmc] = []

    def start(says: Callable[[], Answer], *, hangs: bool = False) -> RawBmc:
        made.append(RawBmc(tmp_path, says, hangs=hangs))
        return made[-1]

    yield start
    for bmc in made:
        bmc.close()


def root_of(bmc: RawBmc, patience: float = PATIENCE) -> dict[str, object]:
    session = RedfishSession("127.0.0.1", bmc.port, None, patience)
    try:
        return session.seen_root()
    finally:
        session.logout()


def length(said: object, body: bytes = BODY) -> bytes:
    return HEAD + f"Content-Length: {said}\r\n\r\n".encode() + body


def chunk(body: bytes, size: str = "") -> bytes:
    return (size or f"{len(body):x}").encode() + b"\r\n" + body + b"\r\n"


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"
READ: dict[str, bytes] = {
    "negative length": length(-5),
    "length that is no number": length("many"),
    "length of thousands of digits, and chunks": CHUNKED
    + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + chunk(BODY) + b"0\r\n\r\n",
    "both length and chunks": CHUNKED + b"Content-Length: 3\r\n\r\n" + chunk(BODY) + b"0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: %d\r\nContent-Length: 1\r\n\r\n" % len(BODY) + BODY,
    "an integer of thousands of digits": length(
        len(BODY) + 5008, BODY[:-1] + b', "x": ' + b"9" * 5000 + b" }"
    ),
    "says gzip and is none": HEAD + b"Content-Encoding: gzip\r\n\r\n" + BODY,
    "says br and is none": HEAD + b"Content-Encoding: br\r\n\r\n" + BODY,
    "gzip in gzip": HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(gzip.compress(BODY)),
    "chunks with an extension": CHUNKED + b"\r\n" + chunk(BODY, f"{len(BODY):x};a") + b"0\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("answer", READ.values(), ids=READ)
def test_a_lie_that_does_no_harm_is_passed_over(raw: Callable[..., RawBmc], answer: bytes) -> None:
    assert root_of(raw(lambda: [answer]))["Id"] == "Root"


REFUSED: dict[str, bytes] = {
    "length too short": length(5),
    "chunk of no size": CHUNKED + b"\r\n" + chunk(BODY, "zz"),
    "chunk of nothing": CHUNKED + b"\r\n\r\n",
    "says deflate and means it": HEAD + b"Content-Encoding: deflate\r\n\r\n" + zlib.compress(BODY),
    "half a gzip": HEAD + b"\r\n" + gzip.compress(BODY)[:20],
    "gzip with a broken end": HEAD + b"\r\n" + gzip.compress(BODY)[:-12] + b"\0" * 12,
    "bomb": HEAD + b"\r\n" + gzip.compress(b" " * 30 * MIB),
    "bomb in a bomb": HEAD + b"\r\n" + gzip.compress(gzip.compress(b" " * 200 * MIB)),
    "no status": b"hello\r\n\r\n",
    "status of words": b"HTTP/1.1 fine OK\r\n\r\n" + BODY,
    "another version": b"HTTP/7.3 200 OK\r\n\r\n" + BODY,
    "a thousand headers": HEAD + b"X: y\r\n" * 1000 + b"\r\n" + BODY,
    "a long header": HEAD + b"X: " + b"y" * 200_000 + b"\r\n\r\n" + BODY,
    "nothing at all": b"",
    "upgrade": b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n",
}


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED)
def test_a_lie_that_hides_the_answer_is_an_error_of_ours(
    raw: Callable[..., RawBmc], answer: bytes
) -> None:
    with pytest.raises(MetalError) as told:
        root_of(raw(lambda: [answer]))
    assert told.value.mend, "it says what to do"


def test_a_length_too_long_is_waited_for_as_long_as_any_answer(raw: Callable[..., RawBmc]) -> None:
    with pytest.raises(Unreachable, match="no answer within 1 s"):
        root_of(raw(lambda: [length(len(BODY) + 9)], hangs=True))


ENDLESS: dict[str, Callable[[], Answer]] = {
    "chunks": lambda: chain([CHUNKED + b"\r\n"], repeat(chunk(b" " * 65536))),
    "chunks of a byte": lambda: chain([CHUNKED + b"\r\n"], repeat(chunk(b" ") * 10000)),
    "a chunk of a negative size": lambda: chain([CHUNKED + b"\r\n-1\r\n"], repeat(b" " * 65536)),
    "a trailer": lambda: chain(
        [CHUNKED + b"\r\n" + chunk(BODY) + b"0\r\n"], repeat(b"X: y\r\n" * 10000)
    ),
    "to be continued": lambda: repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "a body without a length": lambda: chain([HEAD + b"\r\n"], repeat(b" " * 65536)),
    "a line": lambda: chain([b"HTTP/1.1 200 "], repeat(b"x" * 65536)),
}


@pytest.mark.parametrize("says", ENDLESS.values(), ids=ENDLESS)
def test_what_has_no_end_is_not_read_on(
    raw: Callable[..., RawBmc], says: Callable[[], Answer]
) -> None:
    bmc = raw(says, hangs=True)
    with pytest.raises((Failed, Unreachable)):
        root_of(bmc, patience=15)
    assert bmc.sent < 64 * MIB, "two tries, each with an end"


def test_busy_that_says_at_once_is_not_asked_without_a_pause(raw: Callable[..., RawBmc]) -> None:
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 2\r\n\r\n{}"
    bmc = raw(lambda: [busy], hangs=True)
    with pytest.raises(Unreachable, match="too busy"):
        root_of(bmc)
    assert bmc.asked <= 3 * PATIENCE / 0.1 + 1


def test_a_certificate_that_changes_before_the_log_in_gets_no_password(
    raw: Callable[..., RawBmc],
) -> None:
    """Who showed the service root is who the password goes to, and nobody else."""

    def says() -> Answer:
        bmc.certificate = "another"
        return [length(len(BODY)).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)]

    bmc = raw(says)
    with pytest.raises(Refused, match="certificate changed"):
        connect(BmcAccess(address="127.0.0.1", port=bmc.port), "root", "calvin-0", timeout=5)
    assert bmc.asked == 1


def test_a_connection_that_was_ended_without_a_word_costs_no_post(
    raw: Callable[..., RawBmc],
) -> None:
    bmc = raw(lambda: [length(len(BODY))])
    wire = Wire("127.0.0.1", bmc.port, None)
    for method in ("GET", "POST", "POST"):
        assert wire.exchange(Call(method, "/", {}, None), most=MIB, within=5).status == 200
        ended = threading.Event()
        while not (wire._open and wire._open.dropped):
            ended.wait(0.01)
    wire.close()
