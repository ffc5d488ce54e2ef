"""One logged-in Redfish session: requests, log-in, ETags, the BMCs' bad manners in transport.

`requests` and not pyghmi.redfish: that one waits 60 s, logs in again by itself (a wrong password
must be tried once, or the BMC locks the account) and hides ETags and links, where most quirks sit.
Quirk numbers (R…) are those of the project's list of BMC quirks, see docs/bmc-quirks.md.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from metal.drivers.pins import pinned_session, seen_fingerprint
from metal.model.errors import Failed, Refused, Unreachable, WrongPassword

ROOT = "/redfish/v1/"
BIGGEST = 16 * 1024 * 1024
"""No resource is that large; a BMC that sends more is broken."""
PAGES = 50
BUSY = (429, 503)
Body = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    status: int
    body: Body
    headers: dict[str, str]
    """Names in lower case."""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def etag(self) -> str | None:
        """For If-Match. A web server that compresses appends -gzip, which never matches (R03)."""
        tag = self.headers.get("etag") or self.body.get("@odata.etag")
        return tag.replace("-gzip", "") if isinstance(tag, str) else None

    @property
    def complaint(self) -> str:
        """What the BMC says is wrong: its messages, else the status."""
        error = self.body.get("error") if isinstance(self.body.get("error"), dict) else {}
        infos = (error or {}).get("@Message.ExtendedInfo") or []
        texts = [str(i.get("Message", "")) for i in infos if isinstance(i, dict)]
        text = "; ".join(t for t in texts if t) or str((error or {}).get("message", ""))
        return f"HTTP {self.status}: {text}" if text else f"HTTP {self.status}"


class RedfishSession:
    """Log in with `login`, then get/patch/post. Not for several threads at once."""

    def __init__(self, address: str, port: int, pin: str | None, timeout: float) -> None:
        self.where = f"BMC {address}"
        self._base = f"https://{address}:{port}"
        self._timeout = timeout
        self._http = pinned_session(pin, timeout=timeout)
        self._http.headers.update(
            {"Accept": "application/json", "OData-Version": "4.0", "Accept-Encoding": "gzip"}
        )
        self._credential: tuple[str, str] | None = None
        self._session_path: str | None = None
        self._collection: str | None = None

    @property
    def fingerprint(self) -> str | None:
        return seen_fingerprint(self._http)

    # ── Log-in ───────────────────────────────────────────────────────────────────────────────

    def login(self, user: str, password: str) -> None:
        """Open a session: one try. An older session of ours is closed once the new one stands."""
        before = self._session_path, self._http.headers.get("X-Auth-Token")
        answer = self._send(
            "POST", self._sessions(), {"UserName": user, "Password": password}, token=False
        )
        token = answer.headers.get("x-auth-token")
        if answer.ok and token:
            self._http.headers["X-Auth-Token"] = token
            self._session_path = _path(
                answer.headers.get("location") or answer.body.get("@odata.id") or ""
            )
        elif answer.status in (404, 405, 501, *BUSY):
            self._login_basic(user, password)  # no session service, or none left (R14)
        else:
            raise self._wrong(user, answer)
        self._credential = (user, password)
        self._delete_session(*before)

    def _login_basic(self, user: str, password: str) -> None:
        self._http.headers.pop("X-Auth-Token", None)
        self._session_path, self._http.auth = None, (user, password)
        answer = self._send("GET", self.get(ROOT)["Systems"]["@odata.id"])
        if not answer.ok:
            self._http.auth = None
            raise self._wrong(user, answer)

    def _wrong(self, user: str, answer: Answer) -> Exception:
        if answer.status in (400, 401, 403):
            return WrongPassword(
                f"wrong password for {user!r} ({answer.complaint}); one try was made, "
                "so that the BMC does not lock the account",
                where=self.where,
                mend="ask the donor for the password or reset the BMC to its factory state",
            )
        if answer.status in BUSY:
            return self._silent(f"too busy to log in ({answer.complaint})")
        return Failed(f"cannot log in as {user!r}: {answer.complaint}", where=self.where)

    def _sessions(self) -> str:
        """Where sessions are opened; asked without a token, as a dead one makes BMCs say 401."""
        if self._collection is None:
            root = self._send("GET", ROOT, token=False).body
            links = root.get("Links")
            sessions = links.get("Sessions") if isinstance(links, dict) else None
            self._collection = link(sessions) or "/redfish/v1/SessionService/Sessions"
        return self._collection

    def logout(self) -> None:
        """Best effort: a session that cannot be deleted runs out by itself (R16)."""
        self._delete_session(self._session_path, self._http.headers.get("X-Auth-Token"))
        self._session_path = self._credential = None
        self._http.close()

    def _delete_session(self, path: str | None, token: str | bytes | None) -> None:
        if not path or not token:
            return
        with contextlib.suppress(requests.RequestException, Refused):
            self._http.delete(
                self._base + path,
                headers={"X-Auth-Token": token},
                timeout=min(5, self._timeout),
                allow_redirects=False,
            ).close()

    # ── Resources ────────────────────────────────────────────────────────────────────────────

    def get(self, path: str) -> Body:
        """The resource. Failed names path and status when there is none."""
        return self.fetch(path).body

    def fetch(self, path: str) -> Answer:
        """Like `get`, with status and ETag."""
        answer = self._authorised("GET", path)
        if answer.status in BUSY:
            raise self._silent(f"too busy to show {path} ({answer.complaint})")
        whole = answer.status == 500 and "@odata.id" in answer.body  # beside an error (R20)
        if not (answer.ok or whole):
            raise Failed(f"cannot read {path}: {answer.complaint}", where=self.where)
        return answer

    def members(self, path: str) -> Iterator[str]:
        """Paths of a collection's members; follows pages (R22), ignores counts (R24)."""
        seen: set[str] = set()
        page: str | None = path
        for _ in range(PAGES):
            if not page or page in seen:
                return
            seen.add(page)
            body = self.get(page)
            for member in body.get("Members") or []:
                target = link(member)
                if target and target not in seen:
                    seen.add(target)
                    yield target
            following = body.get("Members@odata.nextLink") or body.get("@odata.nextLink")
            page = following if isinstance(following, str) else link(following)

    def post(self, path: str, body: Body) -> Answer:
        return self._authorised("POST", path, body)

    def patch(self, path: str, body: Body) -> Answer:
        """With If-Match where the resource has an ETag; a stale one is read anew (R01, R02)."""
        tag = self.fetch(path).etag
        for _ in range(3):
            answer = self._authorised("PATCH", path, body, {"If-Match": tag} if tag else {})
            if answer.status not in (412, 428):
                break
            tag = self.fetch(path).etag or "*"
        return answer

    def _authorised(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        answer = self._send(method, path, body, headers)
        if answer.status == 401 and self._credential and self._session_path:
            # The session vanished (R15). The credential worked before, so it is tried once more.
            self._session_path = None
            self.login(*self._credential)
            answer = self._send(method, path, body, headers)
        return answer

    # ── Transport ────────────────────────────────────────────────────────────────────────────

    def _send(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        headers: dict[str, str] | None = None,
        *,
        token: bool = True,
    ) -> Answer:
        """One request; redirects on the same host keep method and body (R17), and a busy BMC is
        asked again when it says (R12, R13)."""
        extra: dict[str, Any] = dict(headers or {})
        if not token:
            extra["X-Auth-Token"] = None  # requests leaves a header of None out
        deadline = time.monotonic() + self._timeout
        for _ in range(8):
            response = self._exchange(method, path, body, extra)
            if response.status in (301, 302, 307, 308) and "location" in response.headers:
                path = _path(response.headers["location"])
                continue
            pause = _retry_after(response)
            if response.status not in BUSY or pause is None:
                return response
            if time.monotonic() + pause > deadline:
                return response
            time.sleep(pause)
        return response

    def _exchange(self, method: str, path: str, body: Body | None, headers: Any) -> Answer:
        again = method == "GET"
        while True:
            try:
                with self._http.request(
                    method,
                    self._base + _path(path),
                    json=body,
                    headers=headers,
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    return self._read(response, path)
            except requests.Timeout as error:
                raise self._silent(f"no answer within {self._timeout:g} s") from error
            except requests.RequestException as error:
                if not again:
                    raise self._silent(f"the connection broke ({type(error).__name__})") from error
                again = False  # a kept-alive connection that the BMC closed: reading is harmless

    def _silent(self, what: str) -> Unreachable:
        return Unreachable(
            what,
            where=self.where,
            mend="check its address, cable and power; some BMCs need a minute after a restart",
        )

    def _read(self, response: requests.Response, path: str) -> Answer:
        deadline = time.monotonic() + self._timeout * 2
        raw = bytearray()
        for chunk in response.iter_content(65536):
            raw += chunk
            if len(raw) > BIGGEST or time.monotonic() > deadline:
                raise Failed(f"{path} does not end", where=self.where)
        headers = {k.lower(): v for k, v in response.headers.items()}
        return Answer(response.status_code, self._parse(bytes(raw), response, path), headers)

    def _parse(self, raw: bytes, response: requests.Response, path: str) -> Body:
        """JSON, or nothing; HTML where JSON is expected is named as such (R19)."""
        if not raw.strip():
            return {}
        try:
            body = json.loads(raw)
        except ValueError:
            if not response.ok:
                return {}  # the status says enough
            kind = response.headers.get("content-type", "no content type")
            raise Failed(
                f"{path} is no JSON ({kind}, {len(raw)} bytes)",
                where=self.where,
                mend="is this the address of a BMC? restart the BMC if it is",
            ) from None
        return body if isinstance(body, dict) else {}


def link(value: Any) -> str | None:
    """The path a Redfish link points to; None if it is no link."""
    target = value.get("@odata.id") if isinstance(value, dict) else None
    return target if isinstance(target, str) and target else None


def _path(url: str) -> str:
    """Only ever the BMC itself: of an absolute URL the path is used, the host is not."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _retry_after(answer: Answer) -> float | None:
    text = answer.headers.get("retry-after", "")
    return min(float(text), 60) if text.isdigit() else None
