"""A Redfish BMC: HTTPS with sessions, accounts, power, boot and drives, over a simulated machine.

Protocol: DMTF DSP0266 (sessions 13.3.4, ETags 6.5, status codes 8.5). Faults are switched at run
time through `faults`; see FAULTS in metal/lab/redfish_faults.py. With `tree`, a recorded machine
is served read-only instead.
"""

import asyncio
import hashlib
import json
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from metal.lab import redfish_actions
from metal.lab.machine import Machine
from metal.lab.redfish_faults import (
    AWAY,
    FAULTS,
    Body,
    endless,
    error,
    misshapen,
    one_a_page,
    packed,
)
from metal.lab.redfish_login import Logins
from metal.lab.redfish_services import LOG, ROOT, drives_at
from metal.lab.redfish_tree import expanded, machine_tree
from metal.lab.web import Certificate, WebServer

__all__ = ["FAULTS", "RedfishBmc"]

ACCOUNT_SERVICE = f"{ROOT}/AccountService"
ACCOUNTS, SESSIONS = f"{ACCOUNT_SERVICE}/Accounts", f"{ROOT}/SessionService/Sessions"
MOVED = {
    f"{ROOT}/Systems/": f"{ROOT}/Computers/Bay.",
    f"{ROOT}/AccountService": f"{ROOT}/Managers/1/Users",
    f"{ROOT}/Managers/1/VirtualMedia": f"{ROOT}/Drives",
}
"""Path of most → path of a BMC with the fault "moved"."""
BUSY_SECONDS = 1.0


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
    others: tuple[Machine, ...] = ()
    """Further servers behind it: Systems/2 and so on."""
    requests: int = 0

    def __post_init__(self) -> None:
        self.logins = Logins(ACCOUNTS, self.accounts, lambda fault: fault in self.faults)
        self.drives = redfish_actions.Drives(self.machine)
        self.asked: list[str] = []
        """What it was asked, such as "GET /redfish/v1", in order."""
        self._web: WebServer | None = None
        self._left: dict[str, int] = {}
        self._busy_until: float | None = None
        self._tags_refused: set[str] = set()

    def start(self) -> "RedfishBmc":
        routes = [Route("/{path:path}", self._handle, methods=["GET", "POST", "PATCH", "DELETE"])]
        app = Starlette(routes=routes)
        self._web = WebServer(app, self.host, self.port, self.certificate)
        if "old-tls" in self.faults:
            self._web.speak_old_tls()
        self._web.start()
        self.port = self._web.port
        return self

    def stop(self) -> None:
        if self._web:
            self._web.stop()
            self._web = None

    def works(self, user: str, password: str) -> bool:
        """Whether that credential logs in; a test's own look, it counts as no try."""
        account = self.logins.account(user)
        return bool(account and account.enabled and account.password == password)

    @property
    def sessions(self) -> dict[str, str]:
        """Token → user; never more than one client should hold."""
        return self.logins.sessions

    @property
    def failed_logins(self) -> int:
        return self.logins.failed

    # ── Requests ─────────────────────────────────────────────────────────────────────────────

    async def _handle(self, request: Request) -> Response:
        self.requests += 1
        self.asked.append(f"{request.method} {request.url.path}")
        if self._silent():
            while self._silent():
                await asyncio.sleep(0.05)
            # What was asked of a dead BMC is lost: it must not switch anything off later.
            return error(503, "the service is starting")
        if "slow" in self.faults:
            await asyncio.sleep(self.slowness)
        response = self._busy() or self._astray(request)
        if response is None:
            wrong = (misshapen(fault, self.slowness) for fault in list(self.faults))
            response = next((r for r in wrong if r is not None), None)
        return response or self._compressed(request, self._answer(request, await _body(request)))

    def _silent(self) -> bool:
        gone = self.logins.changed and "silent-after-password" in self.faults
        return gone or "silent" in self.faults

    def _busy(self) -> Response | None:
        if "flaky" in self.faults and self.requests % 3 == 0:
            return error(503, "the service is busy", {"Retry-After": "0"})
        if "busy-after-restart" in self.faults and self._still("busy-after-restart", 2):
            return error(503, "the service is starting")
        if "retry-after" in self.faults:
            self._busy_until = self._busy_until or time.monotonic() + BUSY_SECONDS * 0.9
            if time.monotonic() < self._busy_until:
                said = "Unable to run: data sources are unavailable. Retry in 1 seconds."
                return error(503, said, id="IDRAC.2.8.SYS518")
        return None

    def _astray(self, request: Request) -> Response | None:
        path = request.url.path
        if "redirect-loop" in self.faults:
            return RedirectResponse(path, 308)
        if "redirect-away" in self.faults:
            return RedirectResponse(AWAY, 308)
        if "redirect-sessions" in self.faults and path == SESSIONS:
            return RedirectResponse(f"https://{request.url.netloc}{path}/", 308)
        return None

    def _compressed(self, request: Request, response: Response) -> Response:
        if "gzip-always" in self.faults:
            if "gzip" not in request.headers.get("accept-encoding", ""):
                return error(406, "only gzip is to be had")
            return packed(response, said=True)
        return packed(response, said=False) if "gzip-unsaid" in self.faults else response

    def _answer(self, request: Request, body: Body) -> Response:
        path = self._found(request.url.path.rstrip("/"))
        logs_in = path == SESSIONS and request.method == "POST"
        open_to_all = path == ROOT and "root-needs-login" not in self.faults
        if not (open_to_all or logs_in) and (refusal := self._refusal(request, path)):
            return refusal
        if logs_in:
            return self.logins.open(SESSIONS, body)
        if request.method == "GET":
            query = parse_qs(request.url.query)
            astray = "skip-ignored" in self.faults and path.endswith("/Entries")
            skip = "0" if astray else query.get("$skip", ["0"])[0]
            return self._get(path, int(skip) if skip.isdigit() else 0, expand="$expand" in query)
        return self._moved(self._change(request, path, body))

    def _refusal(self, request: Request, path: str) -> Response | None:
        if "session-vanishes" in self.faults and self.requests % 5 == 0:
            self.sessions.clear()
        refusal = self.logins.refusal(request, path)
        if refusal and refusal.status_code == 401 and "session-vanishes" in self.faults:
            cut = misshapen("cut", 0)
            assert cut is not None
            cut.status_code = 401
            return cut
        return refusal

    # ── Reading ──────────────────────────────────────────────────────────────────────────────

    def _get(self, path: str, skip: int, *, expand: bool) -> Response:
        failing = path == ACCOUNT_SERVICE and "accounts-500" in self.faults
        if failing and self._still("accounts-500", 2):
            return error(500, "an internal error occurred")
        body = self._resource(path)
        if body is None:
            return error(404, f"there is no resource {path}")
        if expand and "expand-refused" in self.faults:
            return error(501, "$expand is not implemented")
        if expand and "expand-ignored" not in self.faults:
            body = expanded(body, self._resource)
        if "wrong-counts" in self.faults and "Members" in body:
            body = body | {"Members@odata.count": 0}
        if "paged-collections" in self.faults:
            body = one_a_page(body, path, skip)
        elif skip and isinstance(body.get("Members"), list):
            body = body | {"Members": body["Members"][skip:]}
        if "endless-paging" in self.faults and "Members" in body:
            body = endless(body, path, skip)
        headers = {"OData-Version": "4.0"}
        if "no-etag" not in self.faults:
            headers["ETag"] = self._etag(body, told=True)
        if "error-beside" in self.faults and path != ROOT:
            beside = {"message": "one sensor did not answer"}
            return self._moved(Json(body | {"error": beside}, 500, headers=headers))
        if path.startswith(drives_at(self.faults)) and "media-get-only" in self.faults:
            headers["Allow"] = "GET, HEAD"
        return self._moved(Json(body, headers=headers))

    def _resource(self, path: str) -> Body | None:
        if self.tree is not None and not path.startswith(SESSIONS):
            return self.tree.get(path) or _in_any_case(self.tree, path)
        if path == SESSIONS:
            return {"Members": []}
        if session := self.logins.session(path):
            return session
        if path == ROOT and "rootless" in self.faults and self.logins.opened < 2:
            return {"Id": "RootService", "RedfishVersion": "1.6.0"}
        bodies = self.logins.bodies()
        return machine_tree(self.machine, bodies, self.faults, self.others).get(path)

    def _etag(self, body: Body, *, told: bool) -> str:
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:8]
        return f'W/"{digest}-gzip"' if told and "etag-gzip" in self.faults else f'W/"{digest}"'

    def _found(self, path: str) -> str:
        """Where the resource of that path is for everybody else."""
        if "moved" not in self.faults:
            return path
        for usual, moved in MOVED.items():
            if path.startswith(moved):
                return path.replace(moved, usual, 1)
        return path + "/moved" if any(map(path.startswith, MOVED)) else path

    def _moved(self, response: Response) -> Response:
        if "moved" not in self.faults or not response.body:
            return response
        text = bytes(response.body).decode()
        for usual, moved in MOVED.items():
            text = text.replace(usual, moved)
        headers = {k: v for k, v in response.headers.items() if k != "content-length"}
        return Response(text, response.status_code, headers)

    # ── Changing ─────────────────────────────────────────────────────────────────────────────

    def _change(self, request: Request, path: str, body: Body) -> Response:
        if request.method == "DELETE" and path.startswith(f"{SESSIONS}/"):
            return self.logins.close(path)
        if self.tree is not None:
            return error(405, "a recorded machine is read-only")
        if "post-busy" in self.faults and self._still("post-busy", 2):
            said = "the system is in POST: nothing can be changed"
            return error(400, said, id="iLO.2.14.UnableToModifyDuringSystemPOST")
        if request.method == "PATCH":
            return self._precondition(request, path) or self._patch(path, body)
        if request.method == "POST":
            return self._post(path, body)
        return error(405, f"{request.method} is not allowed on {path}")

    def _post(self, path: str, body: Body) -> Response:
        for system, machine in self._machines().items():
            if path == f"{system}/Actions/ComputerSystem.Reset":
                kind = str(body.get("ResetType"))
                return redfish_actions.reset(machine, kind, self.faults)
        if path == ACCOUNTS:
            return self.logins.create(body)
        if path.startswith(drives_at(self.faults)) and "/Actions/" in path:
            return self.drives.act(path, body, self.faults)
        if path == f"{LOG}/Actions/LogService.ClearLog":
            return redfish_actions.clear_log(self.machine, body, self.faults)
        return error(405, f"POST is not allowed on {path}")

    def _patch(self, path: str, body: Body) -> Response:
        machine = self._machines().get(path.removesuffix("/Settings"))
        readonly = "settings-object" in self.faults and not path.endswith("/Settings")
        if machine and "Boot" in body and not readonly:
            response = redfish_actions.patch_boot(machine, body["Boot"], self.faults)
        elif path in self.logins.slots:
            response = self.logins.patch(path, body)
        elif path.startswith(drives_at(self.faults)):
            response = self.drives.patch(path, body, self.faults)
        else:
            return error(405, f"{path} is read-only")
        if "refuses-but-does" in self.faults:
            return error(400, "the property is read-only")
        return response

    def _precondition(self, request: Request, path: str) -> Response | None:
        resource = self._resource(path)
        if resource is None:
            return error(404, f"there is no resource {path}")
        given = request.headers.get("if-match")
        if given is None and "etag-required" in self.faults:
            return error(428, "the request needs an If-Match header")
        if given and "stale-etag" in self.faults and path not in self._tags_refused:
            self._tags_refused.add(path)
            return error(412, "the ETag does not match")
        if given not in (None, "*", self._etag(resource, told=False)):
            return error(412, "the ETag does not match")
        return None

    def _machines(self) -> dict[str, Machine]:
        """Path of each system → its machine."""
        all_of_them = enumerate((self.machine, *self.others), 1)
        return {f"{ROOT}/Systems/{i}": machine for i, machine in all_of_them}

    def _still(self, fault: str, times: int) -> bool:
        """True for the first `times` calls."""
        self._left.setdefault(fault, times)
        self._left[fault] -= 1
        return self._left[fault] >= 0


class Json(JSONResponse):
    """In ASCII: what a machine says may hold halves of surrogate pairs, which no UTF-8 can."""

    def render(self, content: object) -> bytes:
        return json.dumps(content).encode("ascii")


async def _body(request: Request) -> Body:
    try:
        body = await request.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _in_any_case(tree: dict[str, Body], path: str) -> Body | None:
    """An iLO links to /redfish/v1/systems/1/bios, and its paths are the same in any case."""
    wanted = path.rstrip("/").lower()
    return next((body for at, body in tree.items() if at.rstrip("/").lower() == wanted), None)
