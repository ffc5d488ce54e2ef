"""VMs that HA does not manage, taken over from a dead node of the Proxmox double."""

import re
import time
from typing import Any

import pytest
from heal_bench import VMS, Bench, Killed, die, faltering, nodes, place, run, seen_place
from hypothesis import given
from hypothesis import strategies as st

from metal.drivers.proxmox.configs import read_file
from metal.drivers.proxmox.takeover import unmovable
from metal.lab.proxmox.pmxcfs import written
from metal.lab.proxmox.state import Vm
from metal.model.addresses import Addressing
from metal.model.errors import Refused, Unreachable
from metal.model.life import Status
from metal.model.plan import Restart
from metal.operations.lease import LeaseLost


def config(bench: Bench, vmid: int) -> dict[str, Any]:
    with bench.lab.datacenter.present() as there:
        found: dict[str, Any] = there["alba1"].cluster.vms[vmid].config
        return found


def vm(bench: Bench, vmid: int) -> Vm:
    with bench.lab.datacenter.present() as there:
        found: Vm = there["alba1"].cluster.vms[vmid]
        return found


def test_they_run_elsewhere_and_their_old_clients_are_shut_out_first(bench: Bench) -> None:
    bench.vms(ha=False)
    die(bench)
    outcome = run(bench)
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert nodes(bench) == {"git": ["alba2"], "wiki": ["alba3"]}
    assert {v["max_copies"] for v in bench.truth().values()} == {1}
    assert not bench.lab.events("waits for an old lock")
    (operation,) = bench.store.journal.list()
    said = [e.text for e in bench.store.events.since(0) if e.operation == operation.id]
    said = [text for text in said if "git" in text or "vm-101" in text]
    assert said[-1] == "git writes to its disk"
    shut, moved, started = said[1:-1]
    images = "vms/vm-101-cloudinit, vms/vm-101-disk-0"
    assert re.fullmatch(rf"shut [\d.]+:0/\d+ out of {images}", shut)
    assert moved == "move the file of git from alba1 to alba2"
    assert started == "restart git on alba2"
    assert bench.store.journal.show(operation.id).steps[-2].result == "alba3"


def test_what_ha_manages_is_left_to_it(bench: Bench) -> None:
    bench.vms(ha=False)
    bench.driver.ensure_vm(
        vmid=101, name="git", node="alba1", vcpus=1, memory_mib=1024, disk_gib=10, storage="vms",
        addressing=Addressing(treatment="ipv6", private_ipv4="10.0.0.101/24"), ha=True,
    )  # fmt: skip
    die(bench)

    def only_wiki(server: str, name: str) -> Restart:
        assert name == "wiki", "HA restarts git"
        return place(server, name)

    outcome = run(bench, place=only_wiki)
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert {v["max_copies"] for v in bench.truth().values()} == {1}
    assert all(where in (["alba2"], ["alba3"]) for where in nodes(bench).values())


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("scsi1", "local-lvm:vm-101-disk-9,size=4G", "scsi1 is on local-lvm, which is not shared"),
        ("ide0", "local:iso/debian.iso,media=cdrom", "ide0 is on local, which is not shared"),
        ("scsi1", "/dev/disk/by-id/wwn-1", "scsi1 is /dev/disk/by-id/wwn-1, a device of its own"),
        ("scsi1", "gone:vm-101-disk-1", "scsi1 is on gone, which alba2 does not have"),
        ("efidisk0", "local-lvm:vm-101-disk-8", "efidisk0 is on local-lvm, which is not shared"),
        ("hostpci0", "0000:01:00.0", "hostpci0 is hardware of its own server"),
        ("usb0", "host=1234:5678", "usb0 is hardware of its own server"),
    ],
)
def test_what_is_on_the_dead_server_alone_stays_and_is_named_with_why(
    bench: Bench, key: str, value: str, why: str
) -> None:
    bench.vms(ha=False)
    config(bench, 101)[key] = value
    die(bench)
    outcome = run(bench)
    assert outcome.status is Status.FAILED
    assert f"git stays down: {why}" in outcome.error
    assert nodes(bench) == {"git": [], "wiki": ["alba3"]}
    assert bench.truth()["git"]["node"] == "alba1"


def test_a_lock_whose_holder_died_is_taken_off_and_a_template_lock_is_not(bench: Bench) -> None:
    bench.vms(ha=False)
    vm(bench, 101).lock = "backup"
    vm(bench, 102).lock = "create"
    die(bench)
    outcome = run(bench)
    assert "wiki stays down: it is locked (create)" in outcome.error
    assert nodes(bench) == {"git": ["alba2"], "wiki": []}


def test_another_vm_of_that_number_is_not_started(bench: Bench) -> None:
    bench.vms(ha=False)
    config(bench, 101)["name"] = "stranger"
    die(bench)
    assert "VM 101 is 'stranger' there, not 'git'" in run(bench).error
    assert vm(bench, 101).copies == {}


def test_a_disk_that_somebody_else_has_open_is_no_dead_vms(bench: Bench) -> None:
    bench.vms(ha=False)
    vm(bench, 101).holder = "10.9.9.9:0/77"
    die(bench)
    outcome = run(bench)
    assert "git stays down: its disk vms/vm-101-disk-0 is open at 10.9.9.9" in outcome.error
    assert nodes(bench) == {"git": [], "wiki": ["alba3"]}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6])
def test_a_kill_at_any_change_is_gone_on_with(bench: Bench, at: int, when: str) -> None:
    bench.vms(ha=False)
    for vmid in VMS.values():
        vm(bench, vmid).lock = "backup"
    die(bench)
    driver, falters = faltering(bench, at, when, Killed())
    with pytest.raises(Killed):
        run(bench, hypervisor=driver)
    assert falters.hit
    outcome = run(bench, place=seen_place(bench))
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert nodes(bench) == {"git": ["alba2"], "wiki": ["alba3"]}
    assert {(v["max_copies"], v["starts"]) for v in bench.truth().values()} == {(1, 2)}


@pytest.mark.parametrize("at", [1, 2])
def test_an_answer_that_is_lost_changes_nothing(bench: Bench, at: int) -> None:
    bench.vms(ha=False)
    die(bench)
    driver, falters = faltering(bench, at, "after", Unreachable("cut off", where="alba2"))
    outcome = run(bench, hypervisor=driver, place=seen_place(bench))
    assert falters.hit
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert {(v["max_copies"], v["starts"]) for v in bench.truth().values()} == {(1, 2)}


def comes_back(bench: Bench) -> None:
    """Somebody switches it on while git is being taken over; it is online before the file moves."""
    bench.lab.datacenter.power_on("alba1")
    bench.bmc.reads = "on"
    deadline = time.monotonic() + 30
    while bench.driver.look()[1]["alba1"] != "online":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_node_that_comes_back_in_the_middle_keeps_its_vms(bench: Bench) -> None:
    """It starts those that are to start with it itself, and the rest is started there."""
    bench.vms(ha=False)
    config(bench, 102)["onboot"] = 0
    die(bench)
    back = iter([None])

    def returning(server: str, name: str) -> Restart:
        for _ in back:
            comes_back(bench)
        return place(server, name)

    outcome = run(bench, place=returning)
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert nodes(bench) == {"git": ["alba1"], "wiki": ["alba1"]}
    assert {v["max_copies"] for v in bench.truth().values()} == {1}


def test_a_node_that_comes_back_just_before_the_file_moves_keeps_it(bench: Bench) -> None:
    bench.vms(ha=False)
    die(bench)
    driver, falters = faltering(bench, 1, "after", Unreachable("", where=""))
    falters.act = lambda: comes_back(bench)
    outcome = run(bench, hypervisor=driver)
    assert falters.hit
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert nodes(bench) == {"git": ["alba1"], "wiki": ["alba1"]}
    assert {v["max_copies"] for v in bench.truth().values()} == {1}


def test_a_node_that_comes_back_after_the_file_moved_does_not_start_it(bench: Bench) -> None:
    bench.vms(ha=False)
    die(bench)
    driver, falters = faltering(bench, 4, "after", Killed())
    with pytest.raises(Killed):
        run(bench, hypervisor=driver)
    assert falters.hit
    comes_back(bench)
    outcome = run(bench, place=seen_place(bench))
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert {v["max_copies"] for v in bench.truth().values()} == {1}
    assert all(len(at) == 1 for at in nodes(bench).values())


def test_nothing_is_taken_over_where_the_proof_does_not_hold(bench: Bench) -> None:
    """It reads on again, and its cluster does not see it: it may run them."""
    bench.vms(ha=False)
    die(bench)

    def switched_on(server: str, name: str) -> Restart:
        bench.bmc.reads = "on"
        return place(server, name)

    ticks = iter(range(0, 10**6, 60))
    outcome = run(bench, place=switched_on, monotonic=lambda: float(next(ticks)))
    assert outcome.exit_code == Unreachable.exit_code
    assert "whether git runs there is not known" in outcome.error
    assert nodes(bench) == {"git": [], "wiki": []}


def test_without_quorum_nothing_is_moved(bench: Bench) -> None:
    bench.vms(ha=False)
    die(bench)

    def lost(server: str, name: str) -> Restart:
        bench.lab.datacenter.power_off("alba3")
        return place(server, name)

    outcome = run(bench, place=lost)
    assert outcome.status is Status.FAILED
    assert nodes(bench) == {"git": [], "wiki": []}
    assert {v["node"] for v in bench.truth().values()} == {"alba1"}


def test_who_does_not_lead_any_more_moves_nothing(bench: Bench) -> None:
    bench.vms(ha=False)
    die(bench)
    term = bench.store.leading.seek("watch", "here", 600)
    assert term is not None

    def deposed(server: str, name: str) -> Restart:
        bench.store.leading.resign(term)
        return place(server, name)

    with pytest.raises(LeaseLost):
        run(bench, place=deposed, term=term)
    assert {v["node"] for v in bench.truth().values()} == {"alba1"}
    assert not bench.lab.events("blocklist")
    assert nodes(bench) == {"git": [], "wiki": []}


def full(server: str, name: str) -> Restart:
    """No server has room for git."""
    if name == "git":
        raise Refused("no place for it: alba2 is full", where=server)
    return place(server, name)


def test_one_without_a_place_is_named_and_the_other_runs(bench: Bench) -> None:
    bench.vms(ha=False)
    die(bench)

    outcome = run(bench, place=full)
    assert "git stays down: no place for it: alba2 is full" in outcome.error
    assert nodes(bench) == {"git": [], "wiki": ["alba3"]}


def test_one_that_somebody_deleted_is_awaited_no_more(bench: Bench) -> None:
    """Also where it failed first: the operation is gone on with, and ends."""
    bench.vms(ha=False)
    die(bench)

    assert "git stays down" in run(bench, place=full).error
    with bench.lab.datacenter.present() as there:
        there["alba2"].cluster.vms.pop(101)
    outcome = run(bench, place=full)
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert nodes(bench) == {"wiki": ["alba3"]}


# ── the file of a VM ────────────────────────────────────────────────────────────────────────────

TEXT = """\
#git, made by metal
#scsi7: in the notes
boot: order=scsi0
cores: 2
name: git
net0: virtio=BC:24:11:00:00:01,bridge=vmbr0
scsi0: vms:base-100-disk-0/vm-101-disk-0,iothread=1,size=10G
snaptime: 1

[before]
scsi1: local-lvm:vm-101-disk-1,size=4G
name: old
"""


def test_only_what_stands_before_the_snapshots_is_the_vm() -> None:
    config = read_file(TEXT)
    assert config["name"] == "git"
    shared = [{"storage": "vms", "shared": 1, "active": 1}]
    assert [*unmovable(config, shared, "alba2")] == []
    assert "scsi1" not in config and "scsi7" not in config


@given(
    st.dictionaries(
        st.sampled_from(["scsi0", "virtio3", "sata1", "ide2", "efidisk0", "tpmstate0"]),
        st.sampled_from(["vms", "local-lvm", "off", "gone"]),
        min_size=1,
    )
)
def test_no_disk_that_is_not_shared_and_active_ever_moves(drives: dict[str, str]) -> None:
    storages = [
        {"storage": "vms", "shared": 1, "active": 1},
        {"storage": "off", "shared": 1, "active": 0},
        {"storage": "local-lvm", "shared": 0, "active": 1},
    ]
    made = Vm(101, "alba1", {k: f"{s}:vm-101-disk-0,size=1G" for k, s in drives.items()})
    reasons = [*unmovable(read_file(written(made)), storages, "alba2")]
    assert len(reasons) == sum(storage != "vms" for storage in drives.values())


def test_drives_without_a_volume_and_virtual_devices_hinder_nothing() -> None:
    config = {
        "ide2": "none,media=cdrom",
        "serial0": "socket",
        "usb0": "spice",
        "hostpci0": "mapping=gpu",
    }
    assert [*unmovable(config, [], "alba2")] == []
