"""Alarms reach people: a real SMTP conversation, HTTP, a real script; and what is not taken."""

from __future__ import annotations

import json
import os
import random
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from metal.controller.alarming import Callers
from metal.drivers import hooks
from metal.drivers.hooks import send
from metal.lab.storms.fleet import fleet
from metal.lab.storms.ports import Eyes, SimWorkspace
from metal.lab.storms.rack import Rack
from metal.model.errors import BadInput, Failed, Unreachable
from metal.model.watch import Hook
from metal.operations.store import open_store


class Smtp(socketserver.StreamRequestHandler):
    """RFC 5321 as far as one message needs it."""

    def handle(self) -> None:
        self._say("220 ready")
        for line in self.rfile:
            verb = line.decode().split()[0].upper()
            if verb == "DATA":
                self._say("354 go on")
                text = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.heard.append(text.decode())  # type: ignore[attr-defined]
                self._say("250 taken")
            elif verb == "RCPT" and b"nobody" in line:
                self._say("550 no such user")
            else:
                self._say("221 bye" if verb == "QUIT" else "250 ok")
            if verb == "QUIT":
                return

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class Web(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.append((self.path, self.headers.get("Authorization"), body))  # type: ignore[attr-defined]
        self.send_response(self.server.answer)  # type: ignore[attr-defined]
        self.end_headers()

    do_PUT = do_POST

    def log_message(self, *_: object) -> None: ...


def serve(server: Any) -> Iterator[Any]:
    server.heard = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def smtp() -> Iterator[Any]:
    yield from serve(socketserver.TCPServer(("127.0.0.1", 0), Smtp))


@pytest.fixture
def web() -> Iterator[Any]:
    server = HTTPServer(("127.0.0.1", 0), Web)
    server.answer = 200  # type: ignore[attr-defined]
    yield from serve(server)


def call(hook: Hook, folder: Path = Path(), secret: str | None = None) -> None:
    send(
        hook, "alba1: dead", "what was seen", key="k1", secret=secret, folder=folder, domain="e.org"
    )


def mail(smtp: Any, to: str) -> Hook:
    return Hook(kind="mail", to=to, server=f"127.0.0.1:{smtp.server_address[1]}")


def test_a_mail_is_taken(smtp: Any) -> None:
    call(mail(smtp, "ops@e.org"))
    (text,) = smtp.heard
    for line in ("From: metal@e.org", "To: ops@e.org", "Subject: alba1: dead", "<k1@e.org>"):
        assert line in text
    assert text.rstrip().endswith("what was seen")


def test_a_mail_that_is_refused_says_so(smtp: Any) -> None:
    with pytest.raises(Failed, match="no such user"):
        call(mail(smtp, "nobody@e.org"))


def test_no_mail_server_is_unreachable(smtp: Any) -> None:
    hook = mail(smtp, "ops@e.org").model_copy(update={"server": "127.0.0.1:1"})
    with pytest.raises(Unreachable):
        call(hook)


def test_a_webhook_gets_text(web: Any) -> None:
    call(Hook(kind="webhook", to="chat"), secret=f"http://127.0.0.1:{web.server_port}/x/token")
    assert web.heard == [("/x/token", None, {"text": "alba1: dead\n\nwhat was seen", "id": "k1"})]


def test_the_url_of_a_webhook_is_in_no_error(web: Any) -> None:
    web.answer = 404
    hook = Hook(kind="webhook", to="chat")
    with pytest.raises(Failed, match="404") as failed:
        call(hook, secret=f"http://127.0.0.1:{web.server_port}/x/token")
    with pytest.raises(Unreachable) as unreachable:
        call(hook, secret="http://127.0.0.1:1/x/token")
    assert "token" not in f"{failed.value}{unreachable.value}"


def test_a_webhook_without_its_secret_says_how_to_give_it() -> None:
    with pytest.raises(BadInput, match="metal alarm secret"):
        call(Hook(kind="webhook", to="chat"))


def test_a_matrix_room_gets_it_once_by_its_transaction(web: Any) -> None:
    hook = Hook(kind="matrix", to="!r:e.org", server=f"http://127.0.0.1:{web.server_port}")
    call(hook, secret="tok")
    ((path, authorization, body),) = web.heard
    assert path == "/_matrix/client/v3/rooms/%21r%3Ae.org/send/m.room.message/k1"
    assert (authorization, body["msgtype"]) == ("Bearer tok", "m.text")


def test_a_script_gets_subject_key_and_text(tmp_path: Path) -> None:
    script = tmp_path / "page.sh"
    script.write_text('#!/bin/sh\nprintf "%s|%s|%s" "$1" "$2" "$(cat)" > told\n')
    script.chmod(0o755)
    call(Hook(kind="script", to="page.sh"), tmp_path)
    assert (tmp_path / "told").read_text() == "alba1: dead|k1|what was seen"


def test_a_script_that_fails_says_its_last_line(tmp_path: Path) -> None:
    script = tmp_path / "page.sh"
    script.write_text("#!/bin/sh\necho no modem >&2\nexit 3\n")
    script.chmod(0o755)
    with pytest.raises(Failed, match="ended with 3: no modem"):
        call(Hook(kind="script", to="page.sh"), tmp_path)
    with pytest.raises(Failed, match="cannot be run"):
        call(Hook(kind="script", to="nothing.sh"), tmp_path)


@pytest.mark.parametrize("waits", ["wait", "exit 0"])
def test_what_a_script_started_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: str
) -> None:
    """Also where the script itself is over, and what it started holds its output open."""
    monkeypatch.setattr(hooks, "SECONDS", 1.0)
    pipe, script = tmp_path / "pipe", tmp_path / "page.sh"
    os.mkfifo(pipe)
    script.write_text(f"#!/bin/sh\nsleep 1000 3> {pipe} &\n{waits}\n")
    script.chmod(0o755)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(Failed, match="ran for more than 1 s"):
        call(Hook(kind="script", to="page.sh"), tmp_path)
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b"", "nobody is left who could write to it"
    os.close(reader)


def test_a_hook_that_hangs_keeps_neither_the_rounds_nor_the_others_waiting(tmp_path: Path) -> None:
    """The one reads from a pipe that is held open; the other's second alarm gets through."""
    pipe, called = tmp_path / "pipe", tmp_path / "called"
    for name, act in (("hangs", f"cat {pipe}"), ("quick", f'echo "$1" >> {called}')):
        script = tmp_path / f"{name}.sh"
        script.write_text(f"#!/bin/sh\n{act}\n")
        script.chmod(0o755)
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDWR)
    hooks = {name: Hook(kind="script", to=f"{name}.sh") for name in ("hangs", "quick")}
    inventory = fleet().model_copy(update={"alarms": hooks})
    with open_store("sqlite", tmp_path / "state") as store:
        eyes = Eyes(Rack(inventory), "lisbon", random.Random(0))
        callers = Callers(SimWorkspace(tmp_path, inventory, store, eyes, lambda _server: None))
        incident, _ = store.incidents.open("server alba1", "dead")
        for subject in ("first", "second"):
            store.alarms.tell(incident.id, tuple(hooks), subject, "text")
            while any(alarm.hook == "quick" for alarm in store.alarms.due()):
                callers.go_on()  # as each round does
        assert called.read_text() == "first\nsecond\n"
        assert [(a.hook, a.subject) for a in store.alarms.due()] == [
            ("hangs", "first"), ("hangs", "second"),
        ]  # fmt: skip
        pipe.unlink()
        pipe.write_text("")
        os.close(held)
        while store.alarms.due():
            callers.go_on()
        callers.settle(60)
