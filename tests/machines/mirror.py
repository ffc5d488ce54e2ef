"""This machine's Debian mirror on the wire of a lab, and an installer pinned from it.

A mirror in the middle of an update, or one that keeps but parts, has indices that Debian's
signature does not fit. Nothing is installed from such a one; here it is signed by a key of the lab,
so that all else of the installer is real.
"""

import hashlib
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pysequoia
import requests
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metal.drivers.web import WebServer
from metal.install.installer.lock import LOCK, read_lock
from metal.install.installer.origin import PACKAGES
from metal.install.installer.pinning import INDEX, Source, is_kept, pin_installer
from metal.model.errors import Failed

DEBIANS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TIMEOUT = (10, 60)


def relay(mirror: str, host: str) -> WebServer:
    """The mirror as it is, at URL/debian."""
    return _serve(mirror, host, {})


def pinned_installer(mirror: str, suite: str, kept: Path) -> None:
    """Pin it into the folder `kept`, its lock file beside, if it is not there already."""
    source = Source([mirror], DEBIANS, kept, kept / LOCK)
    before = read_lock(source.lock).get(suite)
    if before and before.loaders and is_kept(source, suite, before):
        return
    source.lock.unlink(missing_ok=True)  # the lab's own signature is younger than Debian's
    try:
        pin_installer(source, suite)
    except Failed as error:
        print(f"signed by the lab, as the mirror does not fit Debian's signature: {error.what}")
        _pin_signed_by_lab(source, mirror, suite)


def _pin_signed_by_lab(source: Source, mirror: str, suite: str) -> None:
    key = pysequoia.Tsk.generate(user_id="The lab's mirror")
    keyring = source.kept / "lab.gpg"
    keyring.write_bytes(bytes(key.extract_certificate()))
    indices = {path: _get(f"{mirror}/dists/{suite}/{path}").content for path in (INDEX, PACKAGES)}
    release = _release(mirror, suite, indices).encode()
    signed = pysequoia.sign(key.signer(), release, mode=pysequoia.SignatureMode.CLEAR)
    held = {f"dists/{suite}/{path}": content for path, content in indices.items()}
    server = _serve(mirror, "127.0.0.1", {**held, f"dists/{suite}/InRelease": signed}).start()
    try:
        ours = source._replace(mirrors=[f"{server.url}/debian"], keyring=keyring)
        pin_installer(ours, suite)
    finally:
        server.stop()


def _release(mirror: str, suite: str, indices: dict[str, bytes]) -> str:
    """With what its own says of its version."""
    told = _get(f"{mirror}/dists/{suite}/InRelease").text.splitlines()
    version = next(line for line in told if line.startswith("Version: "))
    sums = [f" {hashlib.sha256(c).hexdigest()} {len(c)} {path}" for path, c in indices.items()]
    now = f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S} UTC"
    return "\n".join([f"Codename: {suite}", version, f"Date: {now}", "SHA256:", *sums, ""])


def _serve(mirror: str, host: str, held: dict[str, bytes]) -> WebServer:
    def file(request: Request) -> Response:
        path = request.path_params["path"]
        if path in held:
            return Response(held[path])
        answer = _get(f"{mirror}/{path}")
        return Response(answer.content, answer.status_code)

    app: Any = Starlette(routes=[Route("/debian/{path:path}", file)])
    return WebServer(app, host)


def _get(url: str) -> requests.Response:
    return requests.get(url, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"})


def lend(kept: Path, folder: Path) -> None:
    """The installer that is kept, in a workspace."""
    (folder / "state" / "installer").symlink_to(kept)
    shutil.copy(kept / LOCK, folder / LOCK)
