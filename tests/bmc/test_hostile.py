"""BMCs that are not only odd but mean it: nothing of ours reaches another host, nothing of theirs
steers a terminal, and none of them can keep a sweep from ending."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import HTMLResponse, Response

from metal.drivers import redfish_budget, redfish_session, redfish_tree
from metal.drivers.bmc import connect
from metal.drivers.placeholders import told
from metal.drivers.redfish import Redfish
from metal.drivers.redfish_facts import read_facts
from metal.drivers.redfish_tree import Tree
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.redfish_faults import error
from metal.lab.redfish_offline import OfflineSession
from metal.lab.web import WebServer, self_signed
from metal.model.errors import Failed, Unreachable
from metal.model.fleet import BmcAccess
from metal.model.visible import escaped, visible

Open = Callable[..., Redfish]
SYSTEM = "/redfish/v1/Systems/1"
Patch = Callable[[str, dict[str, Any]], dict[str, Any]]


@pytest.fixture
def elsewhere() -> Iterator[socket.socket]:
    """A port that nobody may ever connect to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def untouched(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return True
    return False


def answers(bmc: RedfishBmc, change: Patch) -> None:
    shown = bmc._resource
    bmc._resource = lambda path: change(path, shown(path))  # type: ignore[method-assign,assignment,return-value,arg-type]


@pytest.mark.parametrize("form", ["@{}/x", "https://{}/x", "//{}/x", "https:@{}/x", "\\@{}/x"])
def test_a_link_to_another_host_takes_nothing_there(
    open_redfish: Open, redfish_bmc: RedfishBmc, elsewhere: socket.socket, form: str
) -> None:
    """Behind our own address "@elsewhere/x" would make that a user name, and send the token."""
    away = form.format(f"localhost:{elsewhere.getsockname()[1]}")
    link = {"@odata.id": away}
    answers(redfish_bmc, lambda p, b: b | {"Storage": link, "Memory": link} if p == SYSTEM else b)
    facts = open_redfish().facts()
    assert facts.serial == "8XKQ2L2" and facts.dimms is None and facts.unknown["dimms"]
    assert untouched(elsewhere)


def test_a_log_in_that_is_kept_elsewhere_is_never_sent_there(
    open_redfish: Open, redfish_bmc: RedfishBmc, elsewhere: socket.socket
) -> None:
    sessions = {"Sessions": {"@odata.id": f"@localhost:{elsewhere.getsockname()[1]}/x"}}
    answers(redfish_bmc, lambda p, b: b | {"Links": sessions} if p == "/redfish/v1" else b)
    with pytest.raises(Failed, match="no path"):
        open_redfish()
    assert untouched(elsewhere)


def test_members_without_end_are_none_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redfish_session, "MEMBERS", 10)
    members = [{"@odata.id": f"/m/{i}"} for i in range(11)]
    session = OfflineSession({"/m": {"Members": members}})
    with pytest.raises(Failed, match="has no end: 10 members"):
        list(session.members("/m"))


class Endless(dict[str, object]):
    """A machine whose storages and drives have no end."""

    storage = f"{SYSTEM}/Storage"

    def get(self, path: str, default: object = None) -> object:
        if re.fullmatch(rf"{self.storage}/s\d+", path):
            drives = [{"@odata.id": f"{path}/Drives/{i}"} for i in range(900)]
            return {"@odata.id": path, "Id": "s", "Drives": drives}
        if "/Drives/" in path:
            return {"Id": "d", "SerialNumber": path, "Pad": "x" * 1000}
        return super().get(path, default)


def endless() -> Endless:
    root = "/redfish/v1"
    tree = Endless({root: {"Systems": {"@odata.id": f"{root}/Systems"}}})
    tree[f"{root}/Systems"] = {"Members": [{"@odata.id": SYSTEM}]}
    tree[SYSTEM] = {
        "Id": "1",
        "SerialNumber": "SN42X7",
        "Boot": {"BootSourceOverrideTarget": "None"},
        "Storage": {"@odata.id": tree.storage},
    }
    tree[tree.storage] = {
        "Members": [{"@odata.id": f"{tree.storage}/s{i}"} for i in range(900)],
    }
    return tree


def test_a_look_ends_whatever_there_is_to_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redfish_budget, "CALLS", 2000)
    session = OfflineSession(endless())
    with session.look(remember=True):
        facts = read_facts(Tree(session), "198.51.100.1")
    assert len(session.asked) == 2000 and facts.serial == "SN42X7"
    assert "the look took 2000 calls" in facts.unknown["drives"]
    assert [note for note in facts.notes if "2000 calls" in note] == [
        "not read: the look took 2000 calls, and all that was left is not read"
    ]


@pytest.mark.parametrize(("limit", "most"), [("SECONDS", -1.0), ("BYTES", 1)])
def test_a_look_has_an_end_in_seconds_and_in_bytes(
    monkeypatch: pytest.MonkeyPatch, open_redfish: Open, limit: str, most: float
) -> None:
    monkeypatch.setattr(redfish_budget, limit, most)
    with pytest.raises(Failed, match="the look took"):
        open_redfish().facts()


def test_what_is_read_is_kept_only_while_that_is_little(
    monkeypatch: pytest.MonkeyPatch, open_redfish: Open
) -> None:
    bmc = open_redfish()
    monkeypatch.setattr(redfish_budget, "REMEMBERED", 2000)
    with bmc._session.look(remember=True):
        read_facts(bmc._tree, "198.51.100.1")
        kept, budget = len(bmc._session._memory), bmc._session._budget
    assert budget and budget.received > 5000 and 0 < kept < budget.calls / 2


def test_a_list_without_end_in_a_resource_is_none_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redfish_tree, "MEMBERS", 800)
    session = OfflineSession(endless())
    facts = read_facts(Tree(session), "198.51.100.1")
    assert "Drives has no end: it lists 900" in facts.unknown["drives"]
    assert not any("/Drives/" in path for path in session.asked)


@pytest.mark.parametrize(
    "text", ["AB" * 3000, 10**4000, "W " * 3000], ids=["letters", "digits", "words"]
)
def test_no_text_is_longer_than_a_name_may_be(text: Any) -> None:
    """Or all of it would stand in inventory.toml."""
    long = dict.fromkeys(("Model", "SerialNumber", "SKU", "BiosVersion", "Name", "Id"), text)
    system = f"{SYSTEM}/Memory/1"
    tree: dict[str, object] = {
        "/redfish/v1": {"Systems": {"@odata.id": "/redfish/v1/Systems"}},
        "/redfish/v1/Systems": {"Members": [{"@odata.id": SYSTEM}]},
        SYSTEM: long | {"Boot": {"A": 1}, "Memory": {"@odata.id": f"{SYSTEM}/Memory"}},
        f"{SYSTEM}/Memory": {"Members": [{"@odata.id": system}]},
        system: {"CapacityMiB": 8192, "DeviceLocator": text, "Id": text},
    }
    facts = read_facts(Tree(OfflineSession(tree)), "198.51.100.1")
    told_here = [facts.model, facts.serial, facts.sku, facts.bios_version]
    told_here += [dimm.slot for dimm in facts.dimms or ()]
    assert facts.dimms and max(len(t or "") for t in told_here) <= 256
    assert isinstance(text, int) or facts.serial == f"{text[:255]}…"


def test_an_account_whose_name_steers_is_shown_on_one_line(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    name = "oper\nator\x1b[2J"
    bmc = open_redfish()
    redfish_bmc.logins.create({"UserName": name, "Password": "Oper-ator-16-byt"})
    assert "oper ator?[2J" in [a.name for a in bmc.accounts()]
    bmc.ensure_locked_out(name)
    assert not redfish_bmc.works(name, "Oper-ator-16-byt")


def test_a_page_for_people_is_named_where_ipmi_is_silent_too(tmp_path: Path) -> None:
    async def page(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"<html>"})

    own = self_signed(tmp_path, "page", "127.0.0.1")
    server = WebServer(page, "127.0.0.1", certificate=own).start()
    access = BmcAccess(address="127.0.0.1", port=server.port, timeout=0.5)
    try:
        with pytest.raises(Unreachable, match=r"is no JSON \(text/html(?s:.*)no IPMI on UDP port"):
            connect(access, "root", "calvin-0")
    finally:
        server.stop()


@pytest.mark.parametrize("steer", ["\x1b[2J", "\x9b2J", "\x07", "\x00", "\u202e", "\u2066", "\x7f"])
def test_nothing_a_bmc_says_steers_a_terminal(steer: str) -> None:
    text = f"R{steer}730"
    assert told(text) == "R730".replace("730", f"{steer[1:] if len(steer) > 1 else ''}730")
    assert not set(visible(text)) & {steer[0]} and "730" in visible(text)
    assert steer[0] not in escaped(text) and escaped("a\nb\tc – ü") == "a\nb\tc – ü"


@pytest.mark.parametrize("where", ["header", "header later", "error later", "redirect"])
def test_a_password_that_it_was_sent_is_in_no_error(
    open_redfish: Open, redfish_bmc: RedfishBmc, where: str
) -> None:
    """Not in what it answers to the password, nor in what it says of something else later."""
    password = "N3w-password-16b"
    original = redfish_bmc._handle
    mean = {
        "error later": error(500, f"the last write ({password}) broke me"),
        "redirect": Response(
            status_code=307, headers={"Location": f"https://{password}/redfish/v1/"}
        ),
    }.get(where, HTMLResponse("<html>", headers={"Content-Type": f"x; {password} \x1b[31m"}))

    async def handle(request: Any) -> Any:
        if request.method == "GET" and where != "header" and sent[0]:
            return mean
        if request.method in ("POST", "PATCH") and "/Accounts" in request.url.path:
            sent[0] = True
            return mean if where == "header" else await original(request)
        return await original(request)

    sent = [False]
    redfish_bmc.stop()
    redfish_bmc._handle = handle  # type: ignore[method-assign]
    redfish_bmc.start()
    bmc = open_redfish()
    with pytest.raises(Failed) as caught:
        bmc.ensure_account("metal", password)
        bmc.facts()
    assert password not in str(caught.value) and "\x1b" not in str(caught.value)
    assert "…" in str(caught.value)
