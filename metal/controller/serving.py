"""The boot service, run by whoever needs servers answered."""

from urllib.parse import urlsplit

from metal.controller.workspace import Workspace
from metal.drivers.netboot import boot_app
from metal.drivers.package_cache import PackageCache
from metal.drivers.web import WebServer
from metal.install.answers import archives
from metal.install.desk import Desk
from metal.live.desk import LiveDesk


class BootService:
    """Serves scripts, installers, preseeds and the live system while the `with` block lasts.

    By HTTP, and by HTTPS too where the inventory says: media speak nothing else.
    """

    def __init__(self, workspace: Workspace) -> None:
        fleet = workspace.inventory.fleet
        app = boot_app(
            Desk(workspace),
            workspace.state / "firmware",
            LiveDesk(workspace),
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


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)
