"""HTTPS to one BMC: one connection, its certificate pinned before the first byte of a request.

http.client and not `requests`: a sweep of 200 BMCs is bound by this machine's CPU, and of a call's
cost two thirds were requests' hooks, cookies and copies, which no BMC needs. A connection that
was closed to make room for others is taken up again with its TLS session: no second signature,
which costs an old BMC half a second.
"""

import http.client
import select
import socket
import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from metal.drivers.connections import OPEN
from metal.drivers.outlook import Outlook
from metal.drivers.pins import MEND, trusted
from metal.drivers.tls import (
    CONNECT,
    UNVERIFIED,
    DeadlineSocket,
    handshake_failure,
    legacy_context,
)

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


UNHEARD = 5000
"""Milliseconds after which a kept connection is over whose other end does not even acknowledge
what is sent: a BMC that died would be waited for as long as for a slow one."""
OVERHEAD = 1024 * 1024
"""Bytes of an answer besides its body."""


class Call(NamedTuple):
    """A request."""

    method: str
    path: str
    """As it goes over the wire: ASCII, with a slash in front."""
    headers: Mapping[str, str]
    body: bytes | None


class Raw(NamedTuple):
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    """Names in lower case; of those that come twice the first counts."""
    body: bytes
    whole: bool
    """False where the connection ended before the body did."""
    seconds: float
    """From the request to the end of its answer."""


class Wire:
    """One connection at most, opened when it is needed. Not for several threads at once."""

    def __init__(
        self,
        host: str,
        port: int,
        pin: str | None,
        *,
        shake: float = CONNECT,
        mend: str = MEND,
        legacy_tls: bool = False,
    ) -> None:
        """`shake` s for a connection and its handshake. Without a pin the first certificate seen
        is it."""
        self.fingerprint = pin
        self.tls_version: str | None = None
        self.resumed = False
        """Whether the last handshake was spared."""
        self.outlook = Outlook()
        self._host, self._port, self._shake, self._mend = host, port, shake, mend
        self._legacy = legacy_tls
        self._context = legacy_context() if legacy_tls else UNVERIFIED
        self._der: bytes | None = None
        self._resumable: ssl.SSLSession | None = None
        self._open: _Connection | None = None

    def exchange(self, call: Call, *, most: int, within: float) -> Raw:
        """One request, and its whole answer `within` seconds. A body of more than `most` bytes
        comes as one more than that.

        Refused: another certificate; nothing was sent. Failed: no TLS. TimeoutError: the whole
        answer did not come in time. OSError, HTTPException: the connection broke. ValueError: no
        such path or header can be sent.
        """
        connection = self._taken() or self._connected()
        try:
            connection.begin(call, within, OVERHEAD + 2 * most)
            answer = connection.answer(most)
            self.outlook.answered(answer.seconds)
        except BaseException:
            self.close()
            raise
        if self._resumable is None:  # once a connection: it is copied, which costs as a call does
            self._resumable = connection.session
        if connection.over:
            self.close()
        else:
            OPEN.rests(self)
        return answer

    def close(self) -> None:
        """It opens again when it is needed."""
        with OPEN.lock:
            connection, self._open = self._open, None
            if connection:
                connection.close()
            OPEN.ended(self)

    @property
    def left(self) -> float:
        """Seconds that the BMC will still be asked."""
        return self.outlook.left

    @property
    def base(self) -> str:
        """Such as https://10.0.0.11:443."""
        return f"https://{f'[{self._host}]' if ':' in self._host else self._host}:{self._port}"

    @property
    def certificate(self) -> "Certificate | None":
        """As it was shown last; None before the first connection, or when it is no valid X.509."""
        from cryptography.x509 import load_der_x509_certificate

        try:
            return load_der_x509_certificate(self._der) if self._der else None
        except ValueError:
            return None

    def _taken(self) -> "_Connection | None":
        """The open connection, no longer one that may be closed to make room."""
        with OPEN.lock:
            OPEN.used(self)
            if self._open and self._open.dropped:
                self.close()
            return self._open

    def _connected(self) -> "_Connection":
        OPEN.opening(self)
        try:
            tls = self._shaken()
            self._check(tls)
        except BaseException:
            self.close()
            raise
        self.tls_version, self.resumed = tls.version(), bool(tls.session_reused)
        self._open = _Connection(self._host, self._port, tls)
        return self._open

    def _shaken(self) -> DeadlineSocket:
        """A handshake; a whole one where the BMC stumbles over what it gave out itself."""
        resumed, self._resumable = self._resumable, None
        try:
            return self._handshake(resumed)
        except ssl.SSLError as error:
            if resumed is None:
                raise handshake_failure(error, self._where, legacy=self._legacy) from error
        return self._shaken()

    def _handshake(self, session: ssl.SSLSession | None) -> DeadlineSocket:
        raw = socket.create_connection((self._host, self._port), self._shake)
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD)
            tls = self._context.wrap_socket(raw, server_hostname=self._host, session=session)
        except BaseException:
            raw.close()
            raise
        assert isinstance(tls, DeadlineSocket)
        return tls

    def _check(self, tls: DeadlineSocket) -> None:
        """A resumed session shows the certificate it began with: only who has that one's key
        could give it out."""
        try:
            der = tls.getpeercert(binary_form=True)
            self.fingerprint = trusted(self.fingerprint, der, self._where, self._mend)
        except BaseException:
            tls.close()
            raise
        self._der = der

    @property
    def _where(self) -> str:
        return f"{self._host}:{self._port}"


class _Connection(http.client.HTTPConnection):
    """Over a socket that has shaken hands already; never opens one itself."""

    auto_open, default_port = 0, 443

    def __init__(self, host: str, port: int, tls: DeadlineSocket) -> None:
        super().__init__(host, port)
        self.sock = self._tls = tls
        self._begun = 0.0

    @property
    def over(self) -> bool:
        """The BMC wants no other request on it."""
        return self.sock is None

    @property
    def dropped(self) -> bool:
        """The BMC ended it without a word, or says what it was not asked. A POST that is lost with
        a connection is not sent again, so that is seen before."""
        poll = select.poll()
        poll.register(self._tls, select.POLLIN)
        return bool(poll.poll(0))

    @property
    def session(self) -> ssl.SSLSession | None:
        return self._tls.session

    def begin(self, call: Call, within: float, room: int) -> None:
        """Send it; the answer has `within` seconds from then on, and so many bytes in all."""
        self._tls.until, self._tls.room = None, room
        self._tls.settimeout(within)
        self._begun = time.monotonic()
        self.request(call.method, call.path, call.body, call.headers)
        self._tls.until = time.monotonic() + within

    def answer(self, most: int) -> Raw:
        with self.getresponse() as response:
            read, whole = _read(response, most)
            if not whole or len(read) > most:
                self.close()
            fields = {name.lower(): value for name, value in reversed(response.headers.items())}
            took = time.monotonic() - self._begun
            return Raw(response.status, fields, read, whole, took)


def _read(response: http.client.HTTPResponse, most: int) -> tuple[bytes, bool]:
    """(at most one byte more than allowed, whether it came to its end)"""
    try:
        read = response.read(most + 1)
    except http.client.IncompleteRead as error:
        return error.partial, False
    return read, not response.length or len(read) > most
