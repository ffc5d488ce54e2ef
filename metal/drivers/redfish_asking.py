"""Requests to one Redfish service, and the BMCs' bad manners in transport.

A busy one is asked again, redirects are followed but never to another host, a connection that it
closed is opened anew. Quirk numbers (R…) are those of docs/bmc-quirks.md.
"""

import errno
import http.client
import json
import math
import time
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from metal.drivers.redfish_answer import (
    BIGGEST,
    Answer,
    Body,
    host_of,
    parsed,
    path_of,
    unzipped,
    without,
)
from metal.drivers.tls import CONNECT
from metal.drivers.wire import Call, Raw, Wire
from metal.model.errors import Failed, Unreachable
from metal.model.visible import visible

BUSY = (429, 503)
ASKED_AGAIN = 3
"""How often a busy BMC that does not say when is asked again (R13)."""
PAUSE = 3.0
QUICKEST = 0.1
"""Seconds, also for who says "at once": it would be asked a thousand times a second."""
CHANGED = (
    "if you know why it changed (new firmware, a new board, a reset), compare the fingerprint at "
    "the machine itself, then `metal bmc repin SERVER`; if not, somebody may sit in between"
)
REDIRECTS = (301, 302, 307, 308)
FULL = ("RAC0218", "SessionLimitExceeded", "maximum number of", "sessions")
HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "Connection": "keep-alive",
    "OData-Version": "4.0",
    "User-Agent": "metal",
}
SHOWN = 200
"""Characters of a header or path in an error."""
IN_A_PATH = "/%?&=$+,;:@!'()*~#[]"
"""What stays as it is; the rest is written as %XX."""


class Busy(Unreachable):
    """It is there, and says that it cannot answer now."""


class RedfishAsking:
    """One request after the other. Not for several threads at once."""

    def __init__(
        self,
        address: str,
        port: int,
        pin: str | None,
        timeout: float,
        *,
        legacy_tls: bool = False,
        settle: float = 60,
    ) -> None:
        """`timeout` s, the `patience`, for a whole answer; `settle` s are little for a server to
        start (R09)."""
        self.where = f"BMC {address}"
        self.patience, self._settle = timeout, settle
        self._wire = Wire(
            address,
            port,
            pin,
            shake=min(timeout, CONNECT),
            mend=CHANGED,
            legacy_tls=legacy_tls,
        )
        self.quirks: set[str] = set()
        """Numbers of docs/bmc-quirks.md that were met."""
        self._given: set[str] = set()
        """Passwords that it was sent: a hostile one may repeat them anywhere."""
        self.slowest_call = 0.0
        """Seconds, without those that it was waited for a connection."""

    @property
    def tls_version(self) -> str | None:
        """Such as "TLSv1.3"; None before the first connection."""
        return self._wire.tls_version

    @property
    def certificate_expires(self) -> str | None:
        """ISO date; None where it cannot be read."""
        certificate = self._wire.certificate
        return certificate.not_valid_after_utc.date().isoformat() if certificate else None

    @property
    def certificate_self_signed(self) -> bool | None:
        certificate = self._wire.certificate
        return certificate.issuer == certificate.subject if certificate else None

    @property
    def fingerprint(self) -> str | None:
        """The pin, or what was seen at the first connection."""
        return self._wire.fingerprint

    def met(self, quirk: str) -> None:
        self.quirks.add(quirk)

    def _send(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request. A busy BMC is asked again when it says, or a little later (R12, R13)."""
        deadline, asked = time.monotonic() + 3 * self.patience, 0
        while True:
            answer = self._follow(method, path, body, headers or {})
            if answer.status not in BUSY or (method == "POST" and answer.names(*FULL)):
                return answer
            said, asked = answer.pause, asked + 1
            pause = min(PAUSE, self.patience / 10) if said is None else max(said, QUICKEST)
            late = time.monotonic() + pause > deadline
            if late or (said is None and asked > ASKED_AGAIN):
                return answer
            self.met("R13" if said is None else "R12")
            time.sleep(pause)

    def _follow(self, method: str, path: str, body: Body | None, headers: dict[str, str]) -> Answer:
        """Redirects keep method and body, and never leave the BMC (R17)."""
        seen: set[str] = set()
        while True:
            seen.add(path)
            answer = self._exchange(method, path, body, headers)
            where_to = answer.headers.get("location", "")
            if answer.status not in REDIRECTS or not where_to:
                return answer
            path = path_of(where_to)
            if path in seen or len(seen) > 8:
                host = host_of(self._printable(where_to))
                away = f" (to {host}, which is not asked)" if host else ""
                raise Failed(
                    f"it redirects without end{away}",
                    where=self.where,
                    mend="is this the address of the BMC itself, and no proxy's?",
                )
            self.met("R17")

    def _exchange(
        self,
        method: str,
        path: str,
        body: Body | None,
        headers: dict[str, str],
        most: float = math.inf,
    ) -> Answer:
        """`most`: seconds, where that is less than every answer gets."""
        within = min(most, self.patience)
        if secret := (body or {}).get("Password"):
            self._given.add(secret)
        raw = self._raw(self._call(method, path, body, headers), within)
        self.slowest_call = max(self.slowest_call, raw.seconds)
        answer = self._read(raw, path)
        return (
            answer if answer.ok and not secret else replace(answer, body=self._unsaid(answer.body))
        )

    def _unsaid(self, value: Any) -> Any:
        """The same without the passwords that it was sent."""
        for secret in self._given:
            value = without(value, secret)
        return value

    def _printable(self, text: str) -> str:
        """What it wrote, fit for an error message."""
        return visible(str(self._unsaid(text)))[:SHOWN]

    def _call(self, method: str, path: str, body: Body | None, headers: dict[str, str]) -> Call:
        sent = HEADERS | headers
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            plain = _plain(path)
        except ValueError as error:  # of its parts, or its characters
            raise Failed(
                f"{self._printable(path)!r} is no path of a resource",
                where=self.where,
                mend="restart the BMC if it stays so; an update of its firmware may help",
            ) from error
        return Call(method, plain, sent, json.dumps(body).encode() if body is not None else None)

    def _raw(self, call: Call, within: float) -> Raw:
        """Reading is tried twice: a kept connection may have been closed, and it is harmless."""
        tries = 2 if call.method == "GET" else 1
        cause: Exception | None
        while True:
            tries -= 1
            try:
                raw = self._wire.exchange(call, most=BIGGEST, within=within)
                if raw.whole or raw.status >= 400:
                    return raw
                broke, cause = "in the middle of an answer", None
            except TimeoutError as error:
                if error.errno != errno.ETIMEDOUT:  # that is the kernel's: nobody is there
                    raise self._silent(f"no answer within {within:g} s") from error
                broke, cause = "nothing comes back", error
            except (OSError, http.client.HTTPException) as error:
                broke, cause = getattr(error, "strerror", None) or type(error).__name__, error
            if not tries:
                raise self._silent(f"the connection broke ({broke})") from cause

    def _read(self, raw: Raw, path: str) -> Answer:
        plain = unzipped(raw.body)
        if len(plain) > BIGGEST:
            raise Failed(
                f"{path} is larger than any resource ({BIGGEST >> 20} MiB)",
                where=self.where,
                mend="restart the BMC; an update of its firmware may help",
            )
        # Half a body: the status says enough, such as a 401 (R15).
        body = parsed(plain if raw.whole else b"")
        if body is None and 200 <= raw.status < 400:
            kind = self._printable(raw.headers.get("content-type", "no content type"))
            raise Failed(
                f"{self._wire.base}{path} is no JSON ({kind}, {len(raw.body)} bytes)",
                where=self.where,
                mend="is this the address of a BMC? restart the BMC if it is",
            )
        return Answer(raw.status, body or {}, raw.headers, len(plain))

    def _silent(self, what: str) -> Unreachable:
        return Unreachable(
            what,
            where=self.where,
            mend="check its address, cable and power; some BMCs need a minute after a restart",
        )

    def _busy(self, what: str) -> Busy:
        return Busy(what, where=self.where, mend="wait a minute; restart the BMC if it stays so")


def _plain(path: str) -> str:
    """Of the BMC itself, never of another host: "@elsewhere/x" behind our address would be.

    ValueError: it is no path.
    """
    plain = path_of(path)
    if not plain.startswith("/"):
        raise ValueError("no path")
    return quote(plain, safe=IN_A_PATH)
