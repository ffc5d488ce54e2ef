"""The boot service: what a server's firmware and installer fetch over HTTP, and report back.

    GET  /boot?mac=…&uuid=…          an iPXE script: the installer, or "boot from disk"
    GET  /boot.cfg?mac=…&uuid=…      the same for Debian's signed GRUB, under Secure Boot
    GET  /firmware/FILE              iPXE or the signed loaders, for firmware that boots over HTTP
    GET  /installer/SUITE/FILE       linux and initrd.gz of the Debian installer
    GET  /preseed/TOKEN              the answers of one install, handed out exactly once
    GET  /media/SERVER/ADDRESS.iso   the medium of one install, for its BMC to read piece by piece
    POST /report/TOKEN/PHASE         how far it is; details as JSON or as a form, at most 16 KiB
    GET  /healthz                    requests and refusals since the start

and what the live system fetches (metal/drivers/netboot_live.py). As an HTTP proxy it hands out
packages (metal/drivers/package_cache.py).
It knows HTTP only; what is answered is the desk's business (metal/install/desk.py).
"""

import json
import re
import threading
from collections import Counter
from ipaddress import IPv4Address, IPv6Network, ip_address
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl

from metal.drivers.grub import CONFIG, LOADERS
from metal.drivers.netboot_body import Refusal, body_of
from metal.drivers.netboot_live import LiveDesk, live_routes
from metal.drivers.package_cache import PackageCache
from metal.drivers.sendfile import offered
from metal.model.errors import BadInput, MetalError, Refused, Unreachable
from metal.model.facts import Loader

REPORT_BYTES = 16 * 1024
AT_ONCE = 256
"""Requests in work at the same time; more are told to come back (503), as iPXE and wget do."""
EACH = 64
"""Of them from one address, or one /64 of IPv6: who fetches and reads nothing leaves room. Many
servers may be behind one address (NAT, a package proxy), each of which asks for a few at once."""
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TOKEN = re.compile(r"[A-Za-z0-9_-]{20,128}")
SERVER = re.compile(r"[a-z][a-z0-9-]{0,39}")
PHASES = frozenset({"partitioned", "base", "finished", "up"})
"""What a machine may report of itself; the earlier phases are seen by the service."""
SUITES = frozenset({"bookworm", "trixie"})
FILES = frozenset({"linux", "initrd.gz"})
FIRMWARE = frozenset({"undionly.kpxe", "snponly.efi", *LOADERS, CONFIG})


class Desk(Protocol):
    """Who decides what is handed out. Called from many threads at once."""

    def script(self, mac: str, uuid: str | None, loader: Loader = "ipxe") -> str:
        """What a machine starts, in its loader's words: its installer, or "boot from disk"."""

    def preseed(self, token: str) -> str | None:
        """The answers of that install; None for an unknown token, Refused the second time."""

    def report(self, token: str, phase: str, details: dict[str, Any]) -> bool:
        """Note a phase; False for an unknown token, Refused when it cannot be that far."""

    def file(self, suite: str, name: str) -> Path | None:
        """A file of the installer; None if it was not fetched."""

    def medium(self, server: str, address: str) -> Path | None:
        """The medium of the server's open install; None where there is none at that address."""


def boot_app(
    desk: Desk,
    firmware: Path | None = None,
    live: LiveDesk | None = None,
    packages: PackageCache | None = None,
) -> Any:
    """The ASGI app of the boot service; `firmware` is the folder that iPXE itself comes from.

    `live`: who hands out the live system's jobs; without it there are none. `packages`: answers
    requests for whole URLs, as a proxy gets them; without it they are unknown paths.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    service = _Service(desk, firmware, live)
    app = Starlette(
        routes=[
            Route("/boot", service.boot),
            Route("/boot.cfg", service.boot_by_grub),
            Route("/firmware/{name:path}", service.firmware),
            Route("/installer/{suite}/{name}", service.installer),
            Route("/media/{server}/{address}.iso", service.medium),
            Route("/preseed/{token}", service.preseed, methods=["GET"]),
            Route("/report/{token}/{phase}", service.report, methods=["POST"]),
            Route("/healthz", service.healthz),
            *(live_routes(live, service.count) if live else ()),
        ]
    )
    return _Counted(app, service, packages)


class _Service:
    """The routes. Everything a machine sends is checked here before the desk sees it."""

    def __init__(self, desk: Desk, firmware: Path | None, live: LiveDesk | None) -> None:
        self.desk, self._firmware, self._live = desk, firmware, live
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    async def boot(self, request: Any) -> Any:
        return await self._script(request, "ipxe")

    async def boot_by_grub(self, request: Any) -> Any:
        return await self._script(request, "grub")

    async def _script(self, request: Any, loader: Loader) -> Any:
        mac = request.query_params.get("mac", "").lower().replace("-", ":")
        uuid = request.query_params.get("uuid", "").lower() or None
        if not MAC.fullmatch(mac) or (uuid and not UUID.fullmatch(uuid)):
            raise Refusal(400, "bad_request", "mac=02:00:5e:00:00:01 and uuid=… are wanted")
        script = await _in_thread(self._live.script, mac, uuid, loader) if self._live else None
        script = script or await _in_thread(self.desk.script, mac, uuid, loader)
        self.count("scripts")
        return _text(script)

    async def firmware(self, request: Any) -> Any:
        """iPXE, for UEFI HTTP boot; TFTP hands out the same files."""
        from starlette.responses import FileResponse

        name = request.path_params["name"].lstrip("/")  # shim asks for /firmware//grubx64.efi
        file = self._firmware / name if self._firmware and name in FIRMWARE else None
        if file is None or not file.is_file():
            raise Refusal(404, "unknown_file", "no such file")
        return FileResponse(file, media_type="application/octet-stream")

    async def installer(self, request: Any) -> Any:
        from starlette.responses import FileResponse

        suite, name = request.path_params["suite"], request.path_params["name"]
        known = suite in SUITES and name in FILES
        file = await _in_thread(self.desk.file, suite, name) if known else None
        if file is None:
            raise Refusal(404, "unknown_file", "no such file")
        return FileResponse(file, media_type="application/octet-stream")

    async def medium(self, request: Any) -> Any:
        """A BMC asks for its size by HEAD, then for the pieces that the server reads (Range)."""
        from starlette.responses import FileResponse

        server, address = request.path_params["server"], request.path_params["address"]
        known = SERVER.fullmatch(server) and TOKEN.fullmatch(address)
        file = await _in_thread(self.desk.medium, server, address) if known else None
        if file is None:
            raise Refusal(404, "unknown_medium", "no such medium")
        self.count("media")
        headers = {"Cache-Control": "no-store"}
        return FileResponse(file, media_type="application/octet-stream", headers=headers)

    async def preseed(self, request: Any) -> Any:
        if request.method != "GET":
            # Starlette answers HEAD as GET without the body: that would use the preseed up.
            raise Refusal(405, "bad_request", "GET it")
        token = _token(request)
        try:
            answers = await _in_thread(self.desk.preseed, token)
        except Refused as error:
            raise Refusal(410, "preseed_again", "handed out before, once is enough") from error
        if answers is None:
            raise Refusal(404, "unknown_token", "no such install")
        return _text(answers, {"Cache-Control": "no-store"})

    async def report(self, request: Any) -> Any:
        token, phase = _token(request), request.path_params["phase"]
        if phase not in PHASES:
            raise Refusal(404, "unknown_phase", "phases: " + ", ".join(sorted(PHASES)))
        details = _details(await body_of(request, REPORT_BYTES))
        try:
            known = await _in_thread(self.desk.report, token, phase, details)
        except Refused as error:
            raise Refusal(409, "report_refused", error.what) from error
        except BadInput as error:
            raise Refusal(400, "bad_report", error.what) from error
        if not known:
            raise Refusal(404, "unknown_token", "no such install")
        return _text("noted\n")

    async def healthz(self, _request: Any) -> Any:
        from starlette.responses import JSONResponse

        with self._lock:
            return JSONResponse({"ok": True, "counts": dict(sorted(self.counts.items()))})


class _Counted:
    """ASGI around the routes: bounds what is in work, counts, and lets no exception's text out."""

    def __init__(self, app: Any, service: _Service, packages: PackageCache | None) -> None:
        self._app, self._service, self._packages = app, service, packages
        self._busy: Counter[str] = Counter()
        app.add_exception_handler(Refusal, self._refused)
        app.add_exception_handler(MetalError, self._failed)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        who = _neighbour(scope)
        if self._busy.total() >= AT_ONCE or self._busy[who] >= EACH:
            self._service.count("flood")
            answer = _text("busy, come back\n", {"Retry-After": "2"}, 503)
            await answer(scope, receive, send)
            return
        scope, send = offered(scope, send)
        self._busy[who] += 1
        self._service.count("requests")
        try:
            if self._packages and scope["path"].startswith("http:"):
                await self._packages.answer(scope, receive, send, self._service.count)
            else:
                await self._app(scope, receive, send)
        finally:
            self._busy[who] -= 1
            self._busy += Counter()  # forget who has nothing in work

    async def _refused(self, _request: Any, refusal: Any) -> Any:
        self._service.count(refusal.counted)
        return _text(refusal.text + "\n", status=refusal.status)

    async def _failed(self, _request: Any, error: Any) -> Any:
        """The desk could not answer: worth asking again only if something was unreachable."""
        self._service.count("failed")
        status = 503 if isinstance(error, Unreachable) else 500
        return _text("the boot service could not answer; see its own messages\n", status=status)


def _neighbour(scope: Any) -> str:
    """Who asks: an address; of IPv6 the network, in which anybody has as many as they like."""
    host: str = (scope.get("client") or ("",))[0]
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv4Address):
        return host
    return str(address.ipv4_mapped or IPv6Network((address, 64), strict=False))


async def _in_thread(call: Any, *args: Any) -> Any:
    from starlette.concurrency import run_in_threadpool

    return await run_in_threadpool(call, *args)


def _text(text: str, headers: dict[str, str] | None = None, status: int = 200) -> Any:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(text, status, headers)


def _token(request: Any) -> str:
    token: str = request.path_params["token"]
    if not TOKEN.fullmatch(token):
        raise Refusal(404, "unknown_token", "no such install")
    return token


def _details(body: bytes) -> dict[str, Any]:
    """A JSON object or a form's fields, whatever the Content-Type: busybox always says form."""
    try:
        text = body.decode()
        if not text.lstrip().startswith("{"):
            return dict(parse_qsl(text, strict_parsing=bool(text.strip()), max_num_fields=64))
        details = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "bad_report", "details are neither JSON nor a form") from error
    if not isinstance(details, dict):
        raise Refusal(400, "bad_report", "details are no JSON object")
    return details


def _no_number(name: str) -> Any:
    """NaN and the infinities: Python reads and writes them, JSON has none."""
    raise ValueError(name)
