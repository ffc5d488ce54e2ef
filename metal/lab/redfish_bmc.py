"""A Redfish BMC: HTTPS with sessions, accounts, power and boot, over a simulated machine.

Protocol: DMTF DSP0266 (sessions 13.3.4, ETags 6.5, status codes 8.5). Faults are switched at run
time through `faults`; see FAULTS. With `tree`, a recorded machine is served read-only instead.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from metal.lab.machine import Machine
from metal.lab.redfish_tree import ROOT, Body, machine_tree
from metal.lab.web import Certificate, WebServer

FAULTS = {
    "silent": "accepts connections and never answers",
    "slow": "needs `slowness` seconds for each answer",
    "flaky": "is busy at every third request",
    "html": "shows its log-in page where JSON is asked for",
    "etag-required": "refuses a PATCH without If-Match",
    "reset-ignored": "says yes to a reset and does nothing",
    "boot-override-ignored": "says yes to a boot override and does nothing",
    "refuses-but-does": "says 400 to a PATCH and does it",
    "password-policy": "refuses every new password",
    "no-disable": "cannot disable accounts",
    "lockout": "locks an account after three wrong passwords",
}
TRIES = 3


@dataclass
class Account:
    name: str
    password: str
    enabled: bool = True
    failures: int = 0


@dataclass
class RedfishBmc:
    """One BMC at host:port (0: any). `accounts` are user → password as delivered."""

    machine: Machine
    host: str
    port: int
    certificate: Certificate
    accounts: dict[str, str]
    faults: set[str] = field(default_factory=set)
    tree: dict[str, Body] | None = None
    slowness: float = 0.2
    failed_logins: int = 0
    requests: int = 0
    sessions: dict[str, str] = field(default_factory=dict)
    """Token → user; never more than one client should hold."""

    def __post_init__(self) -> None:
        self._slots = {
            f"{ROOT}/AccountService/Accounts/{i}": Account(user, password)
            for i, (user, password) in enumerate(self.accounts.items(), 2)
        }
        self._web: WebServer | None = None

    def start(self) -> "RedfishBmc":
        routes = [Route("/{path:path}", self._handle, methods=["GET", "POST", "PATCH", "DELETE"])]
        app = Starlette(routes=routes)
        self._web = WebServer(app, self.host, self.port, self.certificate)
        self._web.start()
        self.port = self._web.port
        return self

    def stop(self) -> None:
        if self._web:
            self._web.stop()
            self._web = None

    def works(self, user: str, password: str) -> bool:
        """Whether that credential logs in; a test's own look, it counts as no try."""
        account = self._account(user)
        return bool(account and account.enabled and account.password == password)

    # ── Requests ─────────────────────────────────────────────────────────────────────────────

    async def _handle(self, request: Request) -> Response:
        self.requests += 1
        if "silent" in self.faults:
            while "silent" in self.faults:
                await asyncio.sleep(0.05)
            # What was asked of a dead BMC is lost: it must not switch anything off later.
            return _error(503, "the service is starting")
        if "slow" in self.faults:
            await asyncio.sleep(self.slowness)
        if "flaky" in self.faults and self.requests % 3 == 0:
            return _error(503, "the service is busy", {"Retry-After": "0"})
        if "html" in self.faults:
            return HTMLResponse("<html><title>Log in</title></html>")
        path = request.url.path.rstrip("/") or "/"
        sessions = path == f"{ROOT}/SessionService/Sessions"
        if not (path == ROOT or (sessions and request.method == "POST")):
            refusal = self._unauthorised(request)
            if refusal:
                return refusal
        body = await _body(request)
        if request.method == "POST" and sessions:
            return self._log_in(body)
        if request.method == "GET":
            return self._get(path)
        return self._change(request, path, body)

    def _get(self, path: str) -> Response:
        body = self._resource(path)
        if body is None:
            return _error(404, f"there is no resource {path}")
        return JSONResponse(body, headers={"ETag": _etag(body), "OData-Version": "4.0"})

    def _resource(self, path: str) -> Body | None:
        if self.tree is not None and not path.startswith(f"{ROOT}/SessionService/Sessions"):
            return self.tree.get(path) or self.tree.get(path + "/")
        if path == f"{ROOT}/SessionService/Sessions":
            return {"Members": []}
        return machine_tree(self.machine, self._account_bodies()).get(path)

    def _change(self, request: Request, path: str, body: Body) -> Response:
        if request.method == "DELETE" and path.startswith(f"{ROOT}/SessionService/Sessions/"):
            self.sessions.pop(request.headers.get("x-auth-token", ""), None)
            return Response(status_code=204)
        if self.tree is not None:
            return _error(405, "a recorded machine is read-only")
        if request.method == "PATCH":
            return self._precondition(request, path) or self._patch(path, body)
        if request.method == "POST" and path == f"{ROOT}/Systems/1/Actions/ComputerSystem.Reset":
            return self._reset(str(body.get("ResetType")))
        if request.method == "POST" and path == f"{ROOT}/AccountService/Accounts":
            return self._create_account(body)
        return _error(405, f"{request.method} is not allowed on {path}")

    def _precondition(self, request: Request, path: str) -> Response | None:
        resource = self._resource(path)
        if resource is None:
            return _error(404, f"there is no resource {path}")
        given = request.headers.get("if-match")
        if given is None and "etag-required" in self.faults:
            return _error(428, "the request needs an If-Match header")
        if given not in (None, "*", _etag(resource)):
            return _error(412, "the ETag does not match")
        return None

    def _patch(self, path: str, body: Body) -> Response:
        if path == f"{ROOT}/Systems/1":
            response = self._patch_boot(body.get("Boot") or {})
        elif path in self._slots:
            response = self._patch_account(self._slots[path], body)
        else:
            return _error(405, f"{path} is read-only")
        if "refuses-but-does" in self.faults:
            return _error(400, "the property is read-only")
        return response

    # ── Power and boot ───────────────────────────────────────────────────────────────────────

    def _patch_boot(self, boot: Body) -> Response:
        once = (
            boot.get("BootSourceOverrideTarget") == "Pxe"
            and boot.get("BootSourceOverrideEnabled") == "Once"
        )
        if "boot-override-ignored" not in self.faults:
            self.machine.boot_once = "network" if once else None
        return Response(status_code=204)

    def _reset(self, kind: str) -> Response:
        machine = self.machine
        if kind not in ("On", "ForceOff", "ForceRestart", "GracefulShutdown", "PushPowerButton"):
            return _error(400, f"the value {kind} is not in the list of acceptable values")
        if kind == "ForceRestart" and machine.power == "off":
            return _error(400, "the operation is invalid while the system is off")
        if "reset-ignored" not in self.faults:
            turn_on = kind == "On" or (kind == "PushPowerButton" and machine.power == "off")
            if not turn_on:
                machine.power_off()
            if turn_on or kind == "ForceRestart":
                machine.power_on()
        return Response(status_code=204)

    # ── Accounts and sessions ────────────────────────────────────────────────────────────────

    def _account(self, user: str) -> Account | None:
        return next((a for a in self._slots.values() if a.name == user), None)

    def _account_bodies(self) -> dict[str, Body]:
        return {
            path: {
                "Id": path.rsplit("/", 1)[1],
                "Name": "User Account",
                "UserName": a.name,
                "RoleId": "Administrator",
                **({} if "no-disable" in self.faults else {"Enabled": a.enabled}),
                "Locked": self._locked(a),
            }
            for path, a in self._slots.items()
        }

    def _create_account(self, body: Body) -> Response:
        name, password = str(body.get("UserName")), str(body.get("Password"))
        if self._account(name):
            return _error(400, f"the account {name} exists")
        if refusal := self._policy(password):
            return refusal
        path = f"{ROOT}/AccountService/Accounts/{len(self._slots) + 2}"
        self._slots[path] = Account(name, password)
        return JSONResponse({"@odata.id": path}, 201, headers={"Location": path})

    def _patch_account(self, account: Account, body: Body) -> Response:
        if "Password" in body:
            if refusal := self._policy(str(body["Password"])):
                return refusal
            account.password, account.failures = str(body["Password"]), 0
        account.enabled = bool(body.get("Enabled", account.enabled))
        # Sessions of the account end with its password, as on real ones.
        self.sessions = {t: u for t, u in self.sessions.items() if u != account.name}
        return Response(status_code=204)

    def _policy(self, password: str) -> Response | None:
        if "password-policy" in self.faults or not 8 <= len(password) <= 20:
            return _error(400, "the password does not meet the policy")
        return None

    def _locked(self, account: Account) -> bool:
        return "lockout" in self.faults and account.failures >= TRIES

    def _checks_out(self, user: str, password: str) -> bool:
        account = self._account(user)
        same = hmac.compare_digest(
            (account.password if account else "").encode(), password.encode()
        )
        if account and same and account.enabled and not self._locked(account):
            account.failures = 0
            return True
        self.failed_logins += 1
        if account:
            account.failures += 1
        return False

    def _log_in(self, body: Body) -> Response:
        user = str(body.get("UserName"))
        if not self._checks_out(user, str(body.get("Password"))):
            return _error(401, "the authentication failed")
        token, number = secrets.token_hex(16), secrets.token_hex(4)
        self.sessions[token] = user
        path = f"{ROOT}/SessionService/Sessions/{number}"
        return JSONResponse(
            {"@odata.id": path, "UserName": user},
            201,
            headers={"X-Auth-Token": token, "Location": path},
        )

    def _unauthorised(self, request: Request) -> Response | None:
        if request.headers.get("x-auth-token", "") in self.sessions:
            return None
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic" and self._basic(given):
            return None
        return _error(401, "log in first", {"WWW-Authenticate": 'Basic realm="Redfish"'})

    def _basic(self, given: str) -> bool:
        try:
            user, _, password = base64.b64decode(given).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return self._checks_out(user, password)


async def _body(request: Request) -> Body:
    try:
        body = await request.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _etag(body: Body) -> str:
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return f'W/"{digest[:8]}"'


def _error(status: int, message: str, headers: Any = None) -> Response:
    info = {"@odata.type": "#Message.v1_1_1.Message", "Message": message}
    error = {"code": "Base.1.8.GeneralError", "message": message, "@Message.ExtendedInfo": [info]}
    return JSONResponse({"error": error}, status, headers=headers)
