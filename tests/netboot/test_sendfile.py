"""Files of the boot service go from the kernel's cache to the socket: whole, or visibly not."""

import http.client
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.responses import FileResponse

from metal.drivers.netboot import boot_app
from metal.drivers.web import WebServer

LINE = "/installer/trixie/initrd.gz"
BYTES = 3_000_017
"""More than a socket's buffers hold, and no round number."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "initrd.gz"
    file.write_bytes(os.urandom(BYTES))
    return file


@pytest.fixture
def server(file: Path) -> Iterator[WebServer]:
    desk: Any = SimpleNamespace(file=lambda _suite, _name: file)
    server = WebServer(boot_app(desk), "127.0.0.1").start()
    yield server
    server.stop()


@pytest.fixture
def line(server: WebServer) -> Iterator[http.client.HTTPConnection]:
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    yield line
    line.close()


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_self: object) -> None:
        raise AssertionError("the file was read by this process")

    monkeypatch.setattr(FileResponse, "_open_file", read)


def ask(line: http.client.HTTPConnection, method: str = "GET", **headers: str) -> Any:
    line.request(method, LINE, headers=headers)
    return line.getresponse()


@pytest.mark.usefixtures("unread")
def test_it_is_whole_and_the_connection_serves_the_next_one(
    line: http.client.HTTPConnection, file: Path
) -> None:
    for _ in range(3):
        answer = ask(line)
        assert answer.getheader("Content-Length") == str(BYTES)
        assert answer.read() == file.read_bytes()


def test_head_and_ranges_are_as_ever(line: http.client.HTTPConnection, file: Path) -> None:
    answer = ask(line, "HEAD")
    assert (answer.getheader("Content-Length"), answer.read()) == (str(BYTES), b"")
    answer = ask(line, Range="bytes=100-299")
    assert (answer.status, answer.read()) == (206, file.read_bytes()[100:300])
    assert ask(line).read() == file.read_bytes()


@pytest.mark.usefixtures("unread")
def test_an_empty_file_is_one_too(line: http.client.HTTPConnection, file: Path) -> None:
    file.write_bytes(b"")
    assert ask(line).read() == b""
    file.write_bytes(b"next")
    assert ask(line).read() == b"next"


@pytest.mark.usefixtures("unread")
def test_one_that_became_shorter_is_not_taken_for_whole(
    line: http.client.HTTPConnection, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FileResponse.set_stat_headers

    def larger(self: FileResponse, found: os.stat_result) -> None:
        real(self, found)
        self.headers["content-length"] = str(BYTES + 1)

    monkeypatch.setattr(FileResponse, "set_stat_headers", larger)
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        ask(line).read()


def test_a_client_that_goes_away_disturbs_nobody(
    server: WebServer, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        ask(line).read(1000)
        line.close()
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    assert ask(line).read() == file.read_bytes()
    line.close()
    assert caplog.records == []
