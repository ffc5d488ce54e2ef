"""The contract over the libvirt driver, against libvirt's own test driver: no host, no root.

What that one cannot do (migrate) is done for real on the trio: tests/trio/.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from metal.drivers.libvirt import Host, Libvirt, Patience
from metal.drivers.libvirt.domain import Machine
from metal.drivers.libvirt.hosts import Silent
from metal.drivers.ports import Forms, Hypervisor
from metal.model.errors import Refused, Unreachable
from metal.model.world import SeenCluster

from .contract import Contract, make, spec

pytest.importorskip("libvirt", reason="needs libvirt-python: pip install 'metal[libvirt]'")
PATIENCE = Patience(connect=1, answer=10, poll=0.01, start=5)
NODE = """\
<node>
  <cpu><mhz>2000</mhz><model>i986</model><active>8</active><nodes>1</nodes>
    <sockets>1</sockets><cores>8</cores><threads>1</threads></cpu>
  <memory>16777216</memory>
  <pool type='dir'><name>vms</name><capacity>107374182400</capacity>
    <available>107374182400</available><target><path>/vms</path></target></pool>
</node>
"""


class Mortal(Host):
    """A host of the test driver whose power can be cut."""

    dead = False
    refuses = False

    def connection(self, patience: Patience) -> Any:
        if self.refuses:
            raise Unreachable("the host is there, its libvirtd is not", where=self.name)
        if self.dead:
            raise Silent("no answer: timed out", where=self.name)
        return super().connection(patience)


class TestDriverBed:
    __test__ = False
    nodes = ("alba1", "alba2", "alba3")
    storage, memory_mib = "vms", 64
    moves, shuts_down = False, True

    def __init__(self, folder: Path) -> None:
        self.hosts = []
        for name in self.nodes:
            (folder / f"{name}.xml").write_text(NODE)
            self.hosts.append(Mortal(name, f"test://{folder}/{name}.xml"))
        self.driver: Hypervisor = self.another()

    def another(self) -> Hypervisor:
        # The same connections: each new one to the test driver is a host of its own.
        return Libvirt(
            list(self.hosts), cluster="alba", machine=Machine(accel="test"), patience=PATIENCE
        )

    def starts(self, vmid: int) -> None:
        return None

    def kill(self, node: str) -> None:
        """Its disks were on something that the others have too."""
        dead = next(host for host in self.hosts if host.name == node)
        volumes = [v.XMLDesc() for v in _pool(dead).listAllVolumes()]
        for host in self.hosts:
            there = {v.name() for v in _pool(host).listAllVolumes()}
            for xml in volumes:
                if ET.fromstring(xml).findtext("name") not in there:
                    _pool(host).createXML(xml)
        dead.dead = True


def _pool(host: Host) -> Any:
    return Host.connection(host, PATIENCE).storagePoolLookupByName("vms")


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[TestDriverBed]:
    made = TestDriverBed(tmp_path)
    yield made
    for host in made.hosts:
        host.forget()


class TestLibvirt(Contract):
    pass


def test_it_forms_no_clusters(bed: TestDriverBed) -> None:
    assert not isinstance(bed.driver, Forms)


def test_a_host_that_refuses_us_is_alive(bed: TestDriverBed) -> None:
    bed.hosts[0].refuses = True
    cluster, nodes, _ = bed.driver.look()
    assert nodes["alba1"] == "unknown"
    assert cluster.quorate is True


def test_with_most_of_them_silent_it_may_be_our_own_line(bed: TestDriverBed) -> None:
    bed.kill("alba1")
    bed.kill("alba2")
    cluster, nodes, _ = bed.driver.look()
    assert nodes == {"alba1": "unknown", "alba2": "unknown", "alba3": "online"}
    assert cluster.quorate is False


class Broken:
    """A domain of which nothing can be learned any more."""

    def __init__(self, code: int) -> None:
        self._code = code

    def XMLDesc(self) -> str:
        import libvirt

        error = libvirt.libvirtError("Cannot recv data: Connection reset by peer")
        error.err = (self._code, libvirt.VIR_FROM_RPC, "reset by peer", 2, "", None, "", -1, -1)
        raise error


class Listing:
    """The connection of a host that told which VMs it has, and then no more."""

    def __init__(self, code: int) -> None:
        self._code = code

    def listAllDomains(self) -> list[Broken]:
        return [Broken(self._code)]


@pytest.mark.parametrize(
    ("code", "state"), [("VIR_ERR_SYSTEM_ERROR", "unknown"), ("VIR_ERR_NO_DOMAIN", "online")]
)
def test_a_host_that_dies_while_it_tells_is_not_a_host_without_vms(
    bed: TestDriverBed, monkeypatch: pytest.MonkeyPatch, code: str, state: str
) -> None:
    import libvirt

    listing = Listing(getattr(libvirt, code))
    monkeypatch.setattr(bed.hosts[0], "connection", lambda _patience: listing)
    assert bed.driver.look()[1]["alba1"] == state


def test_nobody_answers(bed: TestDriverBed) -> None:
    for node in bed.nodes:
        bed.kill(node)
    assert bed.driver.look() == (SeenCluster(), dict.fromkeys(bed.nodes, "unknown"), {})


def test_a_stopped_copy_tells_nothing_while_a_host_is_silent(bed: TestDriverBed) -> None:
    """A host that was fenced and came back still defines what runs elsewhere by now."""
    make(bed)
    bed.kill("alba2")
    assert bed.driver.look()[2]["git"].state == "unknown"
    assert bed.driver.where(101) == ("alba1", "unknown")
    with pytest.raises(Unreachable, match="alba2"):
        bed.driver.ensure_started(101)


def test_the_old_definition_of_a_host_that_came_back_is_forgotten(bed: TestDriverBed) -> None:
    make(bed)
    bed.driver.ensure_started(101)
    bed.kill("alba1")
    # What the test driver keeps of a dead host is what a real one finds on its disk.
    bed.hosts[0]._connection.lookupByName("git").destroy()
    bed.driver.ensure_restarted(spec(bed, 101, "git"), "alba2", "alba1")
    bed.hosts[0].dead = False
    assert bed.driver.look()[2]["git"].server == "alba2"
    bed.driver.ensure_started(101)
    assert [d.name() for d in bed.hosts[0]._connection.listAllDomains() if d.name() == "git"] == []


def test_one_that_runs_twice_is_shown_twice(bed: TestDriverBed) -> None:
    make(bed)
    bed.driver.ensure_started(101)
    xml = bed.hosts[0]._connection.lookupByName("git").XMLDesc()
    bed.hosts[1]._connection.createXML(xml)
    seen = bed.driver.look()[2]
    assert {seen["git"].server, seen["git#alba2"].server} == {"alba1", "alba2"}


def test_a_foreign_vm_of_the_same_name_is_left_alone(bed: TestDriverBed) -> None:
    make(bed)
    domain = bed.hosts[0]._connection.lookupByName("git")
    xml = domain.XMLDesc().replace('id="101"', 'id="7"')
    domain.undefine()
    bed.hosts[0]._connection.defineXML(xml)
    with pytest.raises(Refused, match="is not number 101"):
        make(bed)


def test_a_solo_machine_brings_its_vms_back(bed: TestDriverBed) -> None:
    solo = Libvirt(
        bed.hosts[:1],
        machine=Machine(accel="test"),
        patience=replace(PATIENCE, poll=0.02),
    )
    wanted = spec(bed, 102, "dns").model_dump() | {"addressing": spec(bed, 102, "dns").addressing}
    solo.ensure_vm(**wanted, node="alba1", ha=False)
    assert bed.hosts[0]._connection.lookupByName("dns").autostart() == 1
    make(bed)
    assert bed.hosts[0]._connection.lookupByName("git").autostart() == 0
