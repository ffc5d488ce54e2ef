"""The contract over the libvirt driver, against libvirt's own test driver: no host, no root.

What that one cannot do (migrate) is done for real on the trio: tests/trio/.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from metal.drivers.libvirt import Libvirt
from metal.drivers.libvirt.domain import Machine
from metal.drivers.ports import Forms
from metal.model.errors import Refused, Unreachable
from metal.model.world import SeenCluster

from .contract import Contract, make, spec
from .libvirt_bed import PATIENCE, TestDriverBed

pytest.importorskip("libvirt", reason="needs libvirt-python: pip install 'metal[libvirt]'")


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[TestDriverBed]:
    made = TestDriverBed(tmp_path)
    yield made
    made.close()


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
    bed.driver.ensure_restarted(spec(bed, 101, "git"), "alba2", "alba1")
    bed.revive("alba1")
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


def test_who_stopped_a_vm_is_told_until_its_host_starts_anew(bed: TestDriverBed) -> None:
    make(bed)
    assert bed.driver.look()[2]["git"].untold, "it was only defined"
    bed.driver.ensure_started(101)
    assert not bed.driver.look()[2]["git"].untold
    bed.driver.ensure_off(101)
    seen = bed.driver.look()[2]["git"]
    assert (seen.state, seen.untold) == ("stopped", False)
