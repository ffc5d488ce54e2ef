"""Whether the loss of any one server stops a pool, as CRUSH has it."""

from pathlib import Path
from typing import Any

import pytest

from metal.cluster.flow import form
from metal.cluster.ports import ClusterPorts
from metal.model.life import Status
from metal.model.plan import FormCluster, Osd, Risk
from metal.operations.run import perform
from metal.operations.store import open_store


def ceph_of(lab: Any) -> Any:
    with lab.datacenter.present() as nodes:
        return nodes["alba1"].cluster.ceph


def test_three_servers_with_a_copy_each_survive(lab: Any) -> None:
    assert lab.form().crush_faults("vms") == ()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda ceph: ceph.pools["vms"].update(min_size=3), "keeps 3 copies and wants 3 to write"),
        (lambda ceph: ceph.pools["vms"].update(size=2, min_size=1), "keeps 2 copies and wants 1"),
        (lambda ceph: ceph.rules.update(replicated_rule="osd"), "on different osds of one server"),
        (lambda ceph: ceph.pools["vms"].update(crush_rule_name="fast"), "'fast' of the pool vms"),
        (lambda ceph: ceph.osds.pop(2), "2 servers (alba1, alba2) have OSDs that are up and in"),
        (lambda ceph: setattr(ceph.osds[1], "out", True), "2 servers (alba1, alba3) have OSDs"),
        (lambda ceph: ceph.pools["vms"].update(type="erasure"), "of which nothing is known"),
        (lambda ceph: ceph.pools.clear(), "there is no pool vms"),
    ],
)
def test_each_way_to_lose_it_is_told(lab: Any, spoil: Any, words: str) -> None:
    driver = lab.form()
    spoil(ceph_of(lab))
    (told,) = driver.crush_faults("vms")
    assert words in told


def test_copies_apart_by_rack_are_apart_by_server(lab: Any) -> None:
    driver = lab.form()
    ceph_of(lab).rules["replicated_rule"] = "rack"
    assert driver.crush_faults("vms") == ()


def test_a_storage_that_is_not_cephs_has_no_faults_of_it(lab: Any) -> None:
    assert lab.form().crush_faults("local") == ()


def test_an_osd_that_is_not_encrypted_is_told(lab: Any) -> None:
    driver = lab.form()
    driver.told()
    ceph_of(lab).osds[0].encrypted = False
    driver.ensure_osd("alba1", "sdb")
    driver.ensure_osd("alba2", "sdb")
    (told,) = driver.told()
    assert "alba1: the OSD on /dev/sdb is not encrypted" in told


def test_forming_refuses_what_one_loss_would_stop(lab: Any, tmp_path: Path) -> None:
    """Two servers with OSDs: the third has no disk for one."""
    action = FormCluster(
        cluster="alba",
        servers=lab.nodes,
        ceph=True,
        osds=tuple(Osd(server=s, device="sdb") for s in lab.nodes[:2]),
        what="a",
        why="b",
        risk=Risk.SAFE,
    )
    ports = ClusterPorts(lab.driver(), network=lab.network, every=0.02, settling=0.1)
    with open_store("sqlite", tmp_path / "state") as store:
        operation = store.journal.open("form", "alba", [], {})
        outcome = perform(store, operation, lambda run: form(run, action, ports))
        assert outcome.status is Status.FAILED
        assert (
            "2 servers (alba1, alba2) have OSDs that are up and in, for 3 copies" in outcome.error
        )
        lab.driver().ensure_osd("alba3", "sdb")  # somebody brought a disk
        outcome = perform(store, operation, lambda run: form(run, action, ports))
        assert (outcome.error, outcome.status) == ("", Status.DONE)


@pytest.mark.parametrize(
    ("status", "full"),
    [
        ({"pgmap": {"bytes_used": 84, "bytes_total": 100}}, False),
        ({"pgmap": {"bytes_used": 85, "bytes_total": 100}}, True),
        (
            {
                "pgmap": {"bytes_used": 1, "bytes_total": 100},
                "health": {"checks": {"OSD_FULL": {}}},
            },
            True,
        ),
        ({"health": {"checks": {"POOL_NEARFULL": {}}}}, True),
        ({"pgmap": {}}, None),
        ({"pgmap": {"bytes_used": 0, "bytes_total": 0}}, None),
    ],
)
def test_what_counts_as_nearly_full(status: dict[str, Any], full: bool | None) -> None:
    from metal.drivers.proxmox.ceph import _full

    assert _full(status) is full
