"""TLS pinned by the SHA-256 of the server's certificate.

BMCs and fresh nodes have self-signed certificates: no authority vouches for them, so the first
one seen is trusted and any other is refused. The check runs after the handshake and before the
first byte of a request: no credential reaches a server with another certificate.
"""

import hashlib
import hmac
import socket
import ssl

from metal.drivers.tls import UNVERIFIED
from metal.model.errors import Failed, Refused, Unreachable

MEND = (
    "if you know why it changed (a firmware update, a new board), remove the pinned "
    "fingerprint and trust the new one; if you do not, somebody may sit in between"
)


def fingerprint_of(der: bytes) -> str:
    """SHA-256 of a DER certificate as upper-case hex pairs parted by colons."""
    digest = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digest[i : i + 2] for i in range(0, 64, 2))


def trusted(pin: str | None, der: bytes | None, where: str, mend: str = MEND) -> str:
    """The pin that holds from now on: `pin`, or the certificate's own where none was known.

    `der`: what a new connection was shown. Refused: nothing, or another certificate; names both.
    """
    if not der:
        raise Refused("it shows no certificate", where=where, mend=mend)
    shown = fingerprint_of(der)
    if pin is None:
        return shown
    if not hmac.compare_digest(pin.upper(), shown):
        raise Refused(
            "the certificate changed, so nothing was sent: "
            f"pinned is {pin.upper()}, it shows {shown}",
            where=where,
            mend=mend,
        )
    return pin


def fetch_fingerprint(host: str, port: int, timeout: float = 10) -> str:
    """The fingerprint a server shows now. Nothing but a TLS handshake is sent.

    Unreachable: no answer. Failed: it answers, but not TLS this Python speaks.
    """
    where = f"{host}:{port}"
    try:
        with (
            socket.create_connection((host, port), timeout) as raw,
            UNVERIFIED.wrap_socket(raw, server_hostname=host) as tls,
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
