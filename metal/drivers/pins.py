"""TLS pinned by the SHA-256 of the server's certificate, for `requests`.

BMCs and fresh nodes have self-signed certificates: no authority vouches for them, so the first
one seen is trusted and any other is refused. The check runs inside the connection, after the
handshake and before the first byte of a request: no credential reaches a server with another
certificate.
"""

import hashlib
import hmac
import re
import socket
import ssl
import time
import warnings
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.util.ssl_ import create_urllib3_context

from metal.drivers.connections import OPEN
from metal.model.errors import Failed, Refused, Unreachable

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MEND = (
    "if you know why it changed (a firmware update, a new board), remove the pinned "
    "fingerprint and trust the new one; if you do not, somebody may sit in between"
)

CONNECT = 10.0
"""Seconds: who takes a minute for an answer still shakes hands in a few seconds."""
UNVERIFIED = create_urllib3_context(cert_reqs=ssl.CERT_NONE)
"""One for all: without it every connection loads the system's authorities (18 ms of CPU), and
none of them vouches for a BMC."""


OLD_TLS = (
    "UNSUPPORTED_PROTOCOL",
    "PROTOCOL_VERSION",
    "HANDSHAKE_FAILURE",
    "NO_SHARED_CIPHER",
    "NO_CIPHERS_AVAILABLE",
    "INSUFFICIENT_SECURITY",
    "DH_KEY_TOO_SMALL",
    "EE_KEY_TOO_SMALL",
    "CA_MD_TOO_WEAK",
    "WRONG_SIGNATURE_TYPE",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
    "UNEXPECTED_EOF",
    "EOF occurred",
)
"""How OpenSSL names a peer that wants TLS 1.0 or 1.1, or a cipher nobody takes any more (R55)."""


def fingerprint_of(der: bytes) -> str:
    """SHA-256 of a DER certificate as upper-case hex pairs parted by colons."""
    digest = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digest[i : i + 2] for i in range(0, 64, 2))


def check_pin(pin: str, der: bytes, where: str, mend: str = MEND) -> None:
    """Raise Refused, naming both, unless the certificate is the pinned one."""
    shown = fingerprint_of(der)
    if not hmac.compare_digest(pin.upper(), shown):
        raise Refused(
            "the certificate changed, so nothing was sent: "
            f"pinned is {pin.upper()}, it shows {shown}",
            where=where,
            mend=mend,
        )


class PinnedAdapter(HTTPAdapter):
    """Connections whose certificate must be `pin`; without one, whatever is seen first.

    `fingerprint` is the pin, or what was seen at the first connection.
    `timeout` (seconds) holds for requests that give none of their own.
    """

    def __init__(
        self, pin: str | None, *, timeout: float = 30, mend: str = MEND, legacy_tls: bool = False
    ) -> None:
        self.fingerprint, self.timeout, self._mend = pin, timeout, mend
        self.certificate: bytes | None = None
        """DER, as it was shown last."""
        self.tls_version: str | None = None
        self._legacy = legacy_tls
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        kwargs["ssl_context"] = legacy_context() if self._legacy else UNVERIFIED
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"https": _pool_of(self)}

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = (min(self.timeout, CONNECT), self.timeout)
        return super().send(request, *args, **kwargs)

    def check(self, der: bytes | None, where: str) -> None:
        """Called by every new connection with the certificate its peer showed."""
        if not der:
            raise Refused("it shows no certificate", where=where, mend=self._mend)
        if self.fingerprint is None:
            self.fingerprint = fingerprint_of(der)
        check_pin(self.fingerprint, der, where, self._mend)
        self.certificate = der


def legacy_context() -> ssl.SSLContext:
    """TLS 1.0 and old ciphers (R55), for machines whose inventory entry allows it by name.

    Weak against somebody in between who breaks the cipher; the pin still holds.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is the point of it
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.sslsocket_class = _Deadline
    context.options |= 0x4  # OP_LEGACY_SERVER_CONNECT: no secure renegotiation on iLO 3 and kin
    return context


class _Deadline(ssl.SSLSocket):
    """A socket that gives a whole answer `until` to come, not each of its bytes.

    Without it a BMC that sends a byte a second is waited for for ever: `requests` counts the
    seconds of silence only.
    """

    until: float | None = None
    """Of time.monotonic()."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        if self.until is not None:
            left = self.until - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self.settimeout(left)
        return super().recv_into(*args, **kwargs)


UNVERIFIED.sslsocket_class = _Deadline


def _pool_of(adapter: PinnedAdapter) -> type[HTTPSConnectionPool]:
    class Connection(HTTPSConnection):
        def getresponse(self) -> Any:
            if isinstance(self.sock, _Deadline):
                self.sock.until = time.monotonic() + adapter.timeout
            return super().getresponse()

        def connect(self) -> None:
            OPEN.opening(self)
            try:
                super().connect()
                shown = self.sock.getpeercert(binary_form=True)  # type: ignore[union-attr]
                adapter.check(shown, f"{self.host}:{self.port}")
                adapter.tls_version = self.sock.version()  # type: ignore[union-attr]
            except BaseException:
                self.close()
                raise
            self.is_verified = True  # by the pin; urllib3 would warn otherwise

        def close(self) -> None:
            super().close()
            OPEN.ended(self)

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

        def _get_conn(self, timeout: float | None = None) -> Any:
            with OPEN.lock:  # or a resting connection may be closed just as it is taken
                connection: Any = super()._get_conn(timeout)
                OPEN.used(connection)
                return connection

        def _put_conn(self, conn: Any) -> None:
            if conn is not None:
                OPEN.rests(conn)
            super()._put_conn(conn)

    return Pool


def pinned_session(
    pin: str | None, *, timeout: float = 30, mend: str = MEND, legacy_tls: bool = False
) -> requests.Session:
    """A session that speaks to servers with that certificate only, and never in clear.

    Without a pin the first certificate seen holds for the session's life; `seen_fingerprint`
    tells it. The environment's proxies and .netrc are not used: they would see credentials.
    """
    session = requests.Session()
    session.trust_env = False
    session.verify = False  # the adapter checks the pin instead of a chain
    session.adapters.clear()
    session.mount("https://", PinnedAdapter(pin, timeout=timeout, mend=mend, legacy_tls=legacy_tls))
    return session


def seen_fingerprint(session: requests.Session) -> str | None:
    """The certificate a pinned session is bound to; None before its first connection."""
    adapter = session.get_adapter("https://")
    return adapter.fingerprint if isinstance(adapter, PinnedAdapter) else None


def seen_tls(session: requests.Session) -> str | None:
    """Such as "TLSv1.3"; None before the first connection."""
    adapter = session.get_adapter("https://")
    return adapter.tls_version if isinstance(adapter, PinnedAdapter) else None


def seen_certificate(session: requests.Session) -> "Certificate | None":
    """The peer's certificate; None before the first connection, or when it is no valid X.509."""
    from cryptography.x509 import load_der_x509_certificate

    adapter = session.get_adapter("https://")
    der = adapter.certificate if isinstance(adapter, PinnedAdapter) else None
    try:
        return load_der_x509_certificate(der) if der else None
    except ValueError:
        return None


def handshake_failure(error: BaseException, where: str, legacy: bool) -> Failed | None:
    """What to tell of a connection that failed at TLS; None if it failed at something else."""
    text = str(error)
    if "SSLError" not in text and not isinstance(error, requests.exceptions.SSLError):
        return None
    if "WRONG_VERSION_NUMBER" in text or "HTTP_REQUEST" in text:
        return Failed(
            "it answers, but not with TLS",
            where=where,
            mend="is this the port of its HTTPS service?",
        )
    reason = re.search(r"\[SSL: (\w+)\]|(EOF occurred)", text)
    said = next(filter(None, reason.groups())) if reason else "no reason given"
    if legacy or not any(name.lower() in text.lower() for name in OLD_TLS):
        return Failed(
            f"no TLS handshake ({said})",
            where=where,
            mend='a restart of the BMC may help; over IPMI it is spoken to with protocol = "ipmi"',
        )
    return Failed(
        f"no TLS handshake: it seems to speak only TLS 1.0 or 1.1, or ciphers too old ({said})",
        where=where,
        mend='write tls = "legacy" into the bmc = { … } of this server in inventory.toml to speak '
        "to it nevertheless: its certificate is pinned, its encryption is weak. Newer firmware "
        "is the better way",
    )


def fetch_fingerprint(host: str, port: int, timeout: float = 10) -> str:
    """The fingerprint a server shows now. Nothing but a TLS handshake is sent.

    Unreachable: no answer. Failed: it answers, but not TLS this Python speaks.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    where = f"{host}:{port}"
    try:
        with (
            socket.create_connection((host, port), timeout) as raw,
            context.wrap_socket(raw, server_hostname=host) as tls,
        ):
            der = tls.getpeercert(binary_form=True)
    except ssl.SSLError as error:
        raise Failed(
            f"no TLS handshake: {error.reason or error}",
            where=where,
            mend="is this the port of an HTTPS service? very old firmware speaks no TLS 1.2",
        ) from error
    except OSError as error:
        raise Unreachable(
            f"no answer: {error.strerror or error}",
            where=where,
            mend="check the address, the cable and the network between",
        ) from error
    if not der:
        raise Failed("it shows no certificate", where=where)
    return fingerprint_of(der)
