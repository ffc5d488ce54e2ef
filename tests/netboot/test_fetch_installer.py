"""Fetching the installer: whole, checked, kept, and clear about what is wrong."""

import hashlib
import threading
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from metal.drivers import mirror
from metal.drivers.mirror import fetch_installer
from metal.drivers.web import WebServer
from metal.lab.mirror import FOLDER, content, mirror_app
from metal.model.errors import Failed, Unreachable


class Watched:
    """The lab's mirror, every request written down, some answered otherwise."""

    def __init__(self):
        self.paths, self.instead, self.app = [], {}, mirror_app()

    async def __call__(self, scope, receive, send):
        name = scope["path"].rsplit("/", 1)[-1]
        self.paths.append(name)
        await self.instead.get(name, self.app)(scope, receive, send)


@pytest.fixture
def watched():
    return Watched()


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
def url(server, watched):
    server.app = watched
    return f"{server.url}/debian"


def test_what_the_mirror_has_is_kept(url, tmp_path):
    fetch_installer(url + "/", "trixie", tmp_path / "installer")
    folder = tmp_path / "installer" / "trixie"
    for name in ("linux", "initrd.gz"):
        assert (folder / name).read_bytes() == content("trixie", name)
    assert not list(folder.glob("*.tmp")) + list(folder.glob(".*.tmp"))


def test_what_is_there_is_not_fetched_again(url, watched, tmp_path):
    for _ in range(2):
        fetch_installer(url, "trixie", tmp_path)
    assert watched.paths == ["SHA256SUMS", "linux", "initrd.gz", "SHA256SUMS"]


def test_a_damaged_file_is_fetched_again(url, tmp_path):
    fetch_installer(url, "trixie", tmp_path)
    (tmp_path / "trixie" / "linux").write_bytes(b"broken")
    fetch_installer(url, "trixie", tmp_path)
    assert (tmp_path / "trixie" / "linux").read_bytes() == content("trixie", "linux")


def test_ten_at_once_fetch_it_once(url, watched, tmp_path):
    threads = [
        threading.Thread(target=fetch_installer, args=(url, "trixie", tmp_path)) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(watched.paths) == ["SHA256SUMS"] * 10 + ["initrd.gz", "linux"]


def test_a_file_that_is_not_what_the_sums_say_is_not_kept(url, watched, tmp_path):
    watched.instead["linux"] = Response(b"another kernel")
    with pytest.raises(Failed, match="SHA256SUMS says"):
        fetch_installer(url, "trixie", tmp_path)
    assert not (tmp_path / "trixie" / "linux").exists()


def test_a_transfer_that_breaks_off_is_worth_a_retry(url, watched, tmp_path):
    async def half(scope, receive, send):
        body = content("trixie", "linux")
        size = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": size})
        await send({"type": "http.response.body", "body": body[:1000], "more_body": True})
        raise ConnectionResetError

    watched.instead["linux"] = half
    with pytest.raises(Unreachable):
        fetch_installer(url, "trixie", tmp_path)
    assert [f.name for f in (tmp_path / "trixie").iterdir()] == [".lock"]


def test_a_file_that_is_too_large_is_cut(url, watched, tmp_path, monkeypatch):
    monkeypatch.setattr(mirror, "LARGEST", 1_000_000)

    async def large():
        for _ in range(30):
            yield b"x" * 100_000

    watched.instead["linux"] = StreamingResponse(large())
    with pytest.raises(Failed, match="larger than"):
        fetch_installer(url, "trixie", tmp_path)
    assert not list((tmp_path / "trixie").glob("*linux*"))


def test_sums_that_are_too_large_are_cut(url, watched, tmp_path, monkeypatch):
    monkeypatch.setattr(mirror, "SUMS_LARGEST", 10)
    with pytest.raises(Failed, match="larger than"):
        fetch_installer(url, "trixie", tmp_path)


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (Response(status_code=404), Failed, "answers 404"),
        (Response(status_code=503), Unreachable, "answers 503"),
        (PlainTextResponse("<html>hello</html>"), Failed, "does not list"),
        (PlainTextResponse(f"{hashlib.sha256().hexdigest()}  ./{FOLDER}/linux"), Failed, "sums"),
    ],
)
def test_a_mirror_without_it_is_named(url, watched, tmp_path, answer, error, says):
    watched.instead["SHA256SUMS"] = answer
    with pytest.raises(error) as caught:
        fetch_installer(url, "trixie", tmp_path)
    assert says.lower() in caught.value.what.lower()
    assert caught.value.where.startswith(url) and caught.value.mend


def test_a_mirror_that_does_not_answer_is_unreachable(tmp_path):
    server = WebServer(Starlette(routes=[Route("/", lambda _: Response())]), "127.0.0.1").start()
    gone = server.url
    server.stop()
    with pytest.raises(Unreachable) as caught:
        fetch_installer(f"{gone}/debian", "trixie", tmp_path)
    assert caught.value.where.startswith(gone)


def test_no_room_is_a_clear_error(url, tmp_path):
    (tmp_path / "trixie").write_text("in the way")
    with pytest.raises(Failed, match="could not be kept"):
        fetch_installer(url, "trixie", tmp_path)
