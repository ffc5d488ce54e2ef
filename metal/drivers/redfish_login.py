"""Log-in to a Redfish service: sessions, basic authentication, the first password that must change.

A wrong password is tried once, or the BMC locks the account (R53). Quirk numbers (R…) are those of
docs/bmc-quirks.md.
"""

import contextlib
from base64 import b64encode
from typing import Any

from metal.drivers.redfish_answer import Answer, Body, link, path_of, without
from metal.drivers.redfish_asking import BUSY, RedfishAsking
from metal.drivers.redfish_budget import Budget
from metal.drivers.redfish_shape import items
from metal.model.errors import Failed, MetalError, NoSession, WrongPassword

ROOT = "/redfish/v1/"
MUST_CHANGE = ("PasswordChangeRequired", "SWC1908", "password must be changed")
NO_SUCH = (404, 405, 501)
"""What a web server says where there is no such thing to be asked for."""
SECRET_FROM = 8
"""Characters: "root" and "ADMIN" are words that a BMC shows everywhere."""
LOGOUT = 5.0
"""Seconds that a BMC gets to end a session: one that it keeps runs out by itself."""


class RedfishLogin(RedfishAsking):
    """Opens a session, keeps it, opens another where it vanished, ends it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shown: dict[str, str] = {}
        """The headers that say who we are."""
        self._credential: tuple[str, str] | None = None
        self._session_path: str | None = None
        self._collection: str | None = None
        self.root: Body = {}
        """The service root, as everybody may read it."""
        self._in_place: dict[str, Body] = {}
        """Path → a resource that was written where the link to it belongs."""
        self._memory: dict[str, Body] = {}
        """Path → what was read in this look."""
        self._remembering = False
        self._budget: Budget | None = None
        """What this look has cost; None outside of one."""
        self._expands = True
        """Until it fails to do what it offers."""
        self.must_change: str | None = None
        """Path of the account whose password must be changed first (R49), "" if not told."""

    def login(self, user: str, password: str) -> None:
        """Open a session: one try (R53). An older one of ours is closed once the new one stands."""
        before = self._session_path, self._shown
        self._memory.clear()  # another session may see more (R54)
        wanted = {"UserName": user, "Password": password}
        answer = self._send("POST", self._sessions(), wanted)
        token = answer.headers.get("x-auth-token")
        if answer.ok and token:
            self._shown = {"X-Auth-Token": token}
            self._session_path = path_of(
                answer.headers.get("location") or answer.body.get("@odata.id") or ""
            )
            self.must_change = account_to_change(answer)
        elif answer.ok or answer.status in (*NO_SUCH, *BUSY):
            self.met("R14")  # no session service, none left, or one that hands out no token
            self._login_basic(user, password, full=answer.status in BUSY)
        else:
            raise self._wrong(user, answer)
        self._credential = (user, password)
        if self.must_change is not None:
            self.met("R49")
        self._delete_session(*before)

    def without_password(self, value: Any) -> Any:
        """The same with … for the password of this session, if it is long enough to be one."""
        _user, password = self._credential or ("", "")
        return without(value, password) if len(password) >= SECRET_FROM else value

    def _login_basic(self, user: str, password: str, *, full: bool) -> None:
        both = b64encode(f"{user}:{password}".encode()).decode()
        self._session_path, self._shown = None, {"Authorization": f"Basic {both}"}
        answer = self._asked("GET", link(self.root.get("Systems")) or ROOT)
        self.must_change = account_to_change(answer)
        if not answer.ok and self.must_change is None:
            self._shown = {}
            wrong = self._wrong(user, answer)
            raise self._no_session(user, answer) if full and _denied(answer) else wrong

    def _no_session(self, user: str, answer: Answer) -> NoSession:
        return NoSession(
            f"no session is free, and without one it does not take the password of {user!r} "
            f"({answer.complaint}); one try was made",
            where=self.where,
            mend="end sessions in the BMC's web page, or wait until they run out; if there are "
            "none, the password is wrong",
        )

    def _wrong(self, user: str, answer: Answer) -> MetalError:
        if _denied(answer):
            return WrongPassword(
                f"wrong password for {user!r} ({answer.complaint}); one try was made, "
                "so that the BMC does not lock the account",
                where=self.where,
                mend="ask the donor for the password or reset the BMC to its factory state",
            )
        if answer.status in BUSY:
            return self._busy(f"too busy to log in ({answer.complaint})")
        return Failed(
            f"cannot log in as {user!r}: {answer.complaint}",
            where=self.where,
            mend="this may be no BMC, or one without Redfish: is the address right?"
            if answer.status in NO_SUCH
            else "restart the BMC if it stays so",
        )

    def _sessions(self) -> str:
        """Where sessions are opened; asked without a token, as a dead one makes BMCs say 401."""
        if self._collection is None:
            self.root = self.root or self._send("GET", ROOT).body
            links = self.root.get("Links")
            sessions = links.get("Sessions") if isinstance(links, dict) else None
            self._collection = link(sessions) or "/redfish/v1/SessionService/Sessions"
        return self._collection

    def logout(self) -> None:
        """Best effort: a session that cannot be deleted runs out by itself (R16)."""
        self._delete_session(self._session_path, self._shown)
        self.leave()

    def leave(self) -> None:
        """Without a word: the session runs out by itself, or is ended by `end_left`."""
        self._session_path = self._credential = None
        self._shown = {}
        self._wire.close()

    @property
    def kept_at(self) -> str:
        """The path of the session, "" where there is none, or where what was read of the BMC has
        no paths that hold from look to look."""
        return "" if self._in_place else self._session_path or ""

    def end_left(self, path: str) -> None:
        """End another session, if it is this account's: its number may be somebody else's now."""
        user, _password = self._credential or ("", "")
        if not path or path == self._session_path:
            return
        with contextlib.suppress(MetalError):
            if self._asked("GET", path).body.get("UserName") == user:
                self._delete_session(path, self._shown)

    def _delete_session(self, path: str | None, shown: dict[str, str]) -> None:
        if not path or not shown:
            return
        with contextlib.suppress(MetalError):
            answer = self._exchange("DELETE", path, None, shown, LOGOUT)
            if answer.status == 405:
                self.met("R16")

    def _authorised(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        answer = self._asked(method, path, body, headers)
        if answer.status != 401:
            return answer
        if self._credential and self._session_path:
            # The session vanished (R15). The credential worked before, so it is tried once more.
            self.met("R15")
            self._session_path = None
            self.login(*self._credential)
            return self._asked(method, path, body, headers)
        self._shown.pop("Authorization", None)  # not with every call: that would lock it (R53)
        return answer

    def _asked(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        return self._send(method, path, body, self._shown | (headers or {}))


def _denied(answer: Answer) -> bool:
    return answer.status in (400, 401, 403)


def account_to_change(answer: Answer) -> str | None:
    """Path of the account whose password must be changed first, "" if it is not named (R49)."""
    if not answer.names(*MUST_CHANGE):
        return None
    for message in answer.messages:
        for text in items(message.get("MessageArgs")):
            if "/Accounts/" in str(text):
                return path_of(str(text))
    return ""
