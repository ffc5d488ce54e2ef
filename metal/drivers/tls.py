"""TLS as BMCs speak it: no authority, at times a version nobody takes any more, answers that drip.

The certificate is checked by metal.drivers.pins, against what was seen first.
"""

import errno
import re
import ssl
import time
import warnings
from typing import Any

from metal.model.errors import Failed

CONNECT = 10.0
"""Seconds: who takes a minute for an answer still shakes hands in a few seconds."""
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


class DeadlineSocket(ssl.SSLSocket):
    """A socket that gives a whole answer, not each of its bytes, `until` to come, and `room`.

    Without it a BMC that sends a byte a second is waited for for ever: a time-out of sockets
    counts the seconds of silence only. And http.client takes a chunk of a negative size for one
    that ends with the connection, which may be never.
    """

    until: float | None = None
    """Of time.monotonic()."""
    room: int | None = None
    """Bytes that may still come."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        if self.until is not None:
            left = self.until - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self.settimeout(left)
        if self.room is not None and self.room <= 0:
            raise OSError(errno.EMSGSIZE, "it sends without end")
        came = super().recv_into(*args, **kwargs)
        if self.room is not None:
            self.room -= came
        return came


def unverified_context() -> ssl.SSLContext:
    """Takes any certificate, as it is the pin that counts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.sslsocket_class = DeadlineSocket
    return context


def legacy_context() -> ssl.SSLContext:
    """TLS 1.0 and old ciphers (R55), for machines whose inventory entry allows it by name.

    Weak against somebody in between who breaks the cipher; the pin still holds.
    """
    context = unverified_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is the point of it
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.options |= 0x4  # OP_LEGACY_SERVER_CONNECT: no secure renegotiation on iLO 3 and kin
    return context


UNVERIFIED = unverified_context()
"""One for all: without it every connection loads the system's authorities (18 ms of CPU), and
none of them vouches for a BMC."""


def handshake_failure(error: ssl.SSLError, where: str, *, legacy: bool) -> Failed:
    """What to tell of a connection that failed at TLS; `legacy`: old TLS is allowed already."""
    text = str(error)
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
