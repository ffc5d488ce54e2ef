"""What goes wrong while a cluster is formed and used, each once."""

import threading
from typing import Any

import pytest

from metal.drivers.proxmox.forming import wait_quorate
from metal.lab.proxmox import access as tickets
from metal.model.addresses import Addressing
from metal.model.errors import Failed, Refused

SMALL = Addressing(treatment="ipv6", private_ipv4="10.0.0.5/24")


def make(driver: Any, vmid: int, node: str = "alba1", **other: Any) -> None:
    wanted: dict[str, Any] = {"vcpus": 1, "memory_mib": 1024, "disk_gib": 10, "storage": "vms"}
    more = {"addressing": SMALL, "ha": False}
    driver.ensure_vm(vmid=vmid, name=f"vm{vmid}", node=node, **(wanted | more | other))


def test_quorum_lost_half_way_through_a_join(lab: Any) -> None:
    """Of two members one dies as the third enters: it is waited for until it is back."""
    driver = lab.driver()
    driver.ensure_created("alba", "alba1")
    driver.ensure_joined("alba2", "alba1")

    entered = len(lab.events("entered cluster"))

    def outage() -> None:
        while len(lab.events("entered cluster")) == entered:
            lab.clock.sleep(0.5)
        lab.datacenter.power_off("alba2")
        lab.clock.sleep(120)
        lab.datacenter.power_on("alba2")

    thread = threading.Thread(target=outage, daemon=True)
    thread.start()
    driver.ensure_joined("alba3", "alba1")
    thread.join(30)
    assert lab.events("entered cluster") == ["alba2", "alba3"]
    assert driver.look()[0].quorate is True


def test_a_node_reboots_while_its_osd_is_made(lab: Any) -> None:
    """The task is lost, the disk is half taken: that is told, and the way out works."""
    driver = lab.form()
    path = "nodes/alba2/ceph/osd"
    upid = driver._api.post(path, {"dev": "/dev/sdc", "encrypted": 1})
    lab.datacenter.power_off("alba2")
    lab.datacenter.power_on("alba2")
    with pytest.raises(Failed, match="cephcreateosd failed: unexpected status"):
        driver._api.follow(upid)
    with pytest.raises(Refused, match=r"/dev/sdc is in use") as told:
        driver.ensure_osd("alba2", "sdc")
    assert "pvesh set /nodes/alba2/disks/wipedisk --disk /dev/sdc" in told.value.mend
    wait_quorate(driver._api, driver._api.nodes["alba2"], "alba2")
    driver._api.follow(driver._api.put("nodes/alba2/disks/wipedisk", {"disk": "/dev/sdc"}))
    driver.ensure_osd("alba2", "sdc")
    assert sorted(lab.events("osd.")) == ["alba1", "alba2", "alba2", "alba3"]


@pytest.mark.parametrize(
    ("off", "said"), [(3600, r"36\d\d s ahead of"), (-900, r"[89]\d\d s behind")]
)
def test_a_wrong_clock_is_refused_before_the_join(lab: Any, off: float, said: str) -> None:
    driver = lab.driver()
    driver.ensure_created("alba", "alba1")
    lab.datacenter.node_at("alba2").clock_off = off
    with pytest.raises(Refused, match=said) as told:
        driver.ensure_joined("alba2", "alba1")
    assert "chronyc makestep" in told.value.mend
    assert lab.events("entered cluster") == []
    lab.datacenter.node_at("alba2").clock_off = 0
    driver.ensure_joined("alba2", "alba1")


def test_a_node_with_guests_is_refused_before_the_join(lab: Any) -> None:
    driver = lab.driver()
    driver.ensure_created("alba", "alba1")
    lab.datacenter.put_guest("alba2", 100, {"name": "precious"})
    with pytest.raises(Refused, match=r"it has guests \(100\)") as told:
        driver.ensure_joined("alba2", "alba1")
    assert "vzdump" in told.value.mend


def test_a_node_of_another_cluster_is_told_the_way_out(lab: Any) -> None:
    lab.driver("alba2").ensure_created("bora", "alba2")
    lab.driver("alba1").ensure_created("alba", "alba1")
    with pytest.raises(Refused) as told:
        lab.driver().ensure_joined("alba2", "alba1")
    assert "metal cluster adopt https://" in told.value.mend
    assert "pvecm delnode alba2" in told.value.mend


def test_the_key_that_signs_tickets_rotates(lab: Any) -> None:
    """All tickets are dead at once: a new login, and nothing else, in the middle of the work."""
    asked: list[str] = []

    def password(node: str) -> str:
        asked.append(node)
        return f"root-{node}"

    lab.form()
    driver = lab.driver(password=password)
    driver.look()
    assert asked == ["alba1"]
    lab.datacenter.node_at("alba1").cluster.secret = b"another"
    make(driver, 100)
    assert asked == ["alba1", "alba1"]


def test_a_ticket_is_renewed_before_it_dies(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from metal.drivers.proxmox import node

    assert node.RENEW_AFTER < tickets.TICKET_SECONDS
    lab.form()
    asked: list[str] = []

    def password(name: str) -> str:
        asked.append(name)
        return f"root-{name}"

    driver = lab.driver(password=password)
    driver.look()
    monkeypatch.setattr(node, "RENEW_AFTER", -1.0)
    driver.look()
    assert len(asked) > 1


def test_warnings_of_a_task_are_told(lab: Any) -> None:
    driver = lab.form()
    lab.datacenter.warnings["qmcreate"] = "the volume is larger than what is left"
    make(driver, 100)
    (told,) = driver.told()
    assert "qmcreate ended with WARNINGS: 1" in told
    assert "larger than what is left" in told
    assert driver.told() == ()


def test_another_node_answers_when_the_one_that_was_asked_dies(lab: Any) -> None:
    """alba1 carries the calls, alba2 does the work; alba1 dies in the middle."""
    driver = lab.form()
    assert driver._api.node().name == "alba1"
    upid = driver._api.post("nodes/alba2/ceph/osd", {"dev": "/dev/sdc", "encrypted": 1})
    lab.datacenter.power_off("alba1")
    driver._api.follow(upid)
    assert driver._api.node().name != "alba1"
    assert driver.look()[1] == {"alba1": "offline", "alba2": "online", "alba3": "online"}


def test_what_another_holds_is_waited_for(lab: Any) -> None:
    driver = lab.form()
    make(driver, 100)
    vm = lab.datacenter.node_at("alba1").cluster.vms[100]
    vm.lock = "backup"

    def unlock() -> None:
        lab.clock.sleep(60)
        vm.lock = ""

    thread = threading.Thread(target=unlock, daemon=True)
    thread.start()
    driver.ensure_started(100)
    thread.join(10)
    assert driver.where(100) == ("alba1", "running")


# ── room ─────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_put_on_a_ceph_that_is_nearly_full(lab: Any) -> None:
    driver = lab.form()
    make(driver, 100)
    driver.ensure_started(100)
    assert driver.look()[0].ceph_full is False
    lab.datacenter.fill["vms"] = 0.86
    assert driver.look()[0].ceph_full is True
    with pytest.raises(Refused, match="storage vms is 86 % full; 85% is the limit"):
        make(driver, 101)
    # A live migration copies nothing there: the disks stay where they are.
    driver.ensure_migrated(100, "alba2")
    assert driver.where(100) == ("alba2", "running")


def local(lab: Any, driver: Any, **config: Any) -> None:
    disk = {"scsi0": "local-lvm:vm-100-disk-0,size=100G"}
    lab.datacenter.put_guest("alba1", 100, {"name": "old", "memory": "1024", **disk, **config})


def test_disks_of_the_node_itself_move_with_the_vm(lab: Any) -> None:
    driver = lab.form()
    local(lab, driver)
    driver.ensure_migrated(100, "alba2")
    assert driver.where(100) == ("alba2", "running")


def test_no_migration_that_would_fill_the_target(lab: Any) -> None:
    driver = lab.form()
    local(lab, driver)
    lab.datacenter.fill["local-lvm"] = 0.85
    with pytest.raises(Refused, match=r"85 % full, and 97 % with 100 GiB more"):
        driver.ensure_migrated(100, "alba2")
    assert driver.where(100) == ("alba1", "running")


def test_a_cd_in_the_drive_is_told_before(lab: Any) -> None:
    driver = lab.form()
    local(lab, driver, ide2="local:iso/debian.iso,media=cdrom")
    with pytest.raises(Refused, match=r"local:iso/debian.iso, which is on its node only: eject"):
        driver.ensure_migrated(100, "alba2")


def test_a_storage_that_the_target_lacks_is_named(lab: Any) -> None:
    driver = lab.form()
    local(lab, driver)
    driver._api.put("storage/local-lvm", {"nodes": "alba1,alba3"})
    with pytest.raises(Refused, match="it has no storage local-lvm"):
        driver.ensure_migrated(100, "alba2")
