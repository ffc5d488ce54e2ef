"""One logged-in Redfish session: requests, log-in, ETags, the BMCs' bad manners in transport.

`requests` and not pyghmi.redfish: that one waits 60 s, logs in again by itself (a wrong password
must be tried once, or the BMC locks the account) and hides ETags and links, where most quirks sit.
Quirk numbers (R…) are those of the project's list of BMC quirks, see docs/bmc-quirks.md.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import requests

from metal.drivers.pins import (
    handshake_failure,
    pinned_session,
    seen_certificate,
    seen_fingerprint,
    seen_tls,
)
from metal.drivers.redfish_answer import (
    BIGGEST,
    Answer,
    Body,
    host_of,
    link,
    parsed,
    path_of,
    without,
)
from metal.drivers.redfish_shape import items, section
from metal.model.errors import Failed, MetalError, Refused, Unreachable, WrongPassword

__all__ = ["BIGGEST", "ROOT", "Answer", "Body", "Missing", "RedfishSession", "link"]

ROOT = "/redfish/v1/"
PAGES = 50
MEMBERS = 1000
"""Of a collection. No machine has as many parts; each of them costs a request."""
BUSY = (429, 503)
ASKED_AGAIN = 3
"""How often a busy BMC that does not say when is asked again (R13)."""
PAUSE = 3.0
CHANGED = (
    "if you know why it changed (new firmware, a new board, a reset), compare the fingerprint at "
    "the machine itself, then `metal bmc repin SERVER`; if not, somebody may sit in between"
)
REDIRECTS = (301, 302, 307, 308)
FULL = ("RAC0218", "SessionLimitExceeded", "maximum number of", "sessions")
MUST_CHANGE = ("PasswordChangeRequired", "SWC1908", "password must be changed")
IN_POST = ("UnableToModifyDuringSystemPOST", "during POST", "during system POST")


class Missing(Failed):
    """There is no such resource: a link that dangles."""


class Denied(Failed):
    """A Redfish service says that this is not for who is not logged in, or not for this account."""


class Busy(Unreachable):
    """It is there, and says that it cannot answer now."""


class RedfishSession:
    """Log in with `login`, then get/patch/post. Not for several threads at once."""

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
        """`timeout` s for a whole answer; `settle` s are little for a server to start (R09)."""
        self.where = f"BMC {address}"
        self._base = f"https://{f'[{address}]' if ':' in address else address}:{port}"
        self._timeout, self._settle, self._legacy = timeout, settle, legacy_tls
        self._http = pinned_session(pin, timeout=timeout, mend=CHANGED, legacy_tls=legacy_tls)
        self._http.headers.update(
            {"Accept": "application/json", "OData-Version": "4.0", "Accept-Encoding": "gzip"}
        )
        self._credential: tuple[str, str] | None = None
        self._session_path: str | None = None
        self._collection: str | None = None
        self.root: Body = {}
        """The service root, as it was when the log-in was looked for."""
        self.must_change: str | None = None
        """Path of the account whose password must be changed first (R49), "" if not told."""
        self.quirks: set[str] = set()
        """Numbers of docs/bmc-quirks.md that were met."""
        self.slowest_call = 0.0
        """Seconds."""

    @property
    def tls_version(self) -> str | None:
        return seen_tls(self._http)

    @property
    def certificate_expires(self) -> str | None:
        """ISO date; None where it cannot be read."""
        certificate = seen_certificate(self._http)
        return certificate.not_valid_after_utc.date().isoformat() if certificate else None

    @property
    def certificate_self_signed(self) -> bool | None:
        certificate = seen_certificate(self._http)
        return certificate.issuer == certificate.subject if certificate else None

    @property
    def fingerprint(self) -> str | None:
        return seen_fingerprint(self._http)

    def met(self, quirk: str) -> None:
        self.quirks.add(quirk)

    # ── Log-in ───────────────────────────────────────────────────────────────────────────────

    def login(self, user: str, password: str) -> None:
        """Open a session: one try (R53). An older one of ours is closed once the new one stands."""
        before = self._session_path, self._http.headers.get("X-Auth-Token")
        wanted = {"UserName": user, "Password": password}
        answer = self._send("POST", self._sessions(), wanted, token=False)
        token = answer.headers.get("x-auth-token")
        if answer.ok and token:
            self._http.auth = None
            self._http.headers["X-Auth-Token"] = token
            self._session_path = path_of(
                answer.headers.get("location") or answer.body.get("@odata.id") or ""
            )
            self.must_change = _account_to_change(answer)
        elif answer.ok or answer.status in (404, 405, 501, *BUSY):
            self.met("R14")  # no session service, none left, or one that hands out no token
            self._login_basic(user, password)
        else:
            raise self._wrong(user, answer)
        self._credential = (user, password)
        if self.must_change is not None:
            self.met("R49")
        self._delete_session(*before)

    def _login_basic(self, user: str, password: str) -> None:
        self._http.headers.pop("X-Auth-Token", None)
        self._session_path, self._http.auth = None, (user, password)
        answer = self._send("GET", link(self.root.get("Systems")) or ROOT)
        self.must_change = _account_to_change(answer)
        if not answer.ok and self.must_change is None:
            self._http.auth = None
            raise self._wrong(user, answer)

    def _wrong(self, user: str, answer: Answer) -> MetalError:
        if answer.status in (400, 401, 403):
            return WrongPassword(
                f"wrong password for {user!r} ({answer.complaint}); one try was made, "
                "so that the BMC does not lock the account",
                where=self.where,
                mend="ask the donor for the password or reset the BMC to its factory state",
            )
        if answer.status in BUSY:
            return self._busy(f"too busy to log in ({answer.complaint})")
        return Failed(f"cannot log in as {user!r}: {answer.complaint}", where=self.where)

    def _sessions(self) -> str:
        """Where sessions are opened; asked without a token, as a dead one makes BMCs say 401."""
        if self._collection is None:
            self.root = self._send("GET", ROOT, token=False).body
            links = self.root.get("Links")
            sessions = links.get("Sessions") if isinstance(links, dict) else None
            self._collection = link(sessions) or "/redfish/v1/SessionService/Sessions"
        return self._collection

    def logout(self) -> None:
        """Best effort: a session that cannot be deleted runs out by itself (R16)."""
        self._delete_session(self._session_path, self._http.headers.get("X-Auth-Token"))
        self._session_path = self._credential = self._http.auth = None
        self._http.close()

    def _delete_session(self, path: str | None, token: str | bytes | None) -> None:
        if not path or not token:
            return
        with contextlib.suppress(requests.RequestException, Refused, ValueError):
            answer = self._http.delete(
                self._url(path),
                headers={"X-Auth-Token": token},
                timeout=min(5, self._timeout),
                allow_redirects=False,
                stream=True,
            )
            if answer.status_code == 405:
                self.met("R16")
            answer.close()

    # ── Resources ────────────────────────────────────────────────────────────────────────────

    def get(self, path: str) -> Body:
        """The resource. Failed names path and status when there is none."""
        return self.fetch(path).body

    def fetch(self, path: str) -> Answer:
        """Like `get`, with status, ETag and headers."""
        answer = self._authorised("GET", path)
        if answer.status in BUSY:
            raise self._busy(f"too busy to show {path} ({answer.complaint})")
        if answer.status == 403 and answer.names(*MUST_CHANGE):
            self.must_change = _account_to_change(answer)
            raise Refused(
                "it shows nothing before the password it was delivered with is changed",
                where=self.where,
                mend="enrol it: that sets a new password first of all",
            )
        whole = answer.status == 500 and "@odata.id" in answer.body  # beside an error (R20)
        if whole:
            self.met("R20")
        if not (answer.ok or whole):
            kind = Missing if answer.status in (404, 410) else Failed
            if answer.status in (401, 403) and answer.of_redfish:
                kind = Denied
            raise kind(f"cannot read {path}: {answer.complaint}", where=self.where)
        if not answer.body:
            raise Failed(
                f"cannot read {path}: the answer is empty",
                where=self.where,
                mend="restart the BMC if it stays so",
            )
        return answer

    def answers(self) -> bool:
        """Whether the BMC is there at all, after it let something go unanswered."""
        try:
            self._send("GET", ROOT, token=False)
        except (Unreachable, Failed):
            return False
        return True

    def members(self, path: str) -> Iterator[str]:
        """Paths of a collection's members; follows pages (R22), ignores counts (R24).

        Failed where they do not end: half a list would pass for a whole one.
        """
        seen: set[str] = set()
        for body in self.pages(path):
            for member in items(body.get("Members")) or items(_older(body).get("Member")):
                target = link(member)
                if target and target not in seen:
                    if len(seen) >= MEMBERS:
                        what = f"{path} has no end: {MEMBERS} members were read"
                        raise Failed(what, where=self.where)
                    seen.add(target)
                    yield target

    def pages(self, path: str, most: int = PAGES) -> Iterator[Body]:
        """The bodies of a collection, page by page."""
        seen: set[str] = set()
        page: str | None = path
        while page and page not in seen:
            if len(seen) >= most:
                raise Failed(f"{path} has no end: {most} pages were read", where=self.where)
            seen.add(page)
            body = self.get(page)
            yield body
            following = body.get("Members@odata.nextLink") or body.get("@odata.nextLink")
            page = following if isinstance(following, str) else link(following)
            if page:
                self.met("R22")

    def post(self, path: str, body: Body) -> Answer:
        return self._after_post(lambda: self._authorised("POST", path, body))

    def patch(self, path: str, body: Body) -> Answer:
        """With If-Match where the resource has an ETag; a stale one is read anew (R01, R02)."""
        return self._after_post(lambda: self._patch(path, body))

    def patch_blindly(self, path: str, body: Body) -> Answer:
        """Without a look at the resource first, as it may not be shown yet (R49)."""
        answer = self._authorised("PATCH", path, body)
        if answer.status in (412, 428):
            return self._authorised("PATCH", path, body, {"If-Match": "*"})
        return answer

    def _patch(self, path: str, body: Body) -> Answer:
        shown = self.fetch(path)
        tag = shown.etag
        for _ in range(3):
            answer = self._authorised("PATCH", path, body, {"If-Match": tag} if tag else {})
            if answer.ok and shown.tag_was_changed:
                self.met("R03")
            if answer.status not in (412, 428):
                break
            self.met("R02" if answer.status == 412 else "R01")
            shown = self.fetch(path)
            tag = shown.etag or "*"
        return answer

    def _after_post(self, act: Any) -> Answer:
        """HPE refuses changes while the server starts: they are made once it has (R09)."""
        deadline, pause = time.monotonic() + self._settle * 5, min(0.05, self._settle)
        while True:
            answer: Answer = act()
            if answer.ok or not answer.names(*IN_POST) or time.monotonic() > deadline:
                return answer
            self.met("R09")
            time.sleep(pause)
            pause = min(pause * 2, 10)

    def _authorised(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        answer = self._send(method, path, body, headers)
        if answer.status != 401:
            return answer
        if self._credential and self._session_path:
            # The session vanished (R15). The credential worked before, so it is tried once more.
            self.met("R15")
            self._session_path = None
            self.login(*self._credential)
            return self._send(method, path, body, headers)
        self._http.auth = None  # not again with every call: that would lock the account (R53)
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
        """One request. A busy BMC is asked again when it says, or a little later (R12, R13)."""
        extra: dict[str, Any] = dict(headers or {})
        if not token:
            extra["X-Auth-Token"] = None  # requests leaves a header of None out
        deadline, asked = time.monotonic() + 3 * self._timeout, 0
        while True:
            answer = self._follow(method, path, body, extra)
            if answer.status not in BUSY or (method == "POST" and answer.names(*FULL)):
                return answer
            said, asked = answer.pause, asked + 1
            pause = said if said is not None else min(PAUSE, self._timeout / 10)
            late = time.monotonic() + pause > deadline
            if late or (said is None and asked > ASKED_AGAIN):
                return answer
            self.met("R13" if said is None else "R12")
            time.sleep(pause)

    def _follow(self, method: str, path: str, body: Body | None, headers: Any) -> Answer:
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
                host = host_of(where_to)
                away = f" (to {host}, which is not asked)" if host else ""
                raise Failed(
                    f"it redirects without end{away}",
                    where=self.where,
                    mend="is this the address of the BMC itself, and no proxy's?",
                )
            self.met("R17")

    def _exchange(self, method: str, path: str, body: Body | None, headers: Any) -> Answer:
        again = method == "GET"
        while True:
            begun = time.monotonic()
            try:
                with self._request(method, path, body, headers) as response:
                    answer = self._read(response, path)
                    if secret := (body or {}).get("Password"):
                        answer = replace(answer, body=without(answer.body, secret))
                    self.slowest_call = max(self.slowest_call, time.monotonic() - begun)
                    return answer
            except requests.RequestException as error:
                if isinstance(error, requests.Timeout) or "timed out" in str(error):
                    raise self._silent(f"no answer within {self._timeout:g} s") from error
                if failure := handshake_failure(error, self.where, self._legacy):
                    raise failure from error
                if not again:
                    raise self._silent(f"the connection broke ({type(error).__name__})") from error
                again = False  # a kept-alive connection that the BMC closed: reading is harmless

    def _request(
        self, method: str, path: str, body: Body | None, headers: Any
    ) -> requests.Response:
        """Without the cookies, hooks and environment that a requests.Session looks after: no BMC
        needs them, and they are a sixth of a call's CPU."""
        merged = {k: v for k, v in {**self._http.headers, **headers}.items() if v is not None}
        try:
            url = self._url(path)
            wanted = requests.Request(method, url, headers=merged, json=body, auth=self._http.auth)
            prepared = wanted.prepare()
        except ValueError as error:  # of the URL's parts, its characters, or requests' own
            raise Failed(f"{path!r} is no path of a resource", where=self.where) from error
        return self._http.get_adapter(url).send(prepared, stream=True, verify=False)

    def _url(self, path: str) -> str:
        """Of the BMC itself, never of another host: "@elsewhere/x" behind our address would be.

        ValueError: it is no path.
        """
        plain = path_of(path)
        if not plain.startswith("/"):
            raise ValueError("no path")
        return self._base + plain

    def _silent(self, what: str) -> Unreachable:
        return Unreachable(
            what,
            where=self.where,
            mend="check its address, cable and power; some BMCs need a minute after a restart",
        )

    def _busy(self, what: str) -> Busy:
        return Busy(what, where=self.where, mend="wait a minute; restart the BMC if it stays so")

    def _read(self, response: requests.Response, path: str) -> Answer:
        """The deadline for the whole answer is kept by the connection."""
        raw = bytearray()
        try:
            for chunk in response.iter_content(65536):
                raw += chunk
                if len(raw) > BIGGEST:
                    raise Failed(
                        f"{path} is larger than any resource ({BIGGEST >> 20} MiB)",
                        where=self.where,
                        mend="restart the BMC; an update of its firmware may help",
                    )
        except requests.exceptions.ChunkedEncodingError:
            if response.status_code < 400:
                raise
            raw.clear()  # the status says enough, such as a 401 with half a body (R15)
        headers = {k.lower(): v for k, v in response.headers.items()}
        body = parsed(bytes(raw))
        if body is None and response.ok:
            kind = response.headers.get("content-type", "no content type")
            raise Failed(
                f"{self._url(path)} is no JSON ({kind}, {len(raw)} bytes)",
                where=self.where,
                mend="is this the address of a BMC? restart the BMC if it is",
            )
        return Answer(response.status_code, body or {}, headers)


def _older(collection: Body) -> Body:
    """Where an iLO 4 keeps the members of what came before Redfish."""
    return section(collection.get("links"))


def _account_to_change(answer: Answer) -> str | None:
    """Path of the account whose password must be changed first, "" if it is not named (R49)."""
    if not answer.names(*MUST_CHANGE):
        return None
    for message in answer.messages:
        for text in items(message.get("MessageArgs")):
            if "/Accounts/" in str(text):
                return path_of(str(text))
    return ""
