"""The boot service, run by whoever needs servers answered."""

import threading
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from urllib.parse import urlsplit

from metal.controller.workspace import Workspace
from metal.drivers.netboot import boot_app
from metal.drivers.package_cache import PackageCache
from metal.drivers.web import WebServer
from metal.install.answers import archives
from metal.install.by_image import KIND
from metal.install.desk import Desk
from metal.live.desk import LiveDesk
from metal.model.errors import Refused


class BootService:
    """Serves scripts, installers, preseeds and the live system while the `with` block lasts.

    By HTTP, and by HTTPS too where the inventory says: media speak nothing else.
    """

    def __init__(self, workspace: Workspace) -> None:
        fleet = workspace.inventory.fleet
        desk = Desk(workspace)
        app = boot_app(
            desk,
            workspace.state / "firmware",
            LiveDesk(workspace, {KIND: desk.image_job}),
            PackageCache(workspace.state / "packages", lambda: archives(workspace.inventory)),
        )
        self._servers = [WebServer(app, *_address(fleet.boot_listen))]
        if fleet.boot_https_listen:
            host = urlsplit(workspace.boot_https_url).hostname or ""
            certificate, key = workspace.authority.issue(host)
            address = _address(fleet.boot_https_listen)
            self._servers.append(WebServer(app, *address, certificate=certificate, key=key))

    @property
    def alive(self) -> bool:
        """Whether all of it still answers, once it was entered."""
        return all(server.alive for server in self._servers)

    def __enter__(self) -> "BootService":
        for server in self._servers:
            server.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.stop()


def boot_service(workspace: Workspace, serving: bool = True) -> AbstractContextManager[Any]:
    """Ours, unless `metal serve` answers booting servers here already."""
    if not serving:
        return nullcontext()
    try:
        return BootService(workspace)
    except Refused:
        if not _answers(workspace):
            raise
        return nullcontext()


class Listening:
    """Whether a boot service answers here; asked once a poll, however many want to know."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._lock = workspace, threading.Lock()
        self._said, self._until = False, 0.0

    def __call__(self) -> bool:
        with self._lock:
            if time.monotonic() >= self._until:
                self._said = _answers(self._workspace)
                self._until = time.monotonic() + self._workspace.inventory.fleet.poll_seconds
            return self._said


def _answers(workspace: Workspace) -> bool:
    """Whether what listens there is a boot service."""
    import requests

    host, _, port = workspace.inventory.fleet.boot_listen.rpartition(":")
    here = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}.get(host, host)
    try:
        with requests.Session() as http:
            http.trust_env = False
            return http.get(f"http://{here}:{port}/healthz", timeout=5).json().get("ok") is True
    except (requests.RequestException, ValueError, AttributeError):
        return False


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)
