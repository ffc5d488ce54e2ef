"""Forming a cluster through the driver: rushed, repeated, killed in the middle, refused."""

from typing import Any

import pytest

from metal.drivers.proxmox import NodeAccess
from metal.model.errors import BadInput, Failed, Refused, Unreachable


def test_a_cluster_forms_and_forming_it_again_changes_nothing(lab: Any) -> None:
    driver = lab.driver()
    before, states, _ = driver.look()
    assert (before.formed, before.quorate, before.nodes) == (False, None, ())
    assert set(states.values()) == {"online"}

    lab.form()
    version = lab.datacenter.truth()["clusters"]["alba"]["version"]
    lab.form()

    cluster, states, vms = driver.look()
    assert (cluster.formed, cluster.quorate, cluster.ceph_osds) == (True, True, 3)
    assert cluster.nodes == lab.nodes
    assert set(states.values()) == {"online"}
    assert vms == {}
    assert lab.datacenter.truth()["clusters"]["alba"]["version"] == version
    assert lab.events("entered cluster") == ["alba2", "alba3"]
    assert driver.silent == {}


def test_a_join_that_was_begun_before_a_crash_is_waited_for_not_repeated(lab: Any) -> None:
    driver = lab.driver()
    driver.ensure_created("alba", "alba1")
    # What the process killed in the middle had sent:
    driver._api.nodes["alba2"].post(
        "cluster/config/join",
        {
            "hostname": lab.access["alba1"].address,
            "password": "root-alba1",
            "fingerprint": lab.access["alba1"].pin,
        },
    )
    lab.driver().ensure_joined("alba2", "alba1")
    assert lab.events("entered cluster") == ["alba2"]


def test_the_certificate_that_a_join_made_is_vouched_for_by_the_cluster(lab: Any) -> None:
    """Killed between the join and its end: the node shows another certificate than we pinned."""
    driver = lab.driver()
    driver.ensure_created("alba", "alba1")
    driver.ensure_joined("alba2", "alba1")
    real = lab.access["alba2"]
    lab.access["alba2"] = NodeAccess(real.address, real.port, lab.access["alba3"].pin)
    told: dict[str, str] = {}
    lab.driver(repinned=told.__setitem__).ensure_joined("alba2", "alba1")
    assert told == {"alba2": real.pin}


def test_a_create_that_was_begun_before_a_crash_is_waited_for(lab: Any) -> None:
    lab.driver()._api.nodes["alba1"].post("cluster/config", {"clustername": "alba"})
    lab.driver().ensure_created("alba", "alba1")
    assert lab.events("created cluster") == ["alba1"]


def test_a_join_whose_task_fails_says_why(lab: Any) -> None:
    lab.driver().ensure_created("alba", "alba1")
    wrong = {"asked": 0}

    def password(node: str) -> str:
        wrong["asked"] += node == "alba1"
        # Right for our own login, wrong when the joining node needs it.
        return f"root-{node}" if wrong["asked"] < 2 else "wrong"

    with pytest.raises(Failed, match="401 authentication failure"):
        lab.driver(password=password).ensure_joined("alba2", "alba1")


def test_no_second_cluster_beside_one_that_is_there(lab: Any) -> None:
    lab.driver().ensure_created("alba", "alba1")
    with pytest.raises(Refused, match="alba1 is in the cluster 'alba' already"):
        lab.driver().ensure_created("alba", "alba2")


def test_a_node_of_another_cluster_is_refused(lab: Any) -> None:
    lab.driver("alba2").ensure_created("bora", "alba2")
    with pytest.raises(Refused, match="bora"):
        lab.driver("alba2").ensure_created("alba", "alba2")
    lab.driver("alba1").ensure_created("alba", "alba1")
    with pytest.raises(Refused, match="'bora' already"):
        lab.driver().ensure_joined("alba2", "alba1")


def test_a_silent_node_might_hold_a_cluster_so_none_is_created(lab: Any) -> None:
    lab.datacenter.power_off("alba3")
    driver = lab.driver()
    assert driver.look()[0].formed is None
    with pytest.raises(Unreachable, match="alba3"):
        driver.ensure_created("alba", "alba1")
    assert lab.events("created cluster") == []


def test_names_that_proxmox_refuses_are_refused_first(lab: Any) -> None:
    with pytest.raises(BadInput, match="15 characters"):
        lab.driver().ensure_created("a-very-long-name", "alba1")


def test_a_solo_machine_is_complete_without_a_cluster(lab: Any) -> None:
    cluster, states, _ = lab.driver("alba1", solo=True).look()
    assert (cluster.formed, cluster.quorate, cluster.nodes) == (True, True, ("alba1",))
    assert states == {"alba1": "online"}


def test_disks_in_use_and_unknown_ones_are_no_osds(lab: Any) -> None:
    driver = lab.form()
    assert driver.unused_disks("alba2") == ("/dev/sdc",)
    with pytest.raises(Refused, match="in use"):
        driver.ensure_osd("alba2", "/dev/sda")
    with pytest.raises(Failed, match="it has /dev/sda"):
        driver.ensure_osd("alba2", "/dev/sdz")


def test_missing_ceph_packages_are_told(lab: Any) -> None:
    lab.add("alba3", lab.access["alba3"].address, ceph_packages=False)
    driver = lab.driver("alba3")
    driver.ensure_created("alba", "alba3")
    with pytest.raises(Failed, match="not installed"):
        driver.ensure_ceph("alba3", first=True, network=lab.network)


def test_a_certificate_that_changed_gets_nothing(lab: Any) -> None:
    own = lab.access["alba1"]
    lab.access["alba1"] = NodeAccess(own.address, own.port, lab.access["alba2"].pin)
    driver = lab.driver("alba1")
    assert driver.look()[1] == {"alba1": "unknown"}
    assert "certificate" in driver.silent["alba1"]
    with pytest.raises(Refused, match="certificate"):
        driver.where(100)


def test_a_wrong_password_is_tried_once(lab: Any) -> None:
    asked: list[str] = []

    def wrong(node: str) -> str:
        asked.append(node)
        return "wrong"

    with pytest.raises(Refused, match="does not let root@pam in") as caught:
        lab.driver("alba1", password=wrong).where(100)
    assert asked == ["alba1"]
    assert "wrong" not in str(caught.value).replace("wrong password", "")


def test_reads_move_on_when_a_node_dies(lab: Any) -> None:
    driver = lab.form()
    assert driver.look()[1]["alba1"] == "online"
    lab.datacenter.power_off("alba1")
    assert driver.unused_disks("alba2") == ("/dev/sdc",)
    cluster, states, _ = driver.look()
    assert states == {"alba1": "offline", "alba2": "online", "alba3": "online"}
    assert cluster.quorate is True


def test_without_quorum_nobody_is_called_offline(lab: Any) -> None:
    driver = lab.form()
    lab.datacenter.power_off("alba1")
    lab.datacenter.power_off("alba2")
    cluster, states, _ = driver.look()
    assert (cluster.formed, cluster.quorate) == (True, False)
    assert states == {"alba1": "unknown", "alba2": "unknown", "alba3": "online"}


def test_a_dead_cluster_is_unknown_not_empty(lab: Any) -> None:
    for node in lab.nodes:
        lab.datacenter.power_off(node)
    driver = lab.driver()
    cluster, states, vms = driver.look()
    assert (cluster.formed, cluster.quorate, cluster.ceph_osds) == (None, None, None)
    assert set(states.values()) == {"unknown"}
    assert vms == {}
    assert set(driver.silent) == set(lab.nodes)
    with pytest.raises(Unreachable, match="no node answers"):
        driver.ensure_started(100)
