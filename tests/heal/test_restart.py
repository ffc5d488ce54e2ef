"""Restarting what ran on a dead server where no HA does, against libvirt's own test driver."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from metal.drivers.ceph import Blocklist
from metal.drivers.commands import Result
from metal.heal.flow import recover
from metal.heal.ports import HealPorts
from metal.model.addresses import Addressing
from metal.model.errors import Failed, Refused, Unreachable
from metal.model.life import Status
from metal.model.plan import RecoverServer, Restart, Restarts, Risk
from metal.operations.leading import Term
from metal.operations.lease import LeaseLost
from metal.operations.run import Outcome, perform
from metal.operations.store import Store, open_store
from metal.operations.switching import Switching

VMS = {"git": 101, "wiki": 102}
ADDRESSES = Addressing(treatment="ipv6", private_ipv4="10.0.0.5/24")


class Killed(BaseException):
    """The process dies here."""


def restart(vm: str, target: str) -> Restart:
    return Restart(
        vm=vm,
        vmid=VMS[vm],
        target=target,
        vcpus=1,
        memory_mib=64,
        disk_gib=1,
        addressing=ADDRESSES,
    )


PLANNED = Restarts(planned=(restart("wiki", "alba3"), restart("git", "alba2")))
"""wiki matters more."""


def recovery(restarts: Restarts = PLANNED) -> RecoverServer:
    return RecoverServer(
        server="alba1",
        cluster="alba",
        vms=VMS,
        restarts=restarts,
        what="a test",
        why="it tests",
        risk=Risk.SAFE,
    )


class Spy:
    """The driver; it tells in which order VMs were restarted, and what comes in between."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.asked: list[str] = []
        self.after: Callable[[str], None] = lambda _vm: None
        self.before: Callable[[Callable[[], None]], None] = lambda allowed: allowed()
        self.silent_disks = False

    def ensure_restarted(
        self, vm: Any, target: str, fenced: str, allowed: Callable[[str], None]
    ) -> str:
        self.asked.append(vm.name)
        at = self._real.ensure_restarted(
            vm, target, fenced, lambda what: self.before(lambda: allowed(what))
        )
        self.after(vm.name)
        return str(at)

    def written(self, vmid: int) -> int | None:
        return 0 if self.silent_disks else self._real.written(vmid)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class CephDouble:
    """The `ceph` command on a living server; it knows its blocklist and what came before."""

    where = "alba2"

    def __init__(self, restarted: list[str]) -> None:
        self.listed: dict[str, str] = {}
        self.restarted = restarted
        self.before: list[tuple[str, ...]] = []
        self.forgets = self.silent = False

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        if self.silent:
            raise Unreachable("no answer", where=self.where)
        match list(argv)[3:]:
            case ["osd", "blocklist", "add", address, "3600"]:
                self.before.append(tuple(self.restarted))
                if not self.forgets:
                    self.listed[address] = "2027-01-15T08:00:00+0000"
                return Result(0, b"", f"blocklisting {address}:0/0")
            case ["osd", "blocklist", "rm", address]:
                return Result(0 if self.listed.pop(address, None) else 2, b"", "not blocklisted")
            case ["osd", "blocklist", "ls", "--format", "json"]:
                rows = [{"addr": f"{a}:0/0", "until": until} for a, until in self.listed.items()]
                rows.append({"addr": "10.0.0.9:0/123", "until": "one client alone"})
                return Result(0, f"\n{json.dumps(rows)}[]".encode(), "")
        return Result(22, b"", f"Error EINVAL: {list(argv)}")


class Bench:
    """git and wiki ran on alba1, which has lost its power."""

    def __init__(self, bed: Any, store: Store) -> None:
        self.bed, self.store = bed, store
        self.spy = Spy(bed.driver)
        self.reads = "off"
        self.switched = 0
        self.on_read: Callable[[], None] = lambda: None
        self.held: list[str] = []
        self.answers = False
        self.removed: set[str] = set()
        self.place: Callable[[str, str], Restart] = self.nowhere
        self.abreast = 1
        self.ceph = CephDouble(self.spy.asked)
        for name, vmid in VMS.items():
            bed.driver.ensure_vm(
                vmid=vmid,
                name=name,
                node="alba1",
                vcpus=1,
                memory_mib=64,
                disk_gib=1,
                storage="vms",
                addressing=ADDRESSES,
                ha=False,
            )
            bed.driver.ensure_started(vmid)
        bed.kill("alba1")

    # A switch, as the flow opens it.
    by = "its BMC"

    def power(self) -> str:
        self.on_read()
        return self.reads

    def ensure_power(self, wanted: str) -> None:
        self.switched += 1
        self.reads = wanted

    def close(self) -> None: ...

    def nowhere(self, server: str, vm: str) -> Restart:
        raise Refused(f"no place for it: {vm} is too large", where=server)

    def run(
        self, restarts: Restarts = PLANNED, *, patience: float = 20, term: Term | None = None
    ) -> Outcome:
        action = recovery(restarts)
        ports = HealPorts(
            hypervisor=self.spy,
            power=Switching(lambda _key, _why: self, every=0.01),
            hold=lambda server, _note: self.held.append(server),
            place=self.place,
            shut_out=lambda addresses: Blocklist([self.ceph]).ensure_listed(addresses, 3600),
            storage="vms",
            draining=lambda _server: pytest.fail("a dead server is not drained"),
            patience=patience,
            answers=lambda _server: self.answers,
            removed=lambda vm: vm in self.removed,
            every=0.01,
            abreast=self.abreast,
        )
        params = action.model_dump(mode="json")
        operation = self.store.journal.open("recover", action.server, [], params, term=term)
        return perform(self.store, operation, lambda r: recover(r, action, ports), term=term)

    def running(self) -> dict[str, str]:
        """Every VM that runs → where; a twin shows as NAME#HOST."""
        seen = self.bed.driver.look()[2]
        return {name: vm.server for name, vm in seen.items() if vm.state == "running"}


@pytest.fixture
def bench(libvirt_bed: Any, tmp_path: Path) -> Iterator[Bench]:
    with open_store("sqlite", tmp_path / "state") as store:
        yield Bench(libvirt_bed, store)


def test_each_runs_where_it_was_planned_the_most_important_first(bench: Bench) -> None:
    outcome = bench.run()
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert bench.running() == {"git": "alba2", "wiki": "alba3"}
    assert bench.spy.asked == ["wiki", "git"]
    assert bench.held == ["alba1"]


OUT = PLANNED.model_copy(update={"shut_out": ("10.0.0.1", "fd00::1")})


def test_its_ceph_clients_are_shut_out_before_the_first_vm_starts(bench: Bench) -> None:
    outcome = bench.run(OUT)
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert bench.ceph.before == [(), ()], "both addresses before any VM"
    assert set(bench.ceph.listed) == {"10.0.0.1", "fd00::1"}
    assert bench.running() == {"git": "alba2", "wiki": "alba3"}
    (operation,) = bench.store.journal.list()
    results = {s.name: s.result for s in bench.store.journal.show(operation.id).steps}
    assert "2027-01-15" in str(results["shut alba1 out of Ceph"]), "the evidence"


def test_nothing_starts_while_ceph_does_not_answer(bench: Bench) -> None:
    bench.ceph.silent = True
    outcome = bench.run(OUT)
    assert outcome.exit_code == Unreachable.exit_code
    assert "works nowhere: alba2: no answer" in outcome.error
    assert (bench.running(), bench.held) == ({}, ["alba1"])
    bench.ceph.silent = False
    assert bench.run(OUT).status is Status.DONE
    assert bench.running() == {"git": "alba2", "wiki": "alba3"}


def test_nothing_starts_when_ceph_does_not_list_what_it_was_told_to(bench: Bench) -> None:
    bench.ceph.forgets = True
    outcome = bench.run(OUT)
    assert "does not list it" in outcome.error
    assert bench.running() == {}


def test_a_server_is_let_in_again_and_others_stay_out() -> None:
    ceph = CephDouble([])
    ceph.listed = {"10.0.0.1": "then", "10.0.0.2": "then"}
    Blocklist([ceph]).ensure_not_listed(["10.0.0.1", "fd00::1"])
    assert set(ceph.listed) == {"10.0.0.2"}


def test_the_next_host_is_asked_where_one_has_no_ceph() -> None:
    bare, good = CephDouble([]), CephDouble([])
    bare.run = lambda *_a, **_k: Result(127, b"", "ceph: not found")  # type: ignore[method-assign]
    Blocklist([bare, good]).ensure_listed(["10.0.0.1"], 3600)
    assert set(good.listed) == {"10.0.0.1"}
    with pytest.raises(Failed, match="alba2: ceph: not found"):
        Blocklist([bare]).listed()


def test_nothing_runs_before_the_server_is_proven_off(bench: Bench) -> None:
    def silent() -> None:
        raise Unreachable("no answer", where="alba1")

    bench.on_read = silent
    assert bench.run().exit_code == Unreachable.exit_code
    assert bench.running() == {}
    assert (bench.held, bench.spy.asked) == ([], [])


@pytest.mark.parametrize("reads", ["on", "off"])
def test_a_switch_that_says_off_while_the_host_answers_proves_nothing(
    bench: Bench, reads: str
) -> None:
    """Its BMC may be another server's, or firmware that tells what it was told."""
    bench.reads, bench.answers = reads, True
    outcome = bench.run()
    assert "its BMC reads off, and yet its host answers: it runs" in outcome.error
    assert (bench.running(), bench.held, bench.spy.asked) == ({}, [], [])
    bench.answers = False
    assert bench.run().status is Status.DONE


def test_a_switch_that_says_off_while_its_cluster_sees_it_proves_nothing(bench: Bench) -> None:
    bench.bed.revive("alba1")
    outcome = bench.run()
    assert "its BMC reads off, and yet its cluster sees it online" in outcome.error
    assert (bench.held, bench.spy.asked) == ([], [])


def test_a_host_that_answers_again_is_believed_more_than_an_old_reading(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metal.heal.restart.FRESH", -1.0)
    bench.on_read = lambda: setattr(bench, "answers", bool(bench.held))
    outcome = bench.run()
    assert outcome.exit_code == Unreachable.exit_code
    assert bench.running() == {}, "alba1 speaks, and does not say whether it runs them"


def test_a_kill_in_the_middle_is_gone_on_with_and_starts_none_twice(bench: Bench) -> None:
    def dies(_vm: str) -> None:
        raise Killed

    bench.spy.after = dies
    with pytest.raises(Killed):
        bench.run()
    assert bench.running() == {"wiki": "alba3"}
    bench.spy.after = lambda _vm: None
    assert bench.run().status is Status.DONE
    assert bench.running() == {"git": "alba2", "wiki": "alba3"}


def test_a_proof_of_yesterday_is_read_again(bench: Bench) -> None:
    """Somebody switched it on meanwhile, and nobody reaches it: it may run them."""
    kill_after_proof(bench)
    bench.reads = "on"
    outcome = bench.run()
    assert outcome.exit_code == Unreachable.exit_code
    assert "whether wiki runs there is not known" in outcome.error
    assert bench.running() == {}


def test_a_server_that_came_back_empty_may_say_so_itself(bench: Bench) -> None:
    kill_after_proof(bench)
    bench.reads = "on"
    bench.bed.revive("alba1")
    assert bench.run().status is Status.DONE
    assert bench.running() == {"git": "alba2", "wiki": "alba3"}


def test_what_runs_on_a_server_that_came_back_is_left_there(bench: Bench) -> None:
    """Somebody started wiki there before git was restarted."""

    def comes_back(vm: str) -> None:
        if vm == "wiki":
            bench.bed.revive("alba1")
            start_by_hand(bench, "git", "alba1")

    bench.spy.after = comes_back
    outcome = bench.run()
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert bench.running() == {"git": "alba1", "wiki": "alba3"}


def test_while_another_host_is_silent_nothing_is_restarted(bench: Bench) -> None:
    bench.bed.kill("alba2")
    outcome = bench.run()
    assert outcome.exit_code == Unreachable.exit_code
    assert "alba2" in outcome.error
    assert bench.running() == {}


def test_what_has_no_room_is_named_and_placed_once_there_is(bench: Bench) -> None:
    short = Restarts(planned=PLANNED.planned[:1], stranded={"git": "not enough memory free"})
    outcome = bench.run(short)
    assert outcome.status is Status.FAILED
    assert "git stays down: no place for it: git is too large" in outcome.error
    assert bench.running() == {"wiki": "alba3"}
    bench.place = lambda _server, vm: restart(vm, "alba2")
    outcome = bench.run(short)
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert bench.running() == {"git": "alba2", "wiki": "alba3"}


def test_one_that_cannot_start_does_not_keep_the_others_down(bench: Bench) -> None:
    def breaks(vm: str) -> None:
        if vm == "wiki":
            raise Failed("its disk is not there", where="alba3")

    bench.spy.after = breaks
    outcome = bench.run()
    assert "wiki stays down: its disk is not there" in outcome.error
    assert bench.running()["git"] == "alba2"


def test_one_whose_disk_and_entry_somebody_removed_is_awaited_no_more(bench: Bench) -> None:
    def gone(vm: str) -> None:
        if vm == "wiki":
            raise Failed("no disk 'vm-102-wiki' in the pool 'vms'", where="alba3")

    bench.spy.after = gone
    assert bench.run().status is Status.FAILED, "as long as the inventory wants it"
    bench.removed = {"wiki"}
    outcome = bench.run()
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    said = [event.text for event in bench.store.events.since(0)]
    assert any("wiki is awaited no more, the inventory does not have it" in t for t in said), said


def test_one_that_somebody_removed_once_it_ran_is_awaited_no_more(bench: Bench) -> None:
    def remove(vm: str) -> None:
        if vm == "git":  # the last
            host = next(h for h in bench.bed.hosts if h.name == "alba3")
            wiki = host.connection(bench.bed.driver._patience).lookupByName("wiki")
            wiki.destroy()
            wiki.undefine()

    bench.spy.after = remove
    bench.removed = {"wiki"}
    outcome = bench.run()
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert bench.running() == {"git": "alba2"}
    said = [event.text for event in bench.store.events.since(0)]
    assert "wiki writes to its disk" not in said
    assert any("wiki is awaited no more" in text for text in said), said


def test_a_guest_that_writes_nothing_is_no_recovery(bench: Bench) -> None:
    bench.spy.silent_disks = True
    outcome = bench.run(patience=0.05)
    assert outcome.status is Status.FAILED
    assert "git, wiki were restarted and wrote nothing within 0.05 s" in outcome.error
    bench.spy.silent_disks = False
    assert bench.run().status is Status.DONE
    assert bench.spy.asked == ["wiki", "git"], "what was restarted is in the journal"


def test_who_does_not_lead_any_more_starts_nothing(bench: Bench) -> None:
    leading = bench.store.leading
    term = leading.seek("watch", "here", 600)
    assert term is not None
    bench.bed.driver.look()
    readings = iter(range(100))

    def deposed() -> None:
        if next(readings) == 3:  # after the proof, and before wiki is restarted
            leading.resign(term)

    bench.on_read = deposed
    with pytest.raises(LeaseLost):
        bench.run(term=term)
    assert bench.running() == {}


def test_who_stood_still_between_the_look_and_the_start_starts_nothing(bench: Bench) -> None:
    """Another one led meanwhile, and may have started it elsewhere."""
    leading = bench.store.leading
    term = leading.seek("watch", "here", 600)
    assert term is not None

    def stands_still(allowed: Callable[[], None]) -> None:
        leading.resign(term)
        allowed()

    bench.spy.before = stands_still
    with pytest.raises(LeaseLost):
        bench.run(term=term)
    assert bench.running() == {}


def test_they_are_restarted_side_by_side(bench: Bench) -> None:
    """Each waits for the other: one after the other, neither would ever start."""
    both = threading.Barrier(2, timeout=60)

    def meet(allowed: Callable[[], None]) -> None:
        both.wait()
        allowed()

    bench.abreast, bench.spy.before = 2, meet
    outcome = bench.run()
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert bench.running() == {"git": "alba2", "wiki": "alba3"}


def kill_after_proof(bench: Bench) -> None:
    """The process dies with the proof in the journal, and nothing restarted."""
    ensure = bench.spy.ensure_restarted

    def dies(*_: Any) -> str:
        raise Killed

    bench.spy.ensure_restarted = dies  # type: ignore[method-assign]
    with pytest.raises(Killed):
        bench.run()
    bench.spy.ensure_restarted = ensure  # type: ignore[method-assign]


def start_by_hand(bench: Bench, vm: str, node: str) -> None:
    host = next(h for h in bench.bed.hosts if h.name == node)
    host.connection(bench.bed.driver._patience).lookupByName(vm).create()
