"""The log-ins of a Redfish BMC of the lab: accounts, sessions, and what is odd about them.

Protocol: DMTF DSP0266, 13.3 (authentication, sessions, password change required).
"""

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from metal.lab.redfish_faults import Body, error

TRIES = 3
SLOTS = 16
LEAST, MOST, CUT = 8, 20, 12
SHORT = ("short-passwords", "short-unsaid", "short-as-text")
"""Faults with which 12 is the most."""
CLASSES = (r"[a-z]", r"[A-Z]", r"[0-9]", r"[^a-zA-Z0-9]")


@dataclass
class Account:
    name: str
    password: str
    enabled: bool = True
    failures: int = 0
    role: str = "Administrator"
    refusals: int = 0
    """How often a new password is still taken for wrong (password-late)."""
    former: str | None = None
    """One that still opens it (password-both)."""


class Logins:
    """Accounts by path, sessions by token. `has` tells whether a fault is on."""

    def __init__(self, base: str, accounts: dict[str, str], has: Callable[[str], bool]) -> None:
        self.base, self.has = base, has
        self.slots = {
            f"{base}/{i}": Account(user, password)
            for i, (user, password) in enumerate(accounts.items(), 2)
        }
        self.sessions: dict[str, str] = {}
        self.paths: dict[str, str] = {}
        """Of a session that was opened → its token."""
        self.opened = 0
        self.changed = False
        """Whether it was given a password."""
        self.failed = 0
        self.delivered = {a.name: a.password for a in self.slots.values()}

    def account(self, user: str) -> Account | None:
        return next((a for a in self.slots.values() if a.name == user and user), None)

    def password_of(self, user: str) -> str | None:
        """What opens it over IPMI, too; None: nobody of that name may."""
        account = self.account(user)
        return account.password if account and account.enabled else None

    def bodies(self) -> dict[str, Body]:
        if self.has("fixed-slots"):
            for i in range(1, SLOTS + 1):
                self.slots.setdefault(f"{self.base}/{i}", Account("", "", enabled=False))
        return {path: self._body(path, account) for path, account in self.slots.items()}

    def _body(self, path: str, account: Account) -> Body:
        return {
            "Id": path.rsplit("/", 1)[1],
            "Name": "User Account",
            "UserName": account.name,
            "RoleId": account.role,
            **({} if self.has("no-disable") else {"Enabled": account.enabled}),
            "Locked": self._locked(account),
            "PasswordChangeRequired": self.must_change(account.name),
        }

    def must_change(self, user: str) -> bool:
        account = self.account(user)
        first = bool(account) and self.delivered.get(user) == (account and account.password)
        return first and self.has("password-change-required")

    # ── Changing ─────────────────────────────────────────────────────────────────────────────

    def create(self, body: Body) -> Response:
        name, password = str(body.get("UserName")), str(body.get("Password"))
        if self.has("fixed-slots") or self.has("accounts-read-only"):
            return error(405, "the collection takes no POST")
        if self.account(name):
            return error(400, f"the account {name} exists")
        if refusal := self._policy(password):
            return refusal
        path = f"{self.base}/{len(self.slots) + 2}"
        self.slots[path] = Account(name, "")
        self._set(self.slots[path], password)
        if self.has("password-500"):
            return error(500, "an internal error occurred")
        return JSONResponse({"@odata.id": path}, 201, headers={"Location": path})

    def patch(self, path: str, body: Body) -> Response:
        account = self.slots[path]
        if self.has("accounts-read-only"):
            return error(405, "accounts are read-only")
        if "RoleId" in body and self.has("role-read-only"):
            return error(400, "the property RoleId is read-only")
        if "Password" in body:
            if refusal := self._policy(str(body["Password"])):
                return refusal
            self._set(account, str(body["Password"]))
        account.name = str(body.get("UserName", account.name))
        account.role = str(body.get("RoleId", account.role))
        account.enabled = bool(body.get("Enabled", account.enabled))
        if self.has("self-change-401") or not account.enabled:
            self.end_sessions(account.name)
        if "Password" in body and self.has("password-500"):
            return error(500, "an internal error occurred")
        return Response(status_code=204)

    def _set(self, account: Account, password: str) -> None:
        self.changed = True
        if self.has("password-ignored"):
            return
        account.former = account.password if self.has("password-both") else None
        account.password = password[:CUT] if self.has("password-cut") else password
        account.failures, account.refusals = 0, int(self.has("password-late"))

    def end_sessions(self, user: str) -> None:
        self.sessions = {t: u for t, u in self.sessions.items() if u != user}

    def _policy(self, password: str) -> Response | None:
        most = 12 if any(map(self.has, SHORT)) else MOST
        strict = self.has("stricter-policy")
        good = LEAST <= len(password) <= most and not self.has("password-policy")
        if self.has("no-signs"):
            good = good and password.isalnum()
        if strict:
            classes = all(re.search(c, password) for c in CLASSES)
            good = good and len(password) >= 12 and classes
        told = f" (it is {password})" if self.has("echoes-password") else ""
        return (
            None
            if good
            else error(
                400, f"the password does not meet the policy{told}", args=[password] if told else ()
            )
        )

    # ── Logging in ───────────────────────────────────────────────────────────────────────────

    def open(self, base: str, body: Body) -> Response:
        full = self.has("session-limit") or (self.has("one-session") and self.sessions)
        if full or (self.changed and self.has("full-after-password")):
            return error(
                503, "the maximum number of user sessions is reached", id="IDRAC.2.8.RAC0218"
            )
        user = str(body.get("UserName"))
        if not self.checks_out(user, str(body.get("Password"))):
            return error(401, "the authentication failed")
        token = secrets.token_hex(16)
        self.sessions[token] = user
        self.opened += 1
        path = f"{base}/{secrets.token_hex(4)}"
        self.paths[path] = token
        answer: Body = {"@odata.id": path, "UserName": user}
        if self.must_change(user):
            answer["@Message.ExtendedInfo"] = [self._change_first(user)]
        shown = {"Location": path} if self.has("no-token") else {"X-Auth-Token": token}
        return JSONResponse(answer, 201, headers={"Location": path} | shown)

    def _change_first(self, user: str) -> Body:
        path = next(p for p, a in self.slots.items() if a.name == user)
        return {
            "MessageId": "Base.1.8.PasswordChangeRequired",
            "Message": f"the password must be changed before anything else, see {path}",
            "MessageArgs": [path],
        }

    def session(self, path: str) -> Body | None:
        user = self.sessions.get(self.paths.get(path, ""))
        return {"@odata.id": path, "UserName": user} if user else None

    def close(self, path: str) -> Response:
        if self.has("logout-405"):
            return error(405, "this session cannot be ended")
        if self.sessions.pop(self.paths.pop(path, ""), None) is None:
            return error(404, "there is no such session")
        return Response(status_code=204)

    def refusal(self, request: Request, path: str) -> Response | None:
        """Why this request is not let in; None if it is."""
        token = request.headers.get("x-auth-token", "")
        user = self.sessions.get(token) or self._basic(request)
        if user is None:
            return error(401, "log in first", {"WWW-Authenticate": 'Basic realm="Redfish"'})
        if self.must_change(user) and not path.startswith(self.base):
            info = self._change_first(user)
            return error(403, info["Message"], id=info["MessageId"], args=info["MessageArgs"])
        return None

    def _basic(self, request: Request) -> str | None:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic" or self.has("no-basic"):
            return None
        try:
            user, _, password = base64.b64decode(given).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return user if self.checks_out(user, password) else None

    def _locked(self, account: Account) -> bool:
        return self.has("lockout") and account.failures >= TRIES

    def checks_out(self, user: str, password: str) -> bool:
        account = self.account(user)
        known = [account.password, account.former] if account else [""]
        same = any(hmac.compare_digest((k or "").encode(), password.encode()) for k in known)
        if account and same and account.enabled and not self._locked(account):
            if account.refusals:
                account.refusals -= 1
                return False
            account.failures = 0
            return True
        self.failed += 1
        if account:
            account.failures += 1
        return False
