"""Whole files from the kernel's cache to the socket, past this process (sendfile(2)).

ASGI's extension http.response.pathsend: Starlette's FileResponse sends a path instead of a body to
whoever offers it. uvicorn does not, so it is offered here, on what uvicorn's h11 protocol is made
of. With another protocol, or by HTTPS, nothing is offered and the file is read piece by piece.
"""

import asyncio
from pathlib import Path
from typing import Any

EXTENSION = "http.response.pathsend"


def offered(scope: Any, send: Any) -> tuple[Any, Any]:
    """The (scope, send) to go on with: files may be sent by their path where that can be done."""
    cycle = getattr(send, "__self__", None)
    if scope["scheme"] != "http" or not hasattr(cycle, "conn"):
        return scope, send
    extensions = {**(scope.get("extensions") or {}), EXTENSION: {}}
    return {**scope, "extensions": extensions}, _Send(cycle)


class _Length:
    """For h11, which counts what is sent: so many bytes that it does not see."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length


class _Send:
    """`cycle`: uvicorn's, of one request and its answer."""

    def __init__(self, cycle: Any) -> None:
        self._cycle, self._length = cycle, 0

    async def __call__(self, message: Any) -> None:
        if message["type"] == EXTENSION:
            await self._file(Path(message["path"]))
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        elif message["type"] == "http.response.start":
            headers = message["headers"]
            self._length = int(dict(headers).get(b"content-length", 0))
            # GRUB knows Content-Length in that spelling alone, and without it no end of a file.
            message = {**message, "headers": [(name.title(), value) for name, value in headers]}
        await self._cycle.send(message)

    async def _file(self, path: Path) -> None:
        """As long as its headers said. A client that goes away is nobody's mistake; a file that
        became shorter ends the connection, so nobody takes it for whole."""
        import h11

        cycle = self._cycle
        if cycle.disconnected or not self._length:
            return
        with path.open("rb") as file:
            cycle.conn.send_with_data_passthrough(h11.Data(data=_Length(self._length)))  # type: ignore[arg-type]
            try:
                loop = asyncio.get_running_loop()
                sent = await loop.sendfile(cycle.transport, file, 0, self._length)
            except (OSError, RuntimeError):
                sent = 0
        if sent < self._length:
            cycle.disconnected = True
            cycle.transport.abort()
