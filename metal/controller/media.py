"""The image that brings the installer to one server."""

from pathlib import Path

from metal.controller.workspace import Workspace
from metal.install.medium import make_medium
from metal.model.base import Frozen
from metal.model.errors import Refused
from metal.model.plan import InstallServer


class Image(Frozen):
    """What `metal media SERVER` made."""

    server: str
    file: str
    bytes: int
    address: str
    """Of the server."""
    url: str
    """Of the boot service that it will ask."""


def make_image(workspace: Workspace, server: str, out: Path) -> Image:
    """For the open install of `server`; Refused where none waits for a medium."""
    action = _action(workspace, server)
    make_medium(workspace, action, out)
    return Image(
        server=server,
        file=str(out),
        bytes=out.stat().st_size,
        address=str(workspace.inventory.servers[server].address),
        url=workspace.boot_https_url,
    )


def _action(workspace: Workspace, server: str) -> InstallServer:
    install = workspace.store.installs.latest(server)
    if install is None or install.closed:
        raise Refused(
            "no install of it is open, so there is nothing that a medium could begin",
            where=server,
            mend="metal plan, then metal apply: it waits for the medium",
        )
    params = workspace.store.journal.show(install.operation).params
    action = InstallServer.model_validate(params["action"])
    if not action.by_medium:
        raise Refused(
            f"its open install goes by {action.route} and speaks no HTTPS",
            where=server,
            mend=f"metal run cancel {install.operation}; `metal server show {server}` says why it "
            "goes that way",
        )
    return action
