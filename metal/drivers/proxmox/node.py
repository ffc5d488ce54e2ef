"""One node's API: pinned TLS, a ticket of its own, errors in our words.

proxmoxer builds the URLs and reads the answers; the connection is ours, because proxmoxer's own
password login posts through an unpinned module-level `requests.post`.
"""

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from proxmoxer.core import ProxmoxResource, ResourceException

from metal.drivers.pinned_requests import pinned_session
from metal.model.errors import Failed, MetalError, Refused, Unreachable

RENEW_AFTER = 3600.0
"""Seconds; a ticket lives two hours."""
_GATEWAY = frozenset({502, 503, 504, 595, 596, 597, 598, 599})
"""The node answered, but what it asked in turn did not: 595 connect, 596 TLS (AnyEvent)."""
_BUSY = (
    "can't lock file",
    "got timeout",
    "trying to acquire lock",
    "is locked",
    # Of pmxcfs, when several write HA's or the firewall's configuration at once.
    "got lock request timeout",
    "trying to acquire cfs lock",
)


@dataclass(frozen=True)
class NodeAccess:
    """Where a node's API is, and which certificate it must show."""

    address: str
    port: int
    pin: str
    """SHA-256 of the certificate: upper-case hex pairs parted by colons."""


SKIP = "skiplock"
ROOT_ONLY = re.compile(
    r"(POST) cluster/config(/join|/nodes/[^/]+)?"
    r"|(DELETE) cluster/config/nodes/[^/]+"
    r"|(PUT) nodes/[^/]+/disks/wipedisk"
    r"|(POST) nodes/[^/]+/ceph/osd"
    r"|(DELETE) nodes/[^/]+/ceph/osd/\d+"
)
"""Calls without any permission in Proxmox's schema: a ticket of root@pam and nothing else, not
even a token of root's. tests/proxmox_driver hold this list against the schema."""


def asks_root(method: str, path: str, params: Collection[str] = ()) -> bool:
    """Whoever passes a lock over must be root, too."""
    return SKIP in params or ROOT_ONLY.fullmatch(f"{method} {path.strip('/')}") is not None


def is_busy(message: str) -> bool:
    """A lock that somebody else holds, in the words of a call or of a task."""
    return any(sign in message.lower() for sign in _BUSY)


class ApiError(Failed):
    """The API said no. `status` is the HTTP status, `message` its reason."""

    def __init__(self, status: int, message: str, *, where: str, mend: str = "") -> None:
        super().__init__(message, where=where, mend=mend)
        self.status, self.message = status, message

    @property
    def busy(self) -> bool:
        """Somebody else holds the lock: the same call may work in a moment."""
        return self.status == 500 and is_busy(self.message)


class LoginRefused(Refused):
    """401 for a fresh login: a wrong password, or a node in the middle of joining."""


class NoPassword(Refused):
    """Whoever is asked for the password keeps none."""


class Node:
    """All methods may be called from any thread. Raises MetalError only."""

    def __init__(
        self,
        name: str,
        access: NodeAccess,
        user: str,
        password: Callable[[str], str],
        timeout: tuple[float, float],
        token: Callable[[], str] = lambda: "",
    ) -> None:
        """`token`: of an API token, USER@REALM!ID=SECRET; "" while there is none."""
        self.name, self.access = name, access
        self._user, self._password, self._timeout = user, password, timeout
        self._token, self._tokenless, self._kept_token = token, False, ""
        self._lock = threading.Lock()
        self._ticket, self._csrf, self._born = "", "", 0.0
        self._connect()

    def repin(self, pin: str) -> None:
        """Trust the certificate `pin` from now on; whoever calls has proof of it."""
        self.access = NodeAccess(self.access.address, self.access.port, pin)
        self._connect()
        self._ticket, self._tokenless = "", False

    def get(self, path: str, **params: Any) -> Any:
        """Read. A connection that the server had closed while idle is opened again, once."""
        try:
            return self._call("GET", path, params)
        except _Dropped:
            return self._call("GET", path, params)

    def post(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Write, at most once: after Unreachable look first whether it happened."""
        return self._call("POST", path, dict(params or {}))

    def put(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Write, at most once, as `post`."""
        return self._call("PUT", path, dict(params or {}))

    def delete(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Write, at most once, as `post`."""
        return self._call("DELETE", path, dict(params or {}))

    def password(self) -> str:
        """Of the account here: what a joining node must know of the one it joins through."""
        return self._password(self.name)

    def ask_as_token(self, path: str) -> Any:
        """Read with the token and nothing else; Refused when it is not accepted."""
        token = self._token()
        if not token:
            raise Refused("there is no token", where=self.name)
        return self._send("GET", path, {}, {"Authorization": f"PVEAPIToken={token}"})

    def own_address(self) -> str:
        """From where we reach it. Nothing is sent."""
        family = socket.AF_INET6 if ":" in self.access.address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((self.access.address, self.access.port))
            except OSError as error:
                raise Unreachable(f"no way to it: {error.strerror}", where=self.name) from None
            return str(probe.getsockname()[0])

    def joined(self) -> None:
        """It is in another cluster than a moment ago: what it did not know it knows now."""
        self._ticket, self._tokenless, self._kept_token = "", False, ""

    # ── one call ────────────────────────────────────────────────────────────────────────────

    def _call(self, method: str, path: str, params: dict[str, Any]) -> Any:
        if token := self._usable_token(method, path, params):
            try:
                return self._send(method, path, params, {"Authorization": f"PVEAPIToken={token}"})
            except _Unauthorised:
                # A node that has not joined yet knows no token of the cluster's.
                self._tokenless, self._kept_token = True, ""
        used = self._logged_in()
        try:
            return self._send(method, path, params, self._headers(method))
        except _Unauthorised:
            # Old tickets die when a node joins a cluster. 401 means nothing was done.
            self._logged_in(instead_of=used)
            try:
                return self._send(method, path, params, self._headers(method))
            except _Unauthorised as error:
                raise self._refused_login() from error

    def _usable_token(self, method: str, path: str, params: Collection[str]) -> str:
        if self._tokenless or asks_root(method, path, params):
            return ""
        # Opened once: to decrypt it before every call would cost more than the call.
        self._kept_token = self._kept_token or self._token()
        return self._kept_token

    def _headers(self, method: str) -> dict[str, str]:
        headers = {"Cookie": f"PVEAuthCookie={self._ticket}"}
        if method != "GET":
            headers["CSRFPreventionToken"] = self._csrf
        return headers

    def _send(self, method: str, path: str, params: dict[str, Any], headers: dict[str, str]) -> Any:
        session = _Session(self._exchange, headers)
        resource = ProxmoxResource(
            base_url=self._base, session=session, serializer=_Answers(self.name)
        )
        call = getattr(resource(path), method.lower())
        try:
            return call(**params)
        except ResourceException as error:
            raise self._explain(error, f"{method} /{path}") from None

    def _explain(self, error: ResourceException, call: str) -> MetalError:
        where, said = f"{self.name} ({call})", str(error.content).strip()
        if error.status_code == 401:
            return _Unauthorised(said, where=where)
        if error.status_code == 403:
            return Refused(
                f"not permitted: {said}", where=where, mend=f"give {self._user} the permission"
            )
        if error.status_code in _GATEWAY:
            return Unreachable(f"{said or 'no answer'} ({error.status_code})", where=where)
        wrong = error.errors if isinstance(error.errors, dict) else {}
        details = "; ".join(f"{k}: {str(v).strip()}" for k, v in wrong.items())
        return ApiError(error.status_code, ": ".join(p for p in (said, details) if p), where=where)

    # ── the session ─────────────────────────────────────────────────────────────────────────

    def _connect(self) -> None:
        host = f"[{self.access.address}]" if ":" in self.access.address else self.access.address
        self._base = f"https://{host}:{self.access.port}/api2/json"
        self._session = pinned_session(self.access.pin)

    def _exchange(self, method: str, url: str, **what: Any) -> requests.Response:
        where = f"{self.name} ({self.access.address}:{self.access.port})"
        try:
            return self._session.request(
                method, url, timeout=self._timeout, allow_redirects=False, **what
            )
        except requests.exceptions.SSLError:
            raise Unreachable("the TLS handshake failed", where=where) from None
        except requests.exceptions.Timeout:
            raise Unreachable("no answer in time", where=where) from None
        except requests.exceptions.ConnectionError as error:
            kind = Unreachable if "refused" in str(error).lower() else _Dropped
            raise kind("the connection failed", where=where) from None
        except requests.exceptions.RequestException as error:
            raise Failed(f"the call failed: {type(error).__name__}", where=where) from None

    def _logged_in(self, instead_of: str | None = None) -> str:
        """The ticket in use; a new one if there is none, it is old, or `instead_of` was it."""
        with self._lock:
            old = time.monotonic() - self._born > RENEW_AFTER
            if not self._ticket or old or self._ticket == instead_of:
                self._log_in()
            return self._ticket

    def _log_in(self) -> None:
        self._ticket = ""
        form = {"username": self._user, "password": self._kept_password()}
        url = f"{self._base}/access/ticket"
        try:
            answer = self._exchange("POST", url, data=form)
        except _Dropped:
            answer = self._exchange("POST", url, data=form)
        if answer.status_code == 401:
            raise self._refused_login()
        if answer.status_code != 200:
            raise Unreachable(
                f"no login now: {answer.status_code} {_reason(answer)}", where=self.name
            )
        granted = _data(answer, self.name)
        if not isinstance(granted, dict) or not granted.get("ticket"):
            raise no_proxmox(self.name)
        if granted.get("NeedTFA"):
            raise Refused(
                f"{self._user} needs a second factor",
                where=self.name,
                mend="take the second factor off that account, or use another",
            )
        self._ticket, self._csrf = granted["ticket"], granted.get("CSRFPreventionToken", "")
        self._born = time.monotonic()

    def _kept_password(self) -> str:
        try:
            return self._password(self.name)
        except NoPassword as error:
            if not self._tokenless:
                raise
            host, port = self.access.address, self.access.port
            raise Refused(
                f"the token {self._token().partition('=')[0]} is not valid any more (401): another "
                "workspace may have made it anew, or somebody removed it",
                where=self.name,
                mend=f"`metal cluster adopt https://{f'[{host}]' if ':' in host else host}:{port}` "
                "makes one for this workspace",
            ) from error

    def _refused_login(self) -> LoginRefused:
        return LoginRefused(
            f"it does not let {self._user} in (401)",
            where=self.name,
            mend=f"check the escrowed password root/{self.name} against the server's",
        )


class _Session:
    """What proxmoxer sends through, the connection and the credential being ours."""

    def __init__(self, exchange: Callable[..., requests.Response], headers: dict[str, str]) -> None:
        self._exchange, self._headers = exchange, headers

    def request(
        self, method: str, url: str, data: Any = None, params: Any = None
    ) -> requests.Response:
        """Keeps the error's reason where proxmoxer looks for it."""
        answer = self._exchange(method, url, data=data, params=params, headers=self._headers)
        if answer.status_code >= 400:
            answer.reason = _reason(answer)
        return answer


class _Answers:
    """proxmoxer's would hand on what is no JSON as if it were data."""

    def __init__(self, name: str) -> None:
        self._name = name

    def loads(self, response: requests.Response) -> Any:
        return _data(response, self._name)

    def loads_errors(self, response: requests.Response) -> Any:
        try:
            return json.loads(response.content).get("errors")
        except (ValueError, AttributeError):
            return None


def _data(answer: requests.Response, name: str) -> Any:
    try:
        return json.loads(answer.content)["data"]
    except (ValueError, KeyError, TypeError):
        raise no_proxmox(name) from None


def no_proxmox(name: str) -> Unreachable:
    """Something answers there, and its answers make no sense: as good as silent."""
    return Unreachable(
        "what answers there is no Proxmox VE, or a broken one",
        where=name,
        mend="see in a browser what it is: Proxmox's API is on port 8006, with no proxy before it",
    )


class _Unauthorised(Refused):
    """401: the ticket is not valid any more."""


class _Dropped(Unreachable):
    """The connection broke: the server closes idle ones after five seconds."""


def _reason(answer: requests.Response) -> str:
    """Why it failed: in the JSON's `message`, or in the status line as older versions do."""
    try:
        message = answer.json().get("message")
    except (ValueError, AttributeError):
        message = None
    return str(message or answer.reason or "").strip()
