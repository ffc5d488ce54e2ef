"""The cache of packages: a proxy for the inventory's archives, asked as apt asks."""

import http.client
import threading
from datetime import UTC, datetime

import pytest
import requests
from starlette.responses import PlainTextResponse, Response

from metal.drivers import package_cache
from metal.drivers.netboot import boot_app
from metal.drivers.package_cache import PackageCache, forget_unused
from metal.drivers.web import WebServer

DEB = "/debian/pool/main/h/hello/hello_2.10-3_amd64.deb"
INDEX = "/debian/dists/trixie/InRelease"
FIRST, LATER = "Sun, 01 Nov 2026 10:00:00 GMT", "Mon, 02 Nov 2026 10:00:00 GMT"


class Archive:
    """Files with their times; every request written down."""

    def __init__(self):
        self.files, self.paths, self.status = {DEB: (b"a package", FIRST)}, [], None
        self.files[INDEX] = (b"the index", FIRST)

    async def __call__(self, scope, receive, send):
        path = scope["path"]
        self.paths.append(path)
        headers = dict(scope["headers"])
        if self.status or path not in self.files:
            answer = PlainTextResponse("no", self.status or 404)
        elif headers.get(b"if-modified-since") == self.files[path][1].encode():
            answer = Response(status_code=304)
        else:
            content, time = self.files[path]
            answer = Response(content, headers={"Last-Modified": time})
        await answer(scope, receive, send)


@pytest.fixture
def archive():
    archive = Archive()
    server = WebServer(archive, "127.0.0.1").start()
    archive.url, archive.host = server.url, f"127.0.0.1:{server.port}"
    archive.server = server
    yield archive
    server.stop()


@pytest.fixture
def get(archive, tmp_path):
    """Through the boot service as a proxy; the counts are /healthz's."""
    cache = PackageCache(tmp_path / "packages", lambda: {archive.host})
    server = WebServer(boot_app(None, packages=cache), "127.0.0.1").start()

    def get(url, method="GET"):
        return requests.request(method, url, proxies={"http": server.url}, timeout=20)

    get.counts = lambda: requests.get(f"{server.url}/healthz", timeout=20).json()["counts"]
    get.port = server.port
    yield get
    server.stop()


def test_a_package_is_fetched_once(archive, get):
    for _ in range(3):
        answer = get(archive.url + DEB)
        assert (answer.status_code, answer.content) == (200, b"a package")
    assert archive.paths == [DEB]
    assert get.counts()["proxy_fetched"] == 1 and get.counts()["proxy_cached"] == 2


def test_twenty_installs_at_once_fetch_it_once(archive, get):
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(get(archive.url + DEB).content))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [b"a package"] * 20 and archive.paths == [DEB]


def test_an_index_is_asked_for_anew_and_sent_anew_when_it_changed(archive, get):
    assert get(archive.url + INDEX).content == b"the index"
    assert get(archive.url + INDEX).content == b"the index"
    archive.files[INDEX] = (b"a newer index", LATER)
    assert get(archive.url + INDEX).content == b"a newer index"
    assert archive.paths == [INDEX] * 3
    assert get.counts()["proxy_fetched"] == 2 and get.counts()["proxy_cached"] == 1


@pytest.mark.parametrize("status", [503, None])
def test_what_is_kept_stands_in_while_the_archive_is_away(archive, get, status):
    for path in (DEB, INDEX):
        get(archive.url + path)
    archive.status = status
    if status is None:
        archive.server.stop()
    assert get(archive.url + DEB).content == b"a package"
    assert get(archive.url + INDEX).content == b"the index"
    assert get(f"{archive.url}/debian/pool/other.deb").status_code == 503


def test_what_the_archive_has_not_is_not_there(archive, get):
    assert get(f"{archive.url}/debian/pool/none.deb").status_code == 404
    archive.files["/debian/pool/none.deb"] = (b"now it is", FIRST)
    assert get(f"{archive.url}/debian/pool/none.deb").content == b"now it is"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/debian/pool/x.deb",
        "http://somebody.example.org/debian/pool/x.deb",
        "{archive}/debian//x.deb",
        "{archive}/debian/.part",
        "{archive}/debian/",
        "{archive}",
        "{archive}/" + "x" * 1200,
    ],
)
def test_it_is_no_proxy_for_anything_else(archive, get, url):
    assert get(url.format(archive=archive.url)).status_code == 403
    assert archive.paths == []


@pytest.mark.parametrize("path", ["/debian/pool/../../x.deb", "/debian/%2e%2e/x", "/a%2f..%2fb"])
def test_it_leaves_its_folder_for_nobody(archive, get, path):
    """Sent as it is: other clients mend such paths themselves."""
    connection = http.client.HTTPConnection("127.0.0.1", get.port, timeout=20)
    connection.request("GET", archive.url + path)
    assert connection.getresponse().status == 403
    connection.close()
    assert archive.paths == []


def test_only_files_are_asked_for(archive, get):
    assert get(archive.url + DEB, "POST").status_code == 405
    assert get(archive.url + DEB + "?x=1").status_code == 405
    assert archive.paths == []


def test_a_full_disk_is_told_and_nothing_is_left(archive, get, tmp_path, monkeypatch):
    monkeypatch.setattr(package_cache, "SPARE", 2**62)
    assert get(archive.url + DEB).status_code == 503
    monkeypatch.setattr(package_cache, "SPARE", 0)
    monkeypatch.setattr(package_cache, "LARGEST", 3)
    assert get(archive.url + DEB).status_code == 404
    assert not [file for file in (tmp_path / "packages").rglob("*") if file.is_file()]


def test_what_nobody_wanted_for_long_goes(archive, get, tmp_path):
    get(archive.url + DEB)
    kept = next(file for file in (tmp_path / "packages").rglob("*.deb"))
    assert datetime.fromtimestamp(kept.stat().st_mtime, UTC).day == 1  # as the archive says
    assert forget_unused(tmp_path / "packages", kept.stat().st_ctime - 1) == 0
    assert forget_unused(tmp_path / "packages", kept.stat().st_ctime + 1) == 1
    assert not kept.exists()


def test_without_a_cache_a_proxied_request_is_an_unknown_path(archive):
    server = WebServer(boot_app(None), "127.0.0.1").start()
    try:
        answer = requests.get(archive.url + DEB, proxies={"http": server.url}, timeout=20)
    finally:
        server.stop()
    assert answer.status_code == 404 and archive.paths == []
