"""The boot service, run by whoever needs servers answered."""

from metal.controller.workspace import Workspace
from metal.drivers.netboot import boot_app
from metal.drivers.package_cache import PackageCache
from metal.drivers.web import WebServer
from metal.install.answers import archives
from metal.install.desk import Desk
from metal.live.desk import LiveDesk


class BootService:
    """Serves scripts, installers, preseeds and the live system while the `with` block lasts."""

    def __init__(self, workspace: Workspace) -> None:
        host, _, port = workspace.inventory.fleet.boot_listen.rpartition(":")
        app = boot_app(
            Desk(workspace),
            workspace.state / "firmware",
            LiveDesk(workspace),
            PackageCache(workspace.state / "packages", lambda: archives(workspace.inventory)),
        )
        self._server = WebServer(app, host.strip("[]"), int(port))

    @property
    def alive(self) -> bool:
        """Whether it still answers, once it was entered."""
        return self._server.alive

    def __enter__(self) -> "BootService":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
