"""What keeps a VM from moving is found by asking, one by one, and nothing is moved."""

from dataclasses import replace
from typing import Any

import pytest

from metal.drivers.proxmox.api import Api
from metal.drivers.proxmox.preflight import forbidden
from metal.model.addresses import Addressing
from metal.model.errors import Failed, Refused

V2 = "cx16 popcnt ssse3 sse4_1 sse4_2 aes"
V3 = f"{V2} avx avx2 bmi1 bmi2 f16c fma abm movbe"
ADDRESSING = Addressing(treatment="ipv6", private_ipv4="10.11.128.5/20", gateway4="10.11.128.1")
HASWELL = "Intel(R) Xeon(R) CPU E5-2670 v3 @ 2.30GHz"
WESTMERE = "Intel(R) Xeon(R) CPU           X5650  @ 2.67GHz"


@pytest.fixture
def formed(lab: Any) -> Any:
    """git, of 8 GiB, runs on alba1."""
    driver = lab.form()
    driver.ensure_vm(
        vmid=101, name="git", node="alba1", vcpus=2, memory_mib=8192, disk_gib=20,
        storage="vms", addressing=ADDRESSING, ha=False, cpu="x86-64-v3",
    )  # fmt: skip
    driver.ensure_started(101)
    return driver


def node(lab: Any, name: str) -> Any:
    with lab.datacenter.present() as nodes:
        return nodes[name]


def moves(lab: Any) -> int:
    return len([e for e in lab.datacenter.truth()["events"] if "migrat" in e["what"]])


def test_nothing_stands_in_the_way(lab: Any, formed: Any) -> None:
    assert formed.obstacles(101, "alba2") == ()
    assert formed.obstacles(101, "alba1") == (), "it is there"
    assert moves(lab) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"no_bridge": True}, "alba2 has no bridge vmbr0"),
        ({"memory_mib": 4096}, "alba2 has 3072 MiB free now, it needs 8192"),
        ({"runs": "8.4.1"}, "alba2 runs Proxmox 8.4.1, older than 9.2.1 where it runs"),
        ({"chip": WESTMERE}, f"processor x86-64-v3, which alba2 ({WESTMERE}) cannot be"),
        ({"flags": V2}, "processor x86-64-v3, which alba2 (Lab CPU) cannot be"),
        # What the name promises and the firmware took away is not there.
        ({"chip": HASWELL, "flags": V2}, "cannot be"),
    ],
)
def test_an_unfit_target_is_told_apart(
    lab: Any, formed: Any, change: dict[str, Any], said: str
) -> None:
    for key, value in change.items():
        setattr(node(lab, "alba2"), key, value)
    (obstacle,) = formed.obstacles(101, "alba2")
    assert said in obstacle
    assert formed.obstacles(101, "alba3") == ()
    with pytest.raises(Refused, match="VM 101 cannot move to alba2"):
        formed.ensure_migrated(101, "alba2")
    assert formed.where(101) == ("alba1", "running") and moves(lab) == 0


@pytest.mark.parametrize("change", [{"runs": "10.0.1"}, {"flags": V3}, {"chip": HASWELL}])
def test_a_newer_target_is_no_obstacle(lab: Any, formed: Any, change: dict[str, Any]) -> None:
    for key, value in change.items():
        setattr(node(lab, "alba2"), key, value)
    assert formed.obstacles(101, "alba2") == ()


def test_its_nodes_own_processor_wants_the_same(lab: Any, formed: Any) -> None:
    formed._api.put("nodes/alba1/qemu/101/config", {"cpu": "host"})
    assert formed.obstacles(101, "alba2") == ()
    node(lab, "alba2").chip = HASWELL
    (obstacle,) = formed.obstacles(101, "alba2")
    assert HASWELL in obstacle and "own processor" in obstacle


def test_a_target_that_is_off_is_said(lab: Any, formed: Any) -> None:
    lab.datacenter.power_off("alba2")
    assert formed.obstacles(101, "alba2") == ("alba2 is not online",)


def test_a_stopped_vm_needs_no_memory_and_no_processor(lab: Any, formed: Any) -> None:
    formed.ensure_off(101)
    node(lab, "alba2").memory_mib = 4096
    node(lab, "alba2").chip = WESTMERE
    assert formed.obstacles(101, "alba2") == ()


def test_what_the_host_runs_on_is_told(lab: Any, formed: Any) -> None:
    node(lab, "alba2").chip, node(lab, "alba2").flags = HASWELL, V3
    has = formed.resources("alba2")
    assert (has.cpu, has.flags) == (HASWELL, tuple(V3.split()))
    assert formed.resources("alba1").flags == ()


def test_proxmoxs_own_reasons_are_told() -> None:
    told = {
        "allowed_nodes": ["alba3"],
        "not_allowed_nodes": {"alba2": {"unavailable_storages": ["fast"]}},
        "local_resources": ["hostpci0"],
    }
    said = [*forbidden(told, "alba2", running=True)]
    assert said == ["it has no storage fast", "it uses hostpci0 of its node: stop it first"]
    assert [*forbidden(told, "alba3", running=False)] == []


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            {"local_disks": [{"volid": "/dev/sdb", "size": 5}]},
            "its disk is /dev/sdb, a device of its node",
        ),
        (
            {"local_disks": [{"volid": "local:7/a.raw", "referenced_in_snapshot": {"b": 1}}]},
            "its disk local:7/a.raw is on its node only and has snapshots (b): remove them",
        ),
        (
            {"mapped-resource-info": {"hostpci0": {"name": "gpu"}}},
            "it uses hostpci0 (gpu), which is not moved live: stop it first",
        ),
        (
            {"not_allowed_nodes": {"alba2": {"unavailable-resources": ["gpu"]}}},
            "it has nothing mapped to gpu",
        ),
    ],
)
def test_what_proxmox_finds_half_way_is_found_before(told: dict[str, Any], said: str) -> None:
    allowed = [] if "not_allowed_nodes" in told else ["alba2"]
    assert [*forbidden({"allowed_nodes": allowed, **told}, "alba2", running=True)] == [said]


def test_one_that_is_locked_may_not_even_be_asked_about(lab: Any, formed: Any) -> None:
    with lab.datacenter.present() as nodes:
        nodes["alba1"].cluster.vms[101].lock = "backup"
    assert formed.obstacles(101, "alba2") == ("Proxmox says: VM is locked (backup)",)
    with pytest.raises(Failed, match=r"VM is locked \(backup\)"):
        formed.ensure_migrated(101, "alba2")


def test_a_migration_on_its_way_is_waited_for_and_not_asked_for_again(
    lab: Any, formed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxmox answers no question about a VM that is being moved."""

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    lab.datacenter.pace = replace(lab.datacenter.pace, migrate=600)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Api, "follow", killed)
        formed.ensure_migrated(101, "alba2")
    formed.ensure_migrated(101, "alba2")
    assert formed.where(101) == ("alba2", "running") and moves(lab) == 1
