"""A VM goes to another cluster, killed at every call, and never runs twice."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metal.cluster.crossing import Crossing, CrossingPorts, cross
from metal.drivers.proxmox import NoPassword
from metal.drivers.proxmox.api import Api
from metal.lab.proxmox.state import Vm
from metal.model.addresses import Addressing
from metal.model.errors import Failed, Refused
from metal.model.hypervisor import Landing
from metal.model.life import Status
from metal.operations.run import Outcome, perform
from metal.operations.store import Store, open_store

VMID = 101
SID = "vm:101"
BORA = ("bora1", "bora2", "bora3")
NFS = {"type": "nfs", "server": "10.0.0.9", "export": "/backups", "content": "backup"}


class Killed(BaseException):
    """The process dies here: nothing that catches errors may see it."""


class Two:
    """Two clusters in one datacenter, a VM in the first, and what may happen to it."""

    def __init__(self, lab: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lab, self.store, self.dc = lab, store, lab.datacenter
        net = lab.network.rpartition(".")[0]
        for number, name in enumerate(BORA, 11):
            lab.add(name, f"{net}.{number}")
        self.dc.put_cluster("alba", lab.nodes, ceph="vms")
        self.dc.put_cluster("bora", BORA, ceph="fast")
        self.alba, self.bora = lab.driver(), lab.driver(*BORA, cluster="bora")
        self.token = self.bora.make_token("attic", "a test")
        self.twice: list[str] = []
        self.written: list[str] = []
        begin = Vm.begin

        def watched(vm: Vm, node: str, now: float) -> None:
            with self.dc.present() as nodes:
                books = {id(n.cluster): n.cluster for n in nodes.values()}.values()
                same = [c.vms[vm.vmid] for c in books if vm.vmid in c.vms]
            if any(other is not vm and other.copies for other in same):
                self.twice.append(node)
            begin(vm, node, now)

        monkeypatch.setattr(Vm, "begin", watched)

    def vm(self, *, running: bool = True, ha: bool = True) -> None:
        self.alba.ensure_vm(
            vmid=VMID,
            name="git",
            node="alba1",
            vcpus=1,
            memory_mib=1024,
            disk_gib=10,
            storage="vms",
            addressing=Addressing(treatment="ipv6", private_ipv4="10.0.0.5/24"),
            ha=ha,
        )
        if running:
            self.alba.ensure_started(VMID)

    def move(self, wrap: Callable[[Any], Any] = lambda d: d, **changes: Any) -> Outcome:
        given: dict[str, Any] = {"way": "live", "storage": "fast", **changes}
        order = Crossing(vm="git", vmid=VMID, source="alba", target="bora", server="bora2", **given)

        def landing(disk_gib: int) -> Landing:
            return self.bora.landing("bora2", self.token, order.storage, disk_gib)

        write_down = lambda: self.written.append("git")  # noqa: E731
        ports = CrossingPorts(wrap(self.alba), wrap(self.bora), landing, write_down, 0.02, 30)
        operation = self.store.journal.open("move", "git bora", ["vm git"], {})
        return perform(self.store, operation, lambda run: cross(run, order, ports))

    def books(self) -> dict[str, Vm]:
        """Cluster → what it has of the VM."""
        with self.dc.present() as nodes:
            books = {n.cluster.name: n.cluster for n in nodes.values()}
            return {name: c.vms[VMID] for name, c in books.items() if VMID in c.vms}

    def has_arrived(self, *, running: bool = True, ha: bool = True) -> None:
        assert not self.twice
        assert set(self.books()) == {"bora"}
        there = self.books()["bora"]
        assert (there.node, there.lock) == ("bora2", "")
        assert list(there.copies) == (["bora2"] if running else [])
        assert "fast:" in str(there.config["scsi0"])
        assert (VMID in self.bora.ha_managed()) is ha
        assert VMID not in self.alba.ha_managed()
        assert self.written


@pytest.fixture
def two(lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Two]:
    with open_store("sqlite", tmp_path / "state") as store:
        yield Two(lab, store, monkeypatch)


def test_it_is_sent_live(two: Two) -> None:
    two.vm()
    before = two.alba.look(thorough=True)[2]["git"].addresses
    outcome = two.move()
    assert (outcome.error, outcome.status) == ("", Status.DONE)
    two.has_arrived()
    assert len(two.lab.events("VM 101 started")) == 1, two.dc.truth()["events"]
    seen = two.bora.look()[2]["git"]
    assert (seen.server, seen.addresses) == ("bora2", before), "HA remembers what it knew"


def test_one_that_is_stopped_stays_so(two: Two) -> None:
    two.vm(running=False, ha=False)
    assert two.move().status is Status.DONE
    two.has_arrived(running=False, ha=False)


class Dying:
    """Its caller dies at its `at`th call: before it, or after it took effect."""

    def __init__(self, at: int, after: bool) -> None:
        self.at, self.after, self.calls = at, after, 0

    def wrap(self, real: Any) -> Any:
        outer = self

        class Wrapped:
            def __getattr__(self, name: str) -> Any:
                def call(*args: Any, **kwargs: Any) -> Any:
                    outer.calls += 1
                    if outer.calls == outer.at and not outer.after:
                        raise Killed
                    result = getattr(real, name)(*args, **kwargs)
                    if outer.calls == outer.at:
                        raise Killed
                    return result

                return call

        return Wrapped()


@pytest.mark.parametrize("way", ["live", "copy"])
def test_it_never_runs_twice_wherever_we_are_killed(two: Two, way: str) -> None:
    """Each round dies at a call, then after it, then at the next one of what is left to do."""
    two.vm()
    shared = backups(two) if way == "copy" else ("", "")
    for rounds in range(80):
        dying = Dying(at=1 + rounds // 2, after=bool(rounds % 2))
        try:
            outcome = two.move(dying.wrap, way=way, shared=shared)
            break
        except Killed:
            assert not two.twice
            running = [c for vm in two.books().values() for c in vm.copies]
            assert len(running) <= 1
    assert (outcome.error, outcome.status) == ("", Status.DONE)
    assert rounds > 6
    two.has_arrived()


def test_what_proxmox_leaves_behind_locked_only_root_removes(two: Two) -> None:
    """Where nobody keeps root's password it is told; with it the same command goes on."""
    two.vm()
    token, asked = two.alba.make_token("attic", "a test"), []

    def keeps_none(node: str) -> str:
        asked.append(node)
        raise NoPassword("no root password of it is kept here", where=node, mend="set it")

    root, two.alba = two.alba, two.lab.driver(token=lambda: token, password=keeps_none)
    outcome = two.move()
    assert outcome.status is Status.FAILED and "no root password" in outcome.error
    left, there = two.books()["alba"], two.books()["bora"]
    assert (left.lock, list(left.copies), list(there.copies)) == ("migrate", [], ["bora2"])
    assert asked
    two.alba = root
    assert two.move().status is Status.DONE
    two.has_arrived()


def slow(two: Two) -> None:
    """Long enough for something to happen meanwhile, however busy this machine is."""
    two.dc.pace = replace(two.dc.pace, migrate=900)


def test_killed_while_it_is_being_sent(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task goes on without us, and is not asked for again."""
    two.vm()
    slow(two)
    follow, killed = Api.follow, []

    def dies(api: Api, upid: str, *more: Any, **kwargs: Any) -> None:
        if "qmigrate" in upid and not killed:
            killed.append(upid)
            raise Killed
        follow(api, upid, *more, **kwargs)

    monkeypatch.setattr(Api, "follow", dies)
    with pytest.raises(Killed):
        two.move()
    with two.dc.present():
        two.books()["bora"].lock = ""  # as Proxmox itself does for a moment while it is sent
    outcome = two.move()
    assert (outcome.error, outcome.status) == ("", Status.DONE)
    two.has_arrived()
    assert two.dc.counts["POST nodes/*/qemu/*/remote_migrate"] == 1


def test_a_lock_that_nobody_holds_any_more_is_told(two: Two) -> None:
    """Its node lost its power while it sent it: to wait would be for ever."""
    two.vm(running=False, ha=False)
    with two.dc.present():
        two.books()["alba"].lock = "migrate"
    outcome = two.move()
    assert outcome.status is Status.FAILED
    assert "nothing is being sent" in outcome.error and "qm unlock 101" in outcome.error
    with two.dc.present():
        two.books()["alba"].lock = ""
    assert two.move().status is Status.DONE
    two.has_arrived(running=False, ha=False)


def target_goes_down(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of the migration, and it is back at once."""
    slow(two)
    follow = Api.follow

    def cut(api: Api, upid: str, *more: Any, **kwargs: Any) -> None:
        if "qmigrate" in upid:
            two.dc.power_off("bora2")
            two.dc.power_on("bora2")
        follow(api, upid, *more, **kwargs)

    monkeypatch.setattr(Api, "follow", cut)


def test_the_target_goes_down_meanwhile(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs on where it was; the half that came over is told, and how to go on."""
    two.vm()
    follow = Api.follow
    target_goes_down(two, monkeypatch)
    outcome = two.move()
    assert outcome.status is Status.FAILED
    assert "tunnel command failed" in outcome.error
    assert list(two.books()["alba"].copies) == ["alba1"]
    monkeypatch.setattr(Api, "follow", follow)
    outcome = two.move()
    assert "a part of it is left in bora, locked (migrate)" in outcome.error
    assert "qm unlock 101 && qm destroy 101" in outcome.error
    with two.dc.present() as nodes:
        del nodes["bora2"].cluster.vms[VMID]
    assert two.move().status is Status.DONE
    two.has_arrived()


HOME = {"rule": "metal-home-101", "type": "node-affinity", "nodes": "alba1:2,alba2:1"}
BESIDE = {"rule": "pair", "type": "resource-affinity", "affinity": "positive"}


def known(two: Two) -> tuple[Any, ...]:
    """What HA of the first cluster has of the VM, and whether it runs."""
    resource = next((r for r in two.alba._api.get("cluster/ha/resources") if r["sid"] == SID), {})
    rules = {
        r["rule"]: {**r, "resources": sorted(r["resources"].split(","))}
        for r in two.alba._api.get("cluster/ha/rules")
    }
    keys = ("state", "comment", "max_restart")
    held = two.alba.holding(VMID)
    assert held
    return {k: resource.get(k) for k in keys}, rules, held.onboot, held.state


def wished(two: Two) -> None:
    """It has rules of its own and with another, and a setting that metal knows nothing of."""
    two.vm()
    with two.dc.present() as nodes:
        nodes["alba1"].cluster.ha.resources["vm:102"] = {"sid": "vm:102", "state": "stopped"}
    two.alba._api.put(f"cluster/ha/resources/{SID}", {"max_restart": 3})
    # Of one priority: Proxmox takes several only of VMs that no other rule is about.
    two.alba._api.post("cluster/ha/rules", {**HOME, "nodes": "alba1", "resources": SID})
    with two.dc.present() as nodes:
        nodes["alba1"].cluster.ha.rules["pair"] = {**BESIDE, "resources": [SID, "vm:102"]}


@pytest.mark.parametrize("way", ["live", "copy"])
def test_what_fails_gives_it_back_to_ha_as_it_was(
    two: Two, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """And gone on with, it leaves HA again, and arrives with what it wrote meanwhile."""
    wished(two)
    before = known(two)
    shared = backups(two) if way == "copy" else ("", "")
    two.dc.fill["fast"] = 0.95
    for _ in range(2):
        outcome = two.move(way=way, shared=shared)
        assert "95 % full" in outcome.error
        two.alba.ensure_started(VMID)  # HA starts what was shut down for its copy
        assert known(two) == before
    assert set(two.books()) == {"alba"}
    two.dc.fill.clear()
    assert two.move(way=way, shared=shared).status is Status.DONE
    two.has_arrived()


def test_a_migration_that_fails_gives_it_back_to_ha(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    wished(two)
    before = known(two)
    target_goes_down(two, monkeypatch)
    assert "tunnel command failed" in two.move().error
    assert known(two) == before


def backups(two: Two) -> tuple[str, str]:
    """One export that the two clusters call by different names."""
    with two.dc.present() as nodes:
        nodes["alba1"].cluster.storages["nas"] = {"storage": "nas", **NFS}
        nodes["bora1"].cluster.storages["archive"] = {"storage": "archive", **NFS}
    return "nas", "archive"


def test_by_way_of_a_backup_it_stands_still_meanwhile(two: Two) -> None:
    two.vm()
    assert two.move(way="copy", shared=backups(two)).status is Status.DONE
    two.has_arrived()
    assert two.alba.backup_storages()["nas"] == two.bora.backup_storages()["archive"]


def test_it_is_not_started_there_while_the_old_one_runs(two: Two) -> None:
    """Somebody starts the old one again behind our back."""
    two.vm(ha=False)
    shared = backups(two)

    class Meddler:
        def __getattr__(self, name: str) -> Any:
            if name == "restore":
                two.alba.ensure_started(VMID)
            return getattr(two.bora, name)

    outcome = two.move(lambda d: Meddler() if d is two.bora else d, way="copy", shared=shared)
    assert outcome.status is Status.FAILED
    assert "the old one is running on alba1" in outcome.error
    assert not two.twice


def test_what_is_refused_before_anything_is_touched(two: Two) -> None:
    two.vm()
    two.dc.fill["fast"] = 0.86
    assert "fast is 86 % full" in two.move().error
    two.dc.fill.clear()
    two.dc.put_guest("bora1", VMID, {"name": "other"})
    with pytest.raises(Failed, match="no VM 999"):
        two.alba.ensure_released(999)
    two.store.journal.cancel(two.store.journal.list(open_only=True)[0].id)
    assert "bora has a VM 101 already" in two.move().error
    assert list(two.books()["alba"].copies) == ["alba1"]


def test_a_wrong_certificate_or_token_lets_nobody_in(two: Two) -> None:
    two.vm(ha=False)
    good = two.bora.landing("bora2", two.token, "fast", 10)
    for odd, why in (
        ({"fingerprint": "AA:" * 31 + "AA"}, "certificate verify failed"),
        ({"token": two.token[:-1] + "x"}, "invalid token value"),
    ):
        with pytest.raises(Failed, match=why) as told:
            two.alba.send(VMID, good.model_copy(update=odd), running=True)
        assert two.token.rpartition("=")[2] not in str(told.value)
    assert two.token not in repr(good)


def test_a_backup_is_of_a_vm_that_is_stopped(two: Two) -> None:
    two.vm(ha=False)
    with pytest.raises(Refused, match="is not stopped"):
        two.alba.back_up(VMID, backups(two)[0])
