"""The one process of a lab: every double, and a small control service on loopback.

Started by `metal lab up` as `python -m metal.lab.daemon SOURCE FOLDER SPEED`. It prints one line
of JSON when all is up (or an error) and ends on SIGTERM or when asked to.
"""

import hmac
import json
import secrets
import signal
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from metal.inventory import load
from metal.lab.live import put_image
from metal.lab.mirror import LabArchive, mirror_app
from metal.lab.rack import Rack
from metal.lab.topology import ARCHIVE_KEYS, Topology, make_workspace, topology
from metal.lab.web import WebServer
from metal.model.errors import MetalError, Refused

LABS = range(20, 100)
"""Lab numbers: the second octet of its loopback addresses."""


def numbers(folder: Path) -> list[int]:
    """In the order in which they are tried. Beside other labs a folder has a number of its own,
    whichever of them run: lists of its BMCs stay true when it is brought up anew."""
    own = LABS[zlib.crc32(bytes(folder.absolute())) % len(LABS)]
    return list(dict.fromkeys([LABS[0], own, *LABS]))


class Control:
    """HTTP on loopback, for whoever can read lab/control.token."""

    def __init__(self, token: str) -> None:
        self.rack: Rack | None = None
        self.ended = threading.Event()
        self._token = token

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/truth", self._truth),
                Route("/break/{server}/{fault}", self._break, methods=["POST"]),
                Route("/down", self._down, methods=["POST"]),
            ]
        )

    def _allowed(self, request: Request) -> bool:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), self._token.encode())

    async def _truth(self, request: Request) -> Response:
        if not self._allowed(request) or self.rack is None:
            return JSONResponse({"error": "not for you, or not up yet"}, 403)
        return JSONResponse(await run_in_threadpool(self.rack.truth))

    async def _break(self, request: Request) -> Response:
        if not self._allowed(request) or self.rack is None:
            return JSONResponse({"error": "not for you, or not up yet"}, 403)
        server, fault = request.path_params["server"], request.path_params["fault"]
        try:
            await run_in_threadpool(self.rack.break_, server, fault)
        except MetalError as error:
            return JSONResponse({"what": error.what, "where": error.where, "mend": error.mend}, 400)
        return JSONResponse({"server": server, "fault": fault})

    async def _down(self, request: Request) -> Response:
        if not self._allowed(request):
            return JSONResponse({"error": "not for you"}, 403)
        self.ended.set()
        return JSONResponse({"down": True})


def _claim_number(app: Starlette, speed: float, folder: Path) -> tuple[Topology, WebServer]:
    """The first lab number whose control address is free is ours while we run."""
    for number in numbers(folder):
        shape = topology(number, speed)
        host, _, port = shape.control.partition(":")
        try:
            return shape, WebServer(app, host, int(port))
        except Refused:
            continue
    raise Refused(f"{len(LABS)} labs run already", mend="end one: `metal lab down FOLDER`")


def run(source: Path, folder: Path, speed: float) -> None:
    """Bring the lab up in `folder`, say so on stdout, and stay until it is ended."""
    token = secrets.token_urlsafe(32)
    control = Control(token)
    shape, service = _claim_number(control.app(), speed, folder)
    make_workspace(source, folder, shape)
    put_image(folder / "state")
    rack = control.rack = Rack(load(folder), shape, folder)
    archive = LabArchive()
    (folder / ARCHIVE_KEYS).write_bytes(archive.keyring)
    mirror = WebServer(mirror_app(archive), f"127.{shape.lab}.0.1", 7998).start()
    rack.start()
    service.start()
    token_file = folder / "lab" / "control.token"
    token_file.touch(mode=0o600)
    token_file.write_text(token)
    (folder / "lab" / "topology.json").write_text(shape.model_dump_json(indent=2))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: control.ended.set())
    _say({"up": True, "lab": shape.lab})
    control.ended.wait()
    (folder / "lab" / "topology.json").unlink(missing_ok=True)
    rack.stop()
    mirror.stop()
    service.stop()


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def main() -> int:
    source, folder, speed = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    try:
        run(source, folder, speed)
    except MetalError as error:
        _say({"what": error.what, "where": error.where, "mend": error.mend})
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
