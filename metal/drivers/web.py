"""Serve an ASGI app from a thread: the boot service, and every HTTP double of the lab."""

import socket
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn

from metal.model.errors import Failed, Refused


class WebServer:
    """uvicorn in a thread of its own. The port is bound before `start` returns."""

    def __init__(
        self,
        app: Any,
        host: str,
        port: int = 0,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # asyncio sets it only where the socket names its protocol, as accepted ones here do not;
        # without it every answer in two writes waits 40 ms for the client's delayed ACK.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.bind((host, port))
            # At once: two that may reuse an address can both bind it until one listens.
            self._socket.listen(256)
        except OSError as error:
            self._socket.close()
            raise Refused(
                f"cannot listen: {error.strerror}",
                where=f"{host}:{port}",
                mend="end what listens there, or set another address",
            ) from error
        self.host, self.port = host, int(self._socket.getsockname()[1])
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http="h11",  # whatever else is installed: metal/drivers/sendfile.py knows it
                log_level="error",
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=1,
                ssl_certfile=certificate,
                ssl_keyfile=key,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    @property
    def url(self) -> str:
        scheme = "https" if self._server.config.is_ssl else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def start(self) -> "WebServer":
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise Failed("the web server did not start", where=self.url)
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Answer nobody any more: open connections are cut."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(5)
        self._socket.close()
