"""The trio on a real Ceph: disks in RBD, and a dead server's clients shut out of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from metal.controller.blocklisting import blocklist
from metal.drivers.ceph import Blocklist
from metal.lab.namespaces import workspace
from metal.lab.namespaces.counting import counts, gaps
from metal.lab.namespaces.drill import Drill
from metal.lab.namespaces.trio import Trio, why_not
from metal.model.addresses import Addressing
from metal.model.hypervisor import VmSpec

from .drilling import begin, busiest, end, healthy, release, written_once
from .traces import assert_gone, traces

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    pytest.importorskip("libvirt", reason="needs libvirt-python: pip install 'metal[libvirt]'")
    if reason := why_not(ceph=True):
        pytest.skip(reason)
    made = workspace.up(tmp_path_factory.mktemp("ceph") / "work", ceph=True)
    assert made.ceph == "HEALTH_OK"
    mark = f"metal{made.servers['trio1']['address'].split('.')[2]}"
    assert traces(mark, made.folder) != []
    yield made.folder
    workspace.down(made.folder)
    assert_gone(mark, made.folder)


@pytest.fixture
def drill(folder: Path) -> Iterator[Drill]:
    made = Drill(folder)
    try:
        begin(made)
        yield made
        end(made)
    finally:
        made.close()


def well(trio: Trio) -> bool:
    return trio.ceph is not None and trio.ceph.health() == "HEALTH_OK"


def address(drill: Drill, server: str) -> str:
    return drill.trio.servers[server].address


def shut_out_by(drill: Drill, but: str) -> Blocklist:
    return blocklist(drill.workspace, "trio", but=but)


def listed(drill: Drill, server: str) -> bool:
    """Whether Ceph shuts the whole server out."""
    return address(drill, server) in shut_out_by(drill, but=server).listed()


def test_a_guest_on_rbd_moves_without_losing_a_count(drill: Drill) -> None:
    source, driver = busiest(drill), drill.trio.driver()
    vm = drill.vms_of(source)[0]
    drill.marks([vm], source)
    target = next(name for name in drill.trio.servers if name != source)
    driver.ensure_migrated(driver.look()[2][vm].vmid, target)
    before, after = (drill.trio.servers[n].console(vm) for n in (source, target))
    drill.until(lambda: len(counts(after)) > 5, 60, "it does not count there")
    assert gaps(counts(before, after)) == []


def test_a_dead_server_is_shut_out_before_its_guests_restart(drill: Drill) -> None:
    with drill.watching():
        found = drill.fail(busiest(drill), "dead")
    written_once(found)
    assert listed(drill, found.server)
    drill.trio.break_(found.server, "repair")
    drill.until(lambda: healthy(drill, found.server), 120, "it does not get well")
    release(drill, found.server)
    assert not listed(drill, found.server), "its clients may write again"
    drill.until(lambda: well(drill.trio), 120, "Ceph does not get well")


def test_a_copy_that_was_thought_dead_cannot_write(drill: Drill) -> None:
    """The proof of power lies, say, and the old copy runs on: Ceph takes nothing from it."""
    source, driver = busiest(drill), drill.trio.driver()
    vm = drill.vms_of(source)[0]
    drill.marks([vm], source)
    target = next(name for name in drill.trio.servers if name != source)
    old, new = (drill.trio.servers[n].console(vm) for n in (source, target))
    vmid = driver.look()[2][vm].vmid
    drill.trio.break_(source, "partition")
    # I/O that is under way is refused once the cable is back, and not before.
    shut_out_by(drill, but=source).ensure_listed([address(drill, source)], 600)
    driver.ensure_restarted(spec(vm, vmid), target, source)
    drill.until(lambda: len(counts(new)) > 5, 120, "it does not count there")
    drill.trio.break_(source, "repair")
    assert vm in drill.vms_of(source), "two copies of it run"
    drill.until(lambda: "disk error" in old.read_text(), 120, "the old copy hangs")
    assert counts(new)[0].number in (counts(old)[-1].number + 1, counts(old)[-1].number + 2)
    assert gaps(counts(new)) == [], "the new copy alone writes"
    drill.trio.break_(source, "crash")
    drill.trio.break_(source, "repair")
    shut_out_by(drill, but=source).ensure_not_listed([address(drill, source)])


def spec(vm: str, vmid: int) -> VmSpec:
    return VmSpec(
        vmid=vmid,
        name=vm,
        vcpus=1,
        memory_mib=128,
        disk_gib=1,
        storage="vms",
        addressing=Addressing(treatment="ipv6", private_ipv4="10.9.0.5/24"),
    )
