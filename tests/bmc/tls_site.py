"""A TLS server that remembers what it was asked: for what a pin must keep from it."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from metal.lab.web import Certificate, WebServer


class Site:
    """`requests`: the headers of each that reached it."""

    def __init__(self, certificate: Certificate, port: int = 0) -> None:
        self.requests: list[dict[str, str]] = []
        app = Starlette(routes=[Route("/{path:path}", self._answer)])
        self.web = WebServer(app, "127.0.0.1", port, certificate=certificate).start()

    async def _answer(self, request: Request) -> PlainTextResponse:
        self.requests.append(dict(request.headers))
        return PlainTextResponse("hello")
