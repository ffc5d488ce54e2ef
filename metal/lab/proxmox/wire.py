"""The HTTPS side of one node, with what clients of the real one stumble over.

Not the lab's ordinary web server: Proxmox says what went wrong in the reason phrase of the
status line (proxmoxer reads it there), has status codes of its own (595, 596), drops idle
connections, and a node that loses its power must cut every connection in that moment.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from metal.lab.proxmox.errors import ApiError
from metal.lab.web import Certificate
from metal.model.errors import Refused

IDLE_SECONDS = 5.0
"""Real seconds, as the client's pool lives in them."""
REQUESTS_PER_CONNECTION = 100
BIGGEST_BODY = 1 << 20

Answer = Callable[[str, str, dict[str, Any], dict[str, str]], Any]
"""(method, path below /api2/json, parameters, headers in lower case) → data; ApiError."""


class NoAnswer(Exception):
    """The node has no power any more: whoever asked hears nothing."""


class Wire(ThreadingHTTPServer):
    """Serves `answer` at (address, port) until `cut`."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self,
        address: str,
        port: int,
        certificate: Certificate,
        answer: Answer,
        rest: float = 0.05,
    ) -> None:
        self.answer = answer
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.cert, certificate.key)
        try:
            super().__init__((address, port), _Connection)
        except OSError as error:
            raise Refused(
                f"cannot listen: {error.strerror}",
                where=f"{address}:{port}",
                mend="end what listens there, or use another lab number",
            ) from error
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": rest}, daemon=True
        )
        self._thread.start()

    def process_request(self, request: Any, client_address: Any) -> None:
        # The handshake belongs in the connection's own thread: a silent client must not hold up
        # the others.
        request.settimeout(IDLE_SECONDS)
        with contextlib.suppress(OSError):
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wrapped = self._context.wrap_socket(
                request, server_side=True, do_handshake_on_connect=False
            )
            with self._lock:
                self._open.add(wrapped)
            super().process_request(wrapped, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or refused the certificate, is not worth a traceback."""

    def cut(self) -> None:
        """No power: nobody is answered from now on, not even half-way."""
        with self._lock:
            connections, self._open = list(self._open), set()
        for connection in connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        self.shutdown()
        self.server_close()
        self._thread.join(5)

    def server_close(self) -> None:
        self.socket.close()  # The connections' threads are daemons: none is waited for.


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "pve-api-daemon/3.0", ""
    wbufsize = -1  # One write, one packet.
    server: Wire

    def setup(self) -> None:
        self.request.do_handshake()
        super().setup()
        self._requests = 0

    def do_GET(self) -> None:
        self._requests += 1
        try:
            self._send(200, "OK", {"data": self._ask()})
        except ApiError as error:
            body: dict[str, Any] = {"data": None, "message": f"{error.message}\n"}
            if error.errors:
                body["errors"] = error.errors
            self._send(error.status, error.message, body)
        except NoAnswer:
            self.close_connection = True

    do_POST = do_PUT = do_DELETE = do_GET

    def _ask(self) -> Any:
        url = urlsplit(self.path)
        params = _form(url.query)
        headers = {name.lower(): value for name, value in self.headers.items()}
        params |= self._body(headers)
        if not url.path.startswith("/api2/json"):
            raise ApiError(404, "File not found")
        path = unquote(url.path.removeprefix("/api2/json")) or "/"
        return self.server.answer(self.command, path, params, headers)

    def _body(self, headers: dict[str, str]) -> dict[str, Any]:
        length = int(headers.get("content-length") or 0)
        if length > BIGGEST_BODY:
            self.close_connection = True
            raise ApiError(413, "Request Entity Too Large")
        raw = self.rfile.read(length).decode()
        if not raw:
            return {}
        if "json" not in headers.get("content-type", ""):
            return _form(raw)
        try:
            given = json.loads(raw)
        except ValueError:
            raise ApiError(400, "can't parse JSON body") from None
        return {name: _plain(value) for name, value in given.items()}

    def _send(self, status: int, reason: str, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status, reason.splitlines()[0] if reason else "")
        self.send_header("Content-Type", "application/json;charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "max-age=0")
        if status >= 400 or self._requests >= REQUESTS_PER_CONNECTION:
            self.send_header("Connection", "close")  # Also closes it here.
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """The lab keeps its own log of events."""


def _form(text: str) -> dict[str, Any]:
    fields = parse_qs(text, keep_blank_values=True)
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return str(int(value))
    return [str(one) for one in value] if isinstance(value, list) else str(value)
