"""The medium that brings the installer to one server: kernel, initrd, its address and its token.

Nothing on it is secret but the token, which is worth one preseed; the key of the disk is not
there. It trusts the boot service's own authority and nobody else.
"""

from io import BytesIO
from pathlib import Path

from metal.drivers.iso import write_iso
from metal.install.answers import Answers
from metal.install.derived import address_of, hash_of, marker_of, token_of
from metal.install.desk import DeskWorkspace, answers_of, medium_file
from metal.install.ports import Medium
from metal.install.render import Templates, render_fetch, render_grub, render_network
from metal.inventory.defaults import defaults
from metal.live.cpio import Cpio
from metal.model.errors import Failed, Refused
from metal.model.plan import InstallServer
from metal.operations.installs import Install

NETWORK = "lib/debian-installer-startup.d/S61metal"
"""After the kernel's arguments were taken for answers, before the installer asks anything."""


def make_medium(workspace: DeskWorkspace, action: InstallServer, out: Path) -> None:
    """Write the image for the open install of `action`'s server to `out`, mode 0600.

    Refused where no install waits for it; Failed where the installer was not fetched.
    """
    install = workspace.store.installs.latest(action.server)
    token = _token(workspace, action.server, install)
    answers = answers_of(workspace, action)
    templates = Templates([workspace.folder, defaults()])
    files: dict[str, Path | bytes] = {
        "linux": _installer(workspace, answers.debian, "linux"),
        "initrd.gz": _installer(workspace, answers.debian, "initrd.gz"),
        "metal.cpio": trust(templates, answers),
        "boot/grub/grub.cfg": render_grub(templates, answers, token).encode(),
    }
    write_iso(out, files, marker_of(token))


def medium_of(workspace: DeskWorkspace, action: InstallServer) -> Medium:
    """The image that the BMC of `action`'s server fetches from the boot service."""
    server = action.server

    def key() -> str:
        return workspace.secrets.reveal(f"disk/{server}") or ""

    def ensure() -> None:
        file = medium_file(workspace.state, server, token_of(key()))
        if not file.is_file():
            make_medium(workspace, action, file)

    def addresses() -> list[str]:
        path = f"media/{server}/{address_of(key())}.iso"
        return [f"{workspace.boot_https_url}/{path}", f"{workspace.boot_url}/{path}"]

    def forget() -> None:
        for file in (workspace.state / "media").glob(f"{server}.*.iso"):
            file.unlink(missing_ok=True)

    return Medium(ensure, addresses, forget)


def trust(templates: Templates, answers: Answers) -> bytes:
    """The second initrd (cpio): whom the installer trusts, and how it fetches from there."""
    out = BytesIO()
    with Cpio(out) as cpio:
        cpio.folder("metal")
        cpio.file("metal/ca.pem", answers.ca.encode())
        cpio.file("usr/lib/fetch-url/https", render_fetch(templates, answers).encode())
        if answers.vlan or answers.bond:
            cpio.file(NETWORK, render_network(templates, answers).encode(), 0o755)
    return out.getvalue()


def _token(workspace: DeskWorkspace, server: str, install: Install | None) -> str:
    """The install's token; Refused where it would be good for nothing."""
    if install is None or install.closed:
        raise Refused(
            "no install of it is open, so there is nothing that a medium could begin",
            where=server,
            mend="metal plan, then metal apply: it waits for the medium",
        )
    if install.taken:
        raise Refused(
            "its install took its answers already: a disk is wiped at most once",
            where=server,
            mend=f"metal run cancel {install.operation}, then plan it anew",
        )
    key = workspace.secrets.reveal(f"disk/{server}")
    token = token_of(key) if key else ""
    known = workspace.store.installs.by_token(hash_of(token))
    if known is None or known.server != server:
        raise Failed(
            "the key that is held is not this install's",
            where=server,
            mend=f"metal run cancel {install.operation}, then plan it anew",
        )
    return token


def _installer(workspace: DeskWorkspace, suite: str, name: str) -> Path:
    file = workspace.state / "installer" / suite / name
    if not file.is_file():
        raise Failed(
            f"the installer of {suite} is not there",
            where=str(file),
            mend="`metal apply` fetches it before it opens the install: let it go on",
        )
    return file
