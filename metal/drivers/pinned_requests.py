"""`requests` with a pinned certificate (metal.drivers.pins), for Proxmox's API.

The check runs inside the connection, after the handshake and before the first byte of a request.
"""

import time
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

from metal.drivers.pins import trusted
from metal.drivers.tls import CONNECT, DeadlineSocket, unverified_context

CONTEXT = unverified_context()
"""Its own: urllib3 writes into it."""


@dataclass
class Trust:
    """What each connection of a session holds to: the certificate, and the seconds it waits.

    A thing of its own, that knows no pool: urllib3 keeps the connections of a pool for the day
    that nobody uses it, so a connection that led to its pool would keep it open for ever.
    """

    fingerprint: str | None
    timeout: float

    def check(self, der: bytes | None, where: str) -> None:
        """Called by every new connection with the certificate its peer showed."""
        self.fingerprint = trusted(self.fingerprint, der, where)


class PinnedAdapter(HTTPAdapter):
    """Connections whose certificate must be `pin`; without one, whatever is seen first.

    `timeout` (seconds) holds for requests that give none of their own.
    """

    def __init__(self, pin: str | None, *, timeout: float = 30) -> None:
        self._trust = Trust(pin, timeout)
        super().__init__()

    @property
    def fingerprint(self) -> str | None:
        """The pin, or what was seen at the first connection."""
        return self._trust.fingerprint

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        kwargs["ssl_context"] = CONTEXT
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"https": _pool_of(self._trust)}

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = (min(self._trust.timeout, CONNECT), self._trust.timeout)
        return super().send(request, *args, **kwargs)


def _pool_of(trust: Trust) -> type[HTTPSConnectionPool]:
    class Connection(HTTPSConnection):
        def getresponse(self) -> Any:
            if isinstance(self.sock, DeadlineSocket):
                self.sock.until = time.monotonic() + trust.timeout
            return super().getresponse()

        def connect(self) -> None:
            try:
                super().connect()
                shown = self.sock.getpeercert(binary_form=True)  # type: ignore[union-attr]
                trust.check(shown, f"{self.host}:{self.port}")
            except BaseException:
                self.close()
                raise
            self.is_verified = True  # by the pin; urllib3 would warn otherwise

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool


def pinned_session(pin: str | None, *, timeout: float = 30) -> requests.Session:
    """A session that speaks to servers with that certificate only, and never in clear.

    Without a pin the first certificate seen holds for the session's life; `seen_fingerprint`
    tells it. The environment's proxies and .netrc are not used: they would see credentials.
    """
    session = requests.Session()
    session.trust_env = False
    session.verify = False  # the adapter checks the pin instead of a chain
    session.adapters.clear()
    session.mount("https://", PinnedAdapter(pin, timeout=timeout))
    return session


def seen_fingerprint(session: requests.Session) -> str | None:
    """The certificate a pinned session is bound to; None before its first connection."""
    adapter = session.get_adapter("https://")
    return adapter.fingerprint if isinstance(adapter, PinnedAdapter) else None
