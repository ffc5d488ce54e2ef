"""The boot service over real HTTP: what is answered, and what is refused."""

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import requests

from metal.drivers import netboot, netboot_body
from metal.drivers.netboot import boot_app
from metal.drivers.web import WebServer
from metal.model.errors import BadInput, Failed, Refused, Unreachable

TOKEN = "t" * 43


class Desk:
    """A desk for one machine, so simple that it can be seen through."""

    def __init__(self, folder):
        self.folder, self.taken, self.reports = folder, False, []
        self.error = None
        self.lock, self.gate = threading.Lock(), None

    def script(self, mac, uuid, loader):
        if self.gate:
            self.gate.wait(10)
        if self.error:
            raise self.error
        return f"#!{loader}\n# {mac} {uuid}\n"

    def preseed(self, token):
        if token != TOKEN:
            return None
        with self.lock:
            if self.taken:
                raise Refused("taken")
            self.taken = True
        return "d-i secret\n"

    def report(self, token, phase, details):
        if phase == "base":
            raise Refused("not yet")
        if phase == "up" and not details:
            raise BadInput("a fingerprint is wanted")
        self.reports.append((phase, details))
        return token == TOKEN

    def file(self, suite, name):
        file = self.folder / suite / name
        return file if file.is_file() else None


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "trixie").mkdir()
    (tmp_path / "trixie" / "linux").write_bytes(b"kernel" * 100_000)
    (tmp_path / "secret").write_text("not for you")
    return Desk(tmp_path)


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
def url(server, desk):
    server.app = boot_app(desk)
    return server.url


def counts(url):
    return requests.get(f"{url}/healthz", timeout=5).json()["counts"]


def raw(url, method, path, body=None, headers=None):
    """A request as it stands: requests would tidy the path up."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize("mac", ["02:00:5e:00:00:0A", "02-00-5E-00-00-0a"])
def test_boot_tells_the_desk_mac_and_uuid_in_one_form(url, mac):
    uuid = "4C4C4544-0042-4A10-8036-B4C04F4D3132"
    answer = requests.get(f"{url}/boot", {"mac": mac, "uuid": uuid}, timeout=5)
    assert answer.text == f"#!ipxe\n# 02:00:5e:00:00:0a {uuid.lower()}\n"


def test_a_signed_grub_is_answered_in_its_own_words(url):
    answer = requests.get(f"{url}/boot.cfg", {"mac": "02:00:5e:00:00:0a"}, timeout=5)
    assert answer.text == "#!grub\n# 02:00:5e:00:00:0a None\n"


@pytest.mark.parametrize("path", ["/boot.cfg?mac=02:00:5e:00:00:0a", "/installer/trixie/linux"])
def test_grub_finds_how_long_an_answer_is(url, path):
    """It compares the header's name letter by letter."""
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5) as asked:
        asked.sendall(f"GET {path} HTTP/1.1\r\nHost: boot\r\n\r\n".encode())
        head = asked.recv(65536).partition(b"\r\n\r\n")[0]
    assert b"\r\nContent-Length: " in head


@pytest.mark.parametrize(
    "query",
    ["", "mac=", "mac=x", "uuid=1", "mac=02:00:5e:00:00:0a&uuid=../../x", "mac=" + "0" * 5000],
)
def test_a_machine_that_does_not_say_who_it_is_gets_nothing(url, query):
    assert requests.get(f"{url}/boot?{query}", timeout=5).status_code == 400
    assert counts(url)["bad_request"] == 1


def test_the_installer_is_served_whole(url):
    answer = requests.get(f"{url}/installer/trixie/linux", timeout=5)
    assert answer.content == b"kernel" * 100_000


@pytest.mark.parametrize(
    "path",
    [
        "/installer/trixie/../secret",
        "/installer/../secret",
        "/installer/trixie/..%2fsecret",
        "/installer/..%2f/secret",
        "/installer/%2e%2e/secret",
        "/installer//etc/passwd",
        "/installer/trixie/initrd.gz",
        "/installer/sid/linux",
        "/etc/passwd",
    ],
)
def test_no_path_leads_elsewhere(url, path):
    status, body = raw(url, "GET", path)
    assert status == 404
    assert b"not for you" not in body and b"root:" not in body


def test_a_preseed_comes_once_and_is_not_cached(url):
    first, second = (requests.get(f"{url}/preseed/{TOKEN}", timeout=5) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 410)
    assert first.headers["cache-control"] == "no-store"
    assert counts(url)["preseed_again"] == 1


def test_of_many_at_once_one_gets_the_preseed(url):
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda _: requests.get(f"{url}/preseed/{TOKEN}", timeout=9), "x" * 16)
        )
    assert sorted(a.status_code for a in answers) == [200] + [410] * 15


@pytest.mark.parametrize("token", ["x" * 43, "short", "t" * 200, "%00", "..%2f", "t" * 42 + "%0a"])
def test_an_unknown_token_is_404(url, token):
    assert requests.get(f"{url}/preseed/{token}", timeout=5).status_code == 404
    assert requests.post(f"{url}/report/{token}/finished", timeout=5).status_code == 404


def test_asking_for_the_head_of_a_preseed_does_not_use_it_up(url):
    assert requests.head(f"{url}/preseed/{TOKEN}", timeout=5).status_code == 405
    assert requests.get(f"{url}/preseed/{TOKEN}", timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("sent", "noted"),
    [
        ({"data": ""}, {}),
        ({"data": {"fingerprint": "AB:CD"}}, {"fingerprint": "AB:CD"}),
        ({"json": {"a": [1, None]}}, {"a": [1, None]}),
        # As busybox sends JSON: it says that it is a form.
        (
            {"data": '{"a": 1}', "headers": {"content-type": "application/x-www-form-urlencoded"}},
            {"a": 1},
        ),
    ],
)
def test_reports_come_as_json_or_as_a_form(url, desk, sent, noted):
    answer = requests.post(f"{url}/report/{TOKEN}/finished", timeout=5, **sent)
    assert answer.status_code == 200
    assert desk.reports == [("finished", noted)]


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe", b"{", b'{"a": NaN}', b"[" * 9000, b"{" * 9000, b"a=1&b", b"{}" * 3, b'"x"'],
)
def test_other_bodies_are_refused(url, desk, body):
    answer = requests.post(f"{url}/report/{TOKEN}/finished", data=body, timeout=5)
    assert answer.status_code == 400
    assert desk.reports == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_read_no_further_than_it_may_be_long(url, desk, chunked):
    body = b"a=" + b"x" * netboot.REPORT_BYTES
    data = iter([body[i : i + 1000] for i in range(0, len(body), 1000)]) if chunked else body
    answer = requests.post(f"{url}/report/{TOKEN}/finished", data=data, timeout=5)
    assert answer.status_code == 413
    assert desk.reports == []
    assert counts(url)["oversize"] == 1


def begun(url, path):
    """A request whose body was announced, and of which no more than a piece comes."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{".encode())
    return connection


def test_who_sends_a_piece_and_then_stays_is_sent_away(url, desk, monkeypatch):
    """Of those that are answered at once each would hold a place for ever."""
    monkeypatch.setattr(netboot_body, "SECONDS", 0.1)
    with begun(url, f"/report/{TOKEN}/finished") as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")
    assert desk.reports == []
    assert counts(url)["slow"] == 1


def test_who_breaks_off_is_counted_and_no_fault_of_ours(url, desk, capfd):
    begun(url, f"/report/{TOKEN}/finished").close()
    assert any(counts(url).get("broken_off") for _ in range(500))
    assert desk.reports == []
    assert capfd.readouterr().err == "", "no page of Python for each"


@pytest.mark.parametrize("phase", ["opened", "script", "preseed", "nonsense"])
def test_a_machine_reports_only_what_it_can_know(url, desk, phase):
    assert requests.post(f"{url}/report/{TOKEN}/{phase}", timeout=5).status_code == 404
    assert desk.reports == []


def test_what_the_desk_refuses_is_told_apart(url):
    statuses = [
        requests.post(f"{url}/report/{TOKEN}/{phase}", timeout=5).status_code
        for phase in ("base", "up", "finished")
    ]
    assert statuses == [409, 400, 200]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_are_refused(url, method):
    for path in ("/boot?mac=02:00:5e:00:00:0a", f"/preseed/{TOKEN}", "/healthz"):
        assert raw(url, method, path)[0] == 405


@pytest.mark.parametrize(
    ("error", "status"),
    [(Failed("the key k3y is gone", where="/srv/state"), 500), (Unreachable("db k3y"), 503)],
)
def test_a_desk_in_trouble_tells_machines_nothing_of_it(url, desk, error, status):
    desk.error = error
    answer = requests.get(f"{url}/boot?mac=02:00:5e:00:00:0a", timeout=5)
    assert answer.status_code == status
    assert "k3y" not in answer.text and "/srv" not in answer.text
    assert counts(url)["failed"] == 1


def test_a_flood_is_told_to_come_back(url, desk, monkeypatch):
    monkeypatch.setattr(netboot, "AT_ONCE", 4)
    desk.gate = threading.Event()
    boot = f"{url}/boot?mac=02:00:5e:00:00:0a"
    with ThreadPoolExecutor(4) as pool:
        held = [pool.submit(requests.get, boot, timeout=20) for _ in range(4)]
        refused = None
        while refused is None or refused.status_code == 404:
            # /nothing is answered at once as long as fewer than four are in work.
            refused = requests.get(f"{url}/nothing", timeout=5)
        desk.gate.set()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert [answer.result().status_code for answer in held] == [200] * 4
    assert counts(url)["flood"] >= 1


def test_one_address_does_not_hold_every_place(url, desk, monkeypatch):
    """Who fetches much and reads nothing: all others are answered as ever."""
    monkeypatch.setattr(netboot, "EACH", 3)
    desk.gate = threading.Event()
    greedy = [socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) for _ in "abc"]
    for one in greedy:
        one.sendall(b"GET /boot?mac=02:00:5e:00:00:0a HTTP/1.1\r\nHost: boot\r\n\r\n")
    while requests.get(f"{url}/nothing", timeout=5).status_code != 503:
        pass  # until all three are in work
    with source_of("127.0.0.2") as other:
        assert other.get(f"{url}/installer/trixie/linux", timeout=5).status_code == 200
    desk.gate.set()
    for one in greedy:
        assert one.recv(100).startswith(b"HTTP/1.1 200")
        one.close()
    assert requests.get(f"{url}/nothing", timeout=5).status_code == 404


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8:0:1::5", "2001:db8:0:1:a:b:c:d", True),
        ("2001:db8:0:1::5", "2001:db8:0:2::5", False),
        ("2001:db8::5", "2001:db8::6", True),
        ("2001:db8::5", "2001:db8:1::5", False),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
    ],
)
def test_neighbours_are_told_apart_by_their_network(one, other, same):
    who = [netboot._neighbour({"client": (host, 1)}) for host in (one, other)]
    assert (who[0] == who[1]) == same


@contextmanager
def source_of(address):
    """A session that asks from another address of this machine."""

    class Adapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *args, **kwargs):
            super().init_poolmanager(*args, **kwargs, source_address=(address, 0))

    with requests.Session() as session:
        session.mount("http://", Adapter())
        yield session


def test_healthz_counts(url):
    requests.get(f"{url}/preseed/{'x' * 43}", timeout=5)
    said = requests.get(f"{url}/healthz", timeout=5)
    assert json.loads(said.text) == {"ok": True, "counts": {"requests": 2, "unknown_token": 1}}
