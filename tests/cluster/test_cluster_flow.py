"""Forming a cluster as a durable operation, killed after and in the middle of every step."""

from pathlib import Path
from typing import Any

import pytest

from metal.cluster.flow import form
from metal.cluster.ports import ClusterPorts
from metal.cluster.vms import migrate, place, start
from metal.model.addresses import Addressing
from metal.model.life import Status
from metal.model.plan import FormCluster, MigrateVm, Osd, PlaceVm, Risk, StartVm
from metal.operations.run import perform
from metal.operations.store import Store, open_store

WHY: dict[str, Any] = {"what": "a test", "why": "it tests", "risk": Risk.SAFE}
FORM = FormCluster(
    cluster="alba",
    servers=("alba1", "alba2", "alba3"),
    ceph=True,
    osds=(
        Osd(server="alba1", device="sdb"),
        Osd(server="alba2", device="*"),
        Osd(server="alba3", device="sdc"),
    ),
    **WHY,
)


class Killed(BaseException):
    """The process dies here: nothing that catches errors may see it."""


class Dying:
    """A hypervisor whose caller dies at its `at`th call: before it, or after it took effect."""

    def __init__(self, real: Any, at: int, after: bool) -> None:
        self._real, self._at, self._after, self.calls = real, at, after, 0

    def told(self) -> tuple[str, ...]:
        return self._real.told()  # reads what is at hand, and calls nobody

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self._at and not self._after:
                raise Killed
            result = getattr(self._real, name)(*args, **kwargs)
            if self.calls == self._at:
                raise Killed
            return result

        return call


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with open_store("sqlite", tmp_path / "state") as opened:
        yield opened


def run(store: Store, flow: Any, action: Any, ports: ClusterPorts) -> Status:
    params = action.model_dump(mode="json")
    operation = store.journal.open(action.kind, action.id, [action.id], params)
    outcome = perform(store, operation, lambda r: flow(r, action=action, ports=ports))
    assert outcome.error == ""
    return outcome.status


def ports(lab: Any, hypervisor: Any = None, members: list[str] | None = None) -> ClusterPorts:
    return ClusterPorts(
        hypervisor=hypervisor or lab.driver(),
        network=lab.network,
        member=(members if members is not None else []).append,
        every=0.02,
    )


def test_forming_survives_a_kill_at_every_call(lab: Any, store: Store) -> None:
    """Each round dies one call later; the next process goes on from the journal."""
    members: list[str] = []
    rounds = 0
    while True:
        rounds += 1
        # Each call is new work once, so the first is killed before, the second after it acted.
        dying = Dying(lab.driver(), at=1 + rounds % 2, after=bool(rounds % 2))
        try:
            status = run(store, form, FORM, ports(lab, dying, members))
            break
        except Killed:
            assert rounds < 60, "it does not get on"
    assert status is Status.DONE
    assert rounds > 8
    assert members == ["alba1", "alba2", "alba3"]
    truth = lab.datacenter.truth()["clusters"]["alba"]
    assert truth["members"] == ["alba1", "alba2", "alba3"]
    assert lab.events("created cluster") == ["alba1"]
    assert lab.events("entered cluster") == ["alba2", "alba3"]
    assert sorted(lab.events("osd.")) == ["alba1", "alba2", "alba2", "alba3"]


def test_a_solo_machine_is_seen_to_answer(lab: Any, store: Store) -> None:
    members: list[str] = []
    action = FormCluster(cluster="duna", servers=("alba1",), ceph=False, **WHY)
    solo = lab.driver("alba1", solo=True, cluster="duna")
    assert run(store, form, action, ports(lab, solo, members)) is Status.DONE
    assert members == ["alba1"]


def test_a_solo_machine_that_is_silent_fails_in_time(lab: Any, store: Store) -> None:
    lab.datacenter.power_off("alba1")
    action = FormCluster(cluster="duna", servers=("alba1",), ceph=False, **WHY)
    quick = ClusterPorts(lab.driver("alba1", solo=True), patience=0.2, every=0.02)
    operation = store.journal.open("form", "duna", [], {})
    outcome = perform(store, operation, lambda r: form(r, action, quick))
    assert outcome.status is Status.FAILED
    assert "does not answer" in outcome.error


PLACE = PlaceVm(
    vm="git",
    vmid=101,
    cluster="alba",
    server="alba1",
    vcpus=1,
    memory_mib=1024,
    disk_gib=10,
    ha=True,
    addressing=Addressing(treatment="ipv6", private_ipv4="10.0.0.5/24"),
    **WHY,
)
START = StartVm(vm="git", vmid=101, cluster="alba", server="alba1", **WHY)
MIGRATE = MigrateVm(vm="git", vmid=101, cluster="alba", source="alba1", target="alba2", **WHY)


def test_a_vm_is_placed_moved_and_found_again(lab: Any, store: Store) -> None:
    """And a plan that is repeated leaves it where the cluster has put it since."""
    lab.form()
    assert run(store, place, PLACE, ports(lab)) is Status.DONE
    assert run(store, migrate, MIGRATE, ports(lab)) is Status.DONE
    assert run(store, place, PLACE, ports(lab)) is Status.DONE
    (real,) = lab.datacenter.truth()["vms"]
    assert (real["node"], real["copies"], real["starts"]) == ("alba2", ["alba2"], 1)


@pytest.mark.parametrize("after", [False, True])
def test_placing_survives_a_kill_at_every_call(lab: Any, store: Store, after: bool) -> None:
    lab.form()
    kills = 0
    while True:
        try:
            run(store, place, PLACE, ports(lab, Dying(lab.driver(), at=kills + 1, after=after)))
            break
        except Killed:
            kills += 1
    assert kills == 2
    (real,) = lab.datacenter.truth()["vms"]
    assert (real["copies"], real["starts"], real["max_copies"]) == (["alba1"], 1, 1)


class Unsure:
    """A hypervisor that tells something else the first times it is asked: HA moves the VM."""

    def __init__(self, real: Any, times: int, told: str) -> None:
        self._real, self.left, self._told = real, times, told

    def where(self, vmid: int) -> tuple[str, str]:
        self.left -= 1
        server, state = self._real.where(vmid)
        return server, state if self.left < 0 else self._told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.mark.parametrize("told", ["unknown", "stopped"])
def test_a_vm_that_ha_moves_once_it_is_started_is_waited_for(
    lab: Any, store: Store, told: str
) -> None:
    hypervisor = Unsure(lab.form(), times=9, told=told)
    assert run(store, place, PLACE, ports(lab, hypervisor)) is Status.DONE
    assert hypervisor.left < 0


def test_a_vm_that_stops_again_fails_where_no_ha_starts_it(lab: Any, store: Store) -> None:
    quiet = PLACE.model_copy(update={"ha": False})
    wired = ports(lab, Unsure(lab.form(), times=9, told="stopped"))
    operation = store.journal.open("place", "git", [], {})
    outcome = perform(store, operation, lambda r: place(r, quiet, wired))
    assert "git was started, but is stopped now" in outcome.error


def test_a_stopped_vm_is_started(lab: Any, store: Store) -> None:
    driver = lab.form()
    quiet = PLACE.model_copy(update={"ha": False})
    assert run(store, place, quiet, ports(lab)) is Status.DONE
    driver._api.run("nodes/alba1/qemu/101/status/stop")
    assert driver.where(101) == ("alba1", "stopped")
    assert run(store, start, START, ports(lab)) is Status.DONE
    assert driver.where(101) == ("alba1", "running")
