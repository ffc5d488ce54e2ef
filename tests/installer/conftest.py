"""A mirror of the lab that can be broken, and a folder to keep its installer in."""

from types import SimpleNamespace

import pytest

from metal.drivers.web import WebServer
from metal.install.installer.pinning import Source
from metal.lab.mirror import LabArchive, mirror_app


class Watched:
    """The lab's mirror, every request written down, some answered otherwise."""

    def __init__(self, archive):
        self.archive, self.paths, self.instead = archive, [], {}
        self.app = mirror_app(archive)

    async def __call__(self, scope, receive, send):
        path = scope["path"].removeprefix("/debian/")
        self.paths.append(path)
        await self.instead.get(path.rsplit("/", 1)[-1], self.app)(scope, receive, send)


@pytest.fixture(scope="module")
def server():
    """One server for all tests, its app another one for each."""
    served = SimpleNamespace(app=None)

    async def current(scope, receive, send):
        await served.app(scope, receive, send)

    running = WebServer(current, "127.0.0.1").start()
    served.url = running.url
    yield served
    running.stop()


@pytest.fixture
def archive():
    return LabArchive(["trixie"])


@pytest.fixture
def watched(archive, server):
    server.app = Watched(archive)
    return server.app


@pytest.fixture
def url(server, watched):
    return f"{server.url}/debian"


@pytest.fixture
def source(url, archive, tmp_path):
    keyring = tmp_path / "keys"
    keyring.write_bytes(archive.keyring)
    return Source([url], keyring, tmp_path / "kept", tmp_path / "installer.lock")
