"""The boot service's share for the live system: its files, its job, and what it tells.

    GET  /live/KEY/FILE               linux and initrd of the live system
    GET  /image/KEY/root.tar.zst      what an install from an image unpacks
    GET  /job/TOKEN                   what it is to do, handed out exactly once
    POST /job/TOKEN/progress          {"phase", "fraction", "text"}: how far it is
    POST /job/TOKEN/evidence/NAME     what it found, at most 1 MiB of JSON
    POST /job/TOKEN/end               {"ok", …}: it is done

It knows HTTP only; what is answered is the live desk's business (metal/live/desk.py).
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from metal.drivers.netboot_body import body_of
from metal.model.errors import Refused
from metal.model.facts import Loader

EVIDENCE_BYTES = 1024 * 1024
"""What smartctl prints of a disk with all its logs is some 60 KiB."""
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
KEY = re.compile(r"[0-9a-f]{16}")
TOKEN = re.compile(r"[A-Za-z0-9_-]{20,128}")
FILES = frozenset({"linux", "initrd"})
TEXT = 200
"""Characters of what a machine may put on a person's screen."""


class LiveDesk(Protocol):
    """Who decides what is handed out. Called from many threads at once."""

    def script(self, mac: str, uuid: str | None, loader: Loader = "ipxe") -> str | None:
        """What starts the live system; None without a job for the machine."""

    def file(self, key: str, name: str) -> Path | None:
        """A file of the live system of that key."""

    def root(self, key: str) -> Path | None:
        """The root of that key, to be unpacked."""

    def job(self, token: str) -> dict[str, Any] | None:
        """None for an unknown token, Refused the second time."""

    def progress(self, token: str, phase: str, fraction: float, text: str) -> bool:
        """False for an unknown token, or one that has ended."""

    def evidence(self, token: str, name: str, body: dict[str, Any]) -> bool: ...
    def end(self, token: str, said: dict[str, Any]) -> bool: ...


def live_routes(desk: LiveDesk, count: Callable[[str], None]) -> list[Any]:
    """The routes; `count` notes a refusal by its name, for /healthz."""
    from starlette.routing import Route

    service = _Live(desk, count)
    return [
        Route("/live/{key}/{name}", service.file),
        Route("/image/{key}/root.tar.zst", service.root),
        Route("/job/{token}", service.job, methods=["GET"]),
        Route("/job/{token}/progress", service.progress, methods=["POST"]),
        Route("/job/{token}/evidence/{name}", service.evidence, methods=["POST"]),
        Route("/job/{token}/end", service.end, methods=["POST"]),
    ]


class _Live:
    def __init__(self, desk: LiveDesk, count: Callable[[str], None]) -> None:
        self._desk, self._count = desk, count

    async def file(self, request: Any) -> Any:
        key, name = request.path_params["key"], request.path_params["name"]
        known = KEY.fullmatch(key) and name in FILES
        return self._sent(await _in_thread(self._desk.file, key, name) if known else None)

    async def root(self, request: Any) -> Any:
        key = request.path_params["key"]
        known = KEY.fullmatch(key)
        return self._sent(await _in_thread(self._desk.root, key) if known else None)

    def _sent(self, file: Path | None) -> Any:
        from starlette.responses import FileResponse

        if file is None:
            return self._no(404, "unknown_file", "no such file")
        return FileResponse(file, media_type="application/octet-stream")

    async def job(self, request: Any) -> Any:
        from starlette.responses import JSONResponse

        if request.method != "GET":
            return self._no(405, "bad_request", "GET it")  # HEAD would use it up
        try:
            body = await _in_thread(self._desk.job, _token(request))
        except Refused:
            return self._no(410, "job_again", "handed out before, once is enough")
        if body is None:
            return self._no(404, "unknown_token", "no such job")
        self._count("jobs")
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    async def progress(self, request: Any) -> Any:
        told = await _object(request)
        fraction = told.get("fraction", 0.0) if told is not None else None
        if told is None or not isinstance(fraction, int | float):
            return self._no(400, "bad_report", "a JSON object is wanted")
        phase, text = plain(told.get("phase")), plain(told.get("text"))
        known = await _in_thread(self._desk.progress, _token(request), phase, fraction, text)
        return self._noted(known)

    async def evidence(self, request: Any) -> Any:
        body, name = await _object(request), request.path_params["name"]
        if body is None or not NAME.fullmatch(name):
            return self._no(400, "bad_report", "a JSON object under a plain name is wanted")
        return self._noted(await _in_thread(self._desk.evidence, _token(request), name, body))

    async def end(self, request: Any) -> Any:
        body = await _object(request)
        if body is None:
            return self._no(400, "bad_report", "a JSON object is wanted")
        return self._noted(await _in_thread(self._desk.end, _token(request), body))

    def _noted(self, known: bool) -> Any:
        return _text("noted\n") if known else self._no(404, "unknown_token", "no such job")

    def _no(self, status: int, counted: str, text: str) -> Any:
        self._count(counted)
        return _text(text + "\n", status)


def plain(value: Any) -> str:
    """What a machine says, fit for a terminal: one line, no control characters."""
    text = value if isinstance(value, str) else ""
    return "".join(c for c in text if c.isprintable())[:TEXT]


def _token(request: Any) -> str:
    token: str = request.path_params["token"]
    return token if TOKEN.fullmatch(token) else ""


async def _object(request: Any) -> dict[str, Any] | None:
    """The JSON object in the body; None where it holds something else."""
    try:
        told = json.loads(await body_of(request, EVIDENCE_BYTES), parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _no_number(name: str) -> Any:
    """NaN and the infinities: Python reads and writes them, JSON has none."""
    raise ValueError(name)


async def _in_thread(call: Any, *args: Any) -> Any:
    from starlette.concurrency import run_in_threadpool

    return await run_in_threadpool(call, *args)


def _text(text: str, status: int = 200) -> Any:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(text, status)
