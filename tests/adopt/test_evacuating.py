"""`metal evacuate --act`: a site is left for another one, killed on the way, and nothing runs
twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner

from metal.cli.root import metal
from metal.controller.departures import Departures
from metal.controller.evacuating import evacuation
from metal.controller.leaving import carry_out, left_behind, order_to_leave
from metal.controller.look import look
from metal.controller.progress import silent
from metal.controller.running import cancel_run
from metal.controller.tokens import ensure_token
from metal.controller.watch_loop import WatchLoop
from metal.controller.workspace import Workspace
from metal.drivers.proxmox.api import Api
from metal.heal.leaving import Leaving
from metal.lab.proxmox.state import Vm
from metal.model.errors import Failed, Refused
from metal.model.life import Life
from metal.operations.steps import Steps

from .conftest import BARE, NET, PORT, SERVER

NAMES = ("alba1", "alba2", "alba3", "bora1", "bora2", "bora3")
NUMBERS = (1, 2, 3, 65, 66, 67)
"""Of their addresses: the two sites have networks of their own."""
HAS = """\
[servers.{name}.learned]
memory_gib = 64
threads = 16
disks = [{{ name = "sda", size_gib = 200 }}, {{ name = "sdb", size_gib = 900 }}]
"""
AWAY = """
[sites.away]
place = "elsewhere"
donor = { name = "Them", contact = "noc@them.example.org", mbit = 400_000 }

[sites.away.subnets]
bmc = "10.2.0.0/24"
management = "10.2.1.0/24"
gateway = "10.2.1.1"
private_ipv4 = "10.2.128.0/20"
"""
FLEET = """
[clusters.alba]
servers = ["alba1", "alba2", "alba3"]
[clusters.bora]
servers = ["bora1", "bora2", "bora3"]

[vms.git]
size = "small"
cluster = "alba"
priority = 90
why = "inside only"
adopted = { vmid = 101, called = "git", addresses = ["10.0.0.5/24"] }

[vms.web]
size = "small"
priority = 50
why = "inside only"
"""
VMS = {"git": 101, "web": 102}


class Killed(BaseException):
    """The process dies here."""


@pytest.fixture
def twice(monkeypatch: pytest.MonkeyPatch, fleet: Any) -> list[int]:
    """VMs that were begun while another copy of them ran anywhere; empty at the end."""
    found: list[int] = []
    begin = Vm.begin

    def watched(vm: Vm, node: str, now: float) -> None:
        with fleet.datacenter.present() as nodes:
            books = {id(n.cluster): n.cluster for n in nodes.values()}.values()
            same = [c.vms[vm.vmid] for c in books if vm.vmid in c.vms]
        if any(other is not vm and other.copies for other in same):
            found.append(vm.vmid)
        begin(vm, node, now)

    monkeypatch.setattr(Vm, "begin", watched)
    return found


@pytest.fixture
def fleet(foreign: Any, workspace: Workspace) -> Iterator[Any]:
    """alba at home with two VMs, bora away; both lent with uplinks so wide that a day of the plan
    is a second."""
    nodes = foreign(*NAMES, numbers=NUMBERS)
    nodes.datacenter.put_cluster("alba", NAMES[:3], ceph="vms")
    nodes.datacenter.put_cluster("bora", NAMES[3:], ceph="vms")
    text = BARE.replace("10.1.1.0/24", f"{NET}.0/26").replace("10.1.1.1", f"{NET}.62")
    text = text.replace('contact = "us@example.org"', 'contact = "us@example.org", mbit = 400_000')
    text = text.replace("[servers]\n[clusters]\n[vms]\n", "")
    text += AWAY.replace("10.2.1.0/24", f"{NET}.64/26").replace("10.2.1.1", f"{NET}.126")
    for name, number in zip(NAMES, NUMBERS, strict=True):
        server = SERVER.format(name=name, address=f"{NET}.{number}", port=PORT)
        if name.startswith("bora"):
            server = server.replace('site = "home"', 'site = "away"')
        text += server + HAS.format(name=name)
    (workspace.folder / "inventory.toml").write_text(text + FLEET)
    workspace.reload()
    for name in NAMES:
        for life in (Life.ENROLLED, Life.INSTALLED, Life.MEMBER):
            workspace.store.servers.move(name, life)
        workspace.store.servers.pin(name, nodes.pins[name])
        workspace.secrets.escrow(f"root/{name}", "secret-root", controller=True)
    for cluster in ("alba", "bora"):
        ensure_token(workspace, cluster)
    for vm, vmid in VMS.items():
        disk = f"vms:vm-{vmid}-disk-0,size=20G"
        net = f"virtio=BC:24:11:00:00:{vmid - 100:02},bridge=vmbr0"
        nodes.vm(vmid, "alba1", name=vm, onboot=1, scsi0=disk, net0=net)
    yield nodes


def run(workspace: Workspace, *words: str) -> Any:
    return CliRunner().invoke(metal, ["-C", str(workspace.folder), *words])


def order(workspace: Workspace) -> Leaving:
    return order_to_leave(workspace, evacuation(workspace, look(workspace), "home")[0])


def where(fleet: Any) -> dict[str, tuple[str, list[str]]]:
    """VM → (server, servers where it runs)."""
    vms = fleet.datacenter.truth()["vms"]
    names = {vmid: vm for vm, vmid in VMS.items()}
    assert len(vms) == len({vm["vmid"] for vm in vms}), "one is in two clusters"
    return {names[v["vmid"]]: (v["node"], v["copies"]) for v in vms if v["vmid"] in names}


def all_away(fleet: Any) -> None:
    for server, copies in where(fleet).values():
        assert server.startswith("bora") and copies == [server]


def test_the_command_leaves_the_site(
    fleet: Any, workspace: Workspace, twice: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each at half of the uplink; what is left for a person is said; the hand-back list ends it."""
    sent: list[dict[str, Any]] = []
    real = Api.run

    def watched(api: Api, path: str, params: dict[str, Any], *more: Any) -> None:
        if path.endswith("remote_migrate"):
            sent.append(params)
        real(api, path, params, *more)

    monkeypatch.setattr(Api, "run", watched)
    done = run(workspace, "evacuate", "home", "--act", "--yes", "-o", "json")
    assert done.exit_code == 0, done.output
    all_away(fleet)
    assert not twice
    assert [p["target-vmid"] for p in sent] == [101, 102], "the most important first"
    assert {p["bwlimit"] for p in sent} == {200_000_000_000 // 8 // 1024}
    document = json.loads(done.stdout)
    assert document["moves"] == document["stranded"] == []
    assert [back["server"] for back in document["hand_back"]] == ["alba1", "alba2", "alba3"]
    git = document["moved"]["git"]
    assert (git["cluster"], git["server"][:4]) == ("bora", "bora")
    assert git["give"] and all(a.startswith("10.2.") or ":" in a for a in git["give"])
    assert f"git is in bora, on {git['server']}: give it {git['give'][0]}" in done.stderr
    assert 'cluster = "bora"' in (workspace.folder / "inventory.toml").read_text()
    again = run(workspace, "evacuate", "home", "--act", "--yes")
    assert again.exit_code == 0 and "home: no VM is left there" in again.stdout


def test_it_asks_first_and_says_what_is_missing(fleet: Any, workspace: Workspace) -> None:
    asked = run(workspace, "evacuate", "home", "--act")
    assert isinstance(asked.exception, Refused)
    assert "home: 2 VMs can go elsewhere" in asked.output
    file = workspace.folder / "inventory.toml"
    file.write_text(file.read_text().replace(", mbit = 400_000", ""))
    untold = run(workspace, "evacuate", "home", "--act", "--yes")
    assert isinstance(untold.exception, Refused)
    assert "nobody told what the uplink of home, away carries" in str(untold.exception)
    assert not workspace.store.journal.list()
    assert {server for server, _ in where(fleet).values()} == {"alba1"}


def test_survival_is_asked_again_before_each(fleet: Any, workspace: Workspace) -> None:
    """Since the plan somebody filled bora: nobody comes, until there is room again."""
    planned = order(workspace)
    for number, name in enumerate(NAMES[3:]):
        fleet.vm(300 + number, name, name=f"guest{number}", memory=str(40 * 1024))
    with pytest.raises(Failed, match="2 VMs did not go") as failed:
        carry_out(workspace, planned, silent)
    assert "death of one server could not be survived" in str(failed.value)
    assert "`metal evacuate --act home` goes on from there" in str(failed.value)
    assert {server for server, _ in where(fleet).values()} == {"alba1"}
    with fleet.datacenter.present() as nodes:
        for number in range(3):
            del nodes["bora1"].cluster.vms[300 + number]
    carry_out(workspace, planned, silent)
    all_away(fleet)


def test_one_that_cannot_go_keeps_nobody(
    fleet: Any, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bora has a VM of git's number: web goes all the same, and cancelling keeps that."""
    planned = order(workspace)
    fleet.vm(101, "bora1", name="impostor", running=False)
    with pytest.raises(Failed, match="bora has a VM 101 already"):
        carry_out(workspace, planned, silent)
    with fleet.datacenter.present() as nodes:
        assert nodes["alba1"].cluster.vms[101].copies, "git runs on"
        assert 102 not in nodes["alba1"].cluster.vms
    journal = workspace.store.journal
    holder = journal.holder("evacuation home")
    assert holder is not None
    cancel_run(workspace, holder)
    assert journal.holder("cluster alba") is None


class Dying:
    """The process dies when the journal would hold its next result: before, or after it does."""

    def __init__(self, *, after: bool) -> None:
        self.after = after

    def wrap(self, real: Any) -> Any:
        def finish(*args: Any) -> None:
            if self.after:
                real(*args)
            raise Killed

        return finish


def test_killed_at_every_step_nothing_runs_twice(
    fleet: Any, workspace: Workspace, twice: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the evacuation and of each move in it: each is done, not written, done again, written."""
    planned, real = order(workspace), Steps.finish
    for rounds in range(120):
        dying = Dying(after=bool(rounds % 2))
        with monkeypatch.context() as patched:
            patched.setattr(Steps, "finish", dying.wrap(real))
            try:
                said = carry_out(workspace, planned, silent)
                break
            except Killed:
                for _, copies in where_each(fleet):
                    assert len(copies) <= 1
    assert rounds > 2 * 2 * 8, "each VM has eight steps, each killed twice"
    assert not twice
    assert set(said["vms"]) == {"git", "web"}
    all_away(fleet)
    assert fleet.datacenter.counts["POST nodes/*/qemu/*/remote_migrate"] == 2
    assert not workspace.store.journal.list(open_only=True)


def where_each(fleet: Any) -> Iterator[tuple[int, list[str]]]:
    """(vmid, servers where it runs), whatever cluster has a book of it."""
    with fleet.datacenter.present() as nodes:
        books = {id(n.cluster): n.cluster for n in nodes.values()}.values()
        for vmid in VMS.values():
            yield vmid, [at for c in books if vmid in c.vms for at in c.vms[vmid].copies]


KILLING = """
import os, signal, sys
from metal.cli import main
from metal.operations.steps import Steps
real, left = Steps.finish, int(sys.argv[1])
def finish(*args):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(*args)
Steps.finish = finish
sys.exit(main(sys.argv[2:]))
"""


def test_a_process_that_is_killed_for_good(
    fleet: Any, workspace: Workspace, twice: list[int]
) -> None:
    """SIGKILL, and another process takes over at once: the owner is provably gone."""
    words = ["-C", str(workspace.folder), "evacuate", "home", "--act", "--yes"]
    for steps in (3, 5, 7):
        command = [sys.executable, "-c", KILLING, str(steps), *words]
        ended = subprocess.run(command, capture_output=True, text=True, env=os.environ)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
    done = run(workspace, "evacuate", "home", "--act")
    assert done.exit_code == 0, done.output
    assert "as it was agreed" in done.output, "nobody is asked again"
    all_away(fleet)
    assert not twice
    assert fleet.datacenter.counts["POST nodes/*/qemu/*/remote_migrate"] == 2


def killed(workspace: Workspace, steps: int = 4) -> None:
    """Begun by a process that dies in the middle of the first move."""
    words = ["-C", str(workspace.folder), "evacuate", "home", "--act", "--yes"]
    command = [sys.executable, "-c", KILLING, str(steps), *words]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL


def test_resumed_as_other_operations_are(
    fleet: Any, workspace: Workspace, twice: list[int]
) -> None:
    killed(workspace)
    number = workspace.store.journal.holder("evacuation home")
    done = run(workspace, "run", "resume", str(number))
    assert done.exit_code == 0, done.output
    all_away(fleet)
    assert not twice
    assert not workspace.store.journal.list(open_only=True)


def test_a_watcher_goes_on_with_it(fleet: Any, workspace: Workspace, twice: list[int]) -> None:
    killed(workspace)
    loop, end = WatchLoop(workspace, silent, act=True, every=0.05, place="here"), Event()
    for number, report in enumerate(loop.rounds(end)):
        assert not report.actions and number < 1000
        if not workspace.store.journal.list(open_only=True):
            end.set()
    all_away(fleet)
    assert not twice
    assert fleet.datacenter.counts["POST nodes/*/qemu/*/remote_migrate"] == 2


def test_a_watcher_that_leads_no_more_moves_nothing(
    fleet: Any, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    killed(workspace, steps=2)
    term = workspace.store.leading.seek("watch", "here", 60)
    assert term is not None
    workspace.store.leading.resign(term)
    departures = Departures(workspace, silent)
    departures.go_on(term)
    assert departures.settle(60)
    assert {server for server, _ in where(fleet).values()} == {"alba1"}
    assert "leaving home: " in caplog.text


def test_a_watcher_leaves_what_failed_to_a_person(fleet: Any, workspace: Workspace) -> None:
    planned = order(workspace)
    fleet.vm(101, "bora1", name="impostor", running=False)
    with pytest.raises(Failed, match="one VM did not go"):
        carry_out(workspace, planned, silent)
    assert left_behind(workspace) is None


def test_a_watcher_tells_that_it_failed(fleet: Any, workspace: Workspace) -> None:
    killed(workspace)
    fleet.vm(101, "bora1", name="impostor", running=False)
    term = workspace.store.leading.seek("watch", "here", 60)
    assert term is not None
    departures = Departures(workspace, silent)
    departures.go_on(term)
    assert departures.settle(120)
    (incident,) = workspace.store.incidents.list()
    assert (incident.subject, incident.state) == ("leaving home", "stopped")
    told = [note.text for note in workspace.store.incidents.show(incident.id).notes]
    assert any("one VM did not go" in text for text in told)
    assert "`metal evacuate home --act` goes on with it" in told
    departures.go_on(term)
    assert departures.settle(1), "a person goes on with it"
    assert len(workspace.store.incidents.list()) == 1
