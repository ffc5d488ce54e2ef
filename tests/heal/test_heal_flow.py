"""Recovering and draining as durable operations, against the Proxmox double."""

import threading
from typing import Any

import pytest
from heal_bench import RECOVER, VMS, WHY, Bench, Killed

from metal.heal.flow import drain, recover
from metal.model.errors import Unreachable
from metal.model.life import Status
from metal.model.plan import DrainServer, MigrateVm
from metal.model.world import SeenCluster

DRAIN = DrainServer(
    server="alba1",
    cluster="alba",
    moves=tuple(
        MigrateVm(vm=vm, vmid=vmid, cluster="alba", source="alba1", target=target, **WHY)
        for (vm, vmid), target in zip(VMS.items(), ("alba2", "alba3"), strict=True)
    ),
    **WHY,
)


def test_a_dead_server_is_proven_off_and_its_vms_run_elsewhere(bench: Bench) -> None:
    bench.vms(ha=True)
    bench.lab.datacenter.power_off("alba1")
    outcome = bench.run(recover, RECOVER)
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert bench.held["alba1"].startswith("fenced: off, off, off read back")
    for vm in bench.truth().values():
        assert vm["max_copies"] == 1
        assert vm["copies"] == [vm["node"]] != ["alba1"]
    assert bench.bmc.opened == bench.bmc.closed == 1


def test_a_vm_that_somebody_deletes_meanwhile_is_awaited_no_more(bench: Bench) -> None:
    bench.vms(ha=True)
    bench.lab.datacenter.power_off("alba1")
    driver = bench.rooted()
    managed = driver.ha_managed

    def deleted() -> Any:
        found = managed()
        with bench.lab.datacenter.present() as there:
            there["alba2"].cluster.ha.resources.pop("vm:101")
            there["alba2"].cluster.vms.pop(101)
        return found

    driver.ha_managed = deleted
    outcome = bench.run(recover, RECOVER, hypervisor=driver)
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    (wiki,) = bench.truth().values()
    assert wiki["name"] == "wiki" and wiki["copies"] == [wiki["node"]] != ["alba1"]


def test_a_hung_server_is_switched_off_first(bench: Bench) -> None:
    bench.vms(ha=True)
    bench.lose()
    assert bench.run(recover, RECOVER).status is Status.DONE
    assert bench.lab.datacenter.truth()["nodes"]["alba1"]["power"] == "off"
    assert {vm["max_copies"] for vm in bench.truth().values()} == {1}


def test_a_server_that_came_back_is_left_alone(bench: Bench) -> None:
    """What decided on it may be old: an operation that was killed is resumed hours later."""
    bench.vms(ha=True)
    outcome = bench.run(recover, RECOVER)
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert bench.held == {}
    assert bench.lab.datacenter.truth()["nodes"]["alba1"]["power"] == "on"


def test_who_stood_still_after_looking_switches_nothing_off(bench: Bench) -> None:
    bench.vms(ha=True)
    bench.lose()
    bench.bmc.reads = "on"
    ticks = iter(range(0, 10**6, 60))
    outcome = bench.run(recover, RECOVER, monotonic=lambda: float(next(ticks)))
    assert "what it saw is old" in outcome.error
    assert bench.bmc.switched == 0


def test_a_server_that_is_off_only_while_it_restarts_is_not_proven_off(bench: Bench) -> None:
    bench.lose()
    bench.bmc.reads = iter(["off", "off", "on"] * 9)
    outcome = bench.run(recover, RECOVER)
    assert "read off, on and off" in outcome.error
    assert bench.held == {}


def test_a_kill_between_fencing_and_seeing_is_resumed(bench: Bench) -> None:
    bench.vms(ha=True)
    bench.lab.datacenter.power_off("alba1")

    def dies(_server: str, _note: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        bench.run(recover, RECOVER, hold=dies)
    assert bench.run(recover, RECOVER).status is Status.DONE
    assert bench.bmc.opened == 1, "the proof is in the journal"
    assert set(bench.held) == {"alba1"}


def test_a_silent_bmc_proves_nothing(bench: Bench) -> None:
    bench.lose()
    bench.bmc.silent = True
    outcome = bench.run(recover, RECOVER)
    assert (outcome.status, outcome.exit_code) == (Status.FAILED, Unreachable.exit_code)
    assert bench.held == {}
    assert bench.bmc.opened == bench.bmc.closed > 1


def test_a_bmc_that_does_not_read_off_is_no_proof(bench: Bench) -> None:
    bench.lose()
    bench.bmc.reads = "on"
    outcome = bench.run(recover, RECOVER)
    assert outcome.status is Status.FAILED
    assert "cut its power by hand" in outcome.error
    assert bench.held == {}


def test_ha_that_does_nothing_in_time_is_told_with_names(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.vms(ha=True)
    bench.lab.datacenter.power_off("alba1")
    still = bench.lab.clock.now()
    monkeypatch.setattr(bench.lab.clock, "now", lambda: still)  # HA never gets to it
    outcome = bench.run(recover, RECOVER, patience=0.01)
    assert outcome.status is Status.FAILED
    assert "HA has not restarted git, wiki" in outcome.error


def test_a_drain_moves_all_in_order_and_sees_it_empty(bench: Bench) -> None:
    bench.vms(ha=True)
    outcome = bench.run(drain, DRAIN)
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert bench.drained == ["alba1"]
    assert {n: v["node"] for n, v in bench.truth().items()} == {"git": "alba2", "wiki": "alba3"}
    assert {(v["starts"], v["max_copies"]) for v in bench.truth().values()} == {(1, 1)}


def test_a_drain_killed_in_the_middle_is_resumed(bench: Bench) -> None:
    bench.vms(ha=False)

    class Dying:
        def __init__(self, real: Any) -> None:
            self._real = real

        def ensure_migrated(self, vmid: int, target: str, mib_s: int = 0) -> None:
            self._real.ensure_migrated(vmid, target, mib_s)
            raise Killed

    with pytest.raises(Killed):
        bench.run(drain, DRAIN, hypervisor=Dying(bench.driver))
    outcome = bench.run(drain, DRAIN)
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert {n: v["node"] for n, v in bench.truth().items()} == {"git": "alba2", "wiki": "alba3"}


class Counting:
    """Moves of which the first three end only once three are under way."""

    def __init__(self, fails: str = "") -> None:
        self.order: list[int] = []
        self.speeds: set[int] = set()
        self.under_way = self.most = 0
        self._fails, self._door = fails, threading.Condition()

    def ensure_migrated(self, vmid: int, target: str, mib_s: int = 0) -> None:
        with self._door:
            self.order.append(vmid)
            self.speeds.add(mib_s)
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            self._door.notify_all()
            assert vmid > 103 or self._door.wait_for(lambda: self.most >= 3, 20)
            self.under_way -= 1
        if target == self._fails and self.order.count(vmid) == 1:
            raise Unreachable("no answer", where=target)

    def look(self) -> Any:
        return SeenCluster(formed=True, quorate=True), {}, {}


def six(**more: Any) -> DrainServer:
    names = {f"vm{n}": 100 + n for n in range(1, 7)}
    moves = tuple(
        MigrateVm(vm=vm, vmid=vmid, cluster="alba", source="alba1", target=f"t{vmid}", **WHY)
        for vm, vmid in names.items()
    )
    return DRAIN.model_copy(update={"moves": moves, **more})


def test_no_more_vms_move_at_once_than_may_the_most_important_first(bench: Bench) -> None:
    moves = Counting()
    outcome = bench.run(drain, six(at_once=3, mib_s=80), hypervisor=moves)
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert moves.most == 3
    assert moves.speeds == {80}
    assert sorted(moves.order[:3]) == [101, 102, 103]
    assert sorted(moves.order) == [101, 102, 103, 104, 105, 106]


def test_one_that_gets_no_answer_sets_out_again_and_the_others_only_once(bench: Bench) -> None:
    moves = Counting(fails="t102")
    outcome = bench.run(drain, six(at_once=3), hypervisor=moves)
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert sorted(moves.order) == [101, 102, 102, 103, 104, 105, 106]


def test_a_drain_begun_before_there_were_limits_goes_on_one_after_the_other() -> None:
    old = DRAIN.model_dump(mode="json", exclude={"at_once", "mib_s"})
    assert (DrainServer.model_validate(old).at_once, DrainServer.model_validate(old).mib_s) == (
        1,
        0,
    )


def test_what_ha_moves_goes_no_faster_than_the_drain_says(bench: Bench) -> None:
    bench.vms(ha=True)
    outcome = bench.run(drain, DRAIN.model_copy(update={"at_once": 2, "mib_s": 50}))
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert bench.driver._api.get("cluster/options")["bwlimit"] == "migration=51200"
    assert {n: v["node"] for n, v in bench.truth().items()} == {"git": "alba2", "wiki": "alba3"}


def test_a_drain_to_a_dead_target_is_refused_and_says_which_vm(bench: Bench) -> None:
    bench.vms(ha=False)
    bench.lab.datacenter.power_off("alba2")
    outcome = bench.run(drain, DRAIN)
    assert outcome.exit_code == 3
    assert "git stays where it is" in outcome.error


def test_what_came_after_the_plan_is_named(bench: Bench) -> None:
    bench.vms(ha=False)
    short = DRAIN.model_copy(update={"moves": DRAIN.moves[:1]})
    outcome = bench.run(drain, short)
    assert outcome.status is Status.FAILED
    assert "still there: wiki" in outcome.error
