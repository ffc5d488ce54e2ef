"""What libvirt's hosts tell before a VM moves: asked of the test driver, and of the real QEMU."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from metal.drivers.libvirt import preflight

from .contract import make
from .libvirt_bed import PATIENCE, TestDriverBed

libvirt = pytest.importorskip("libvirt", reason="needs libvirt-python: metal[libvirt]")
CARD = "<interface type='bridge'><source bridge='vmbr0'/></interface>"
BRIDGE = """\
<interface type='bridge' name='vmbr0'><start mode='onboot'/>
  <bridge><interface type='ethernet' name='eth7'/></bridge></interface>
"""


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[TestDriverBed]:
    made = TestDriverBed(tmp_path)
    yield made
    made.close()


def connection(bed: TestDriverBed, number: int) -> Any:
    return bed.hosts[number].connection(PATIENCE)


def has_bridge(bed: TestDriverBed, number: int) -> None:
    connection(bed, number).interfaceDefineXML(BRIDGE).create()


def runs_on_a_bridge(bed: TestDriverBed) -> None:
    make(bed)
    domain = connection(bed, 0).lookupByName("git")
    connection(bed, 0).defineXML(domain.XMLDesc().replace("</devices>", f"{CARD}</devices>"))
    bed.driver.ensure_started(101)


@pytest.fixture(autouse=True)
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """The test driver tells no free memory of a host that a file describes: each has this."""

    def have(mib: int) -> None:
        monkeypatch.setattr(preflight, "free_mib", lambda _connection: mib)

    have(1024)
    return have


def test_a_host_without_the_memory_is_an_obstacle(
    bed: TestDriverBed, free: Callable[[int], None]
) -> None:
    make(bed, memory_mib=1024)
    bed.driver.ensure_started(101)
    assert bed.driver.obstacles(101, "alba2") == ()
    free(1023)
    assert bed.driver.obstacles(101, "alba2") == ("it has 1024 MiB, and alba2 only 1023 free",)


def test_a_stopped_one_needs_no_memory_to_move(bed: TestDriverBed) -> None:
    make(bed, memory_mib=20000)
    assert bed.driver.obstacles(101, "alba2") == ()


def test_a_host_without_the_bridge_is_an_obstacle(bed: TestDriverBed) -> None:
    has_bridge(bed, 0)
    has_bridge(bed, 2)
    runs_on_a_bridge(bed)
    assert bed.driver.obstacles(101, "alba2") == ("alba2 has no bridge vmbr0",)
    assert bed.driver.obstacles(101, "alba3") == ()


def test_where_the_list_of_bridges_lacks_its_own_nobody_is_blamed(bed: TestDriverBed) -> None:
    runs_on_a_bridge(bed)
    assert bed.driver.obstacles(101, "alba2") == ()


def test_a_pool_that_is_not_there_is_an_obstacle(bed: TestDriverBed) -> None:
    make(bed)
    connection(bed, 1).storagePoolLookupByName("vms").destroy()
    assert bed.driver.obstacles(101, "alba2") == ("alba2 has no storage pool vms",)


def test_qemu_tells_flags_that_its_processor_lacks(tmp_path: Path) -> None:
    """The real driver, embedded: it runs nothing here."""
    try:
        qemu = libvirt.open(f"qemu:///embed?root={tmp_path}")
    except libvirt.libvirtError as error:
        pytest.skip(f"no QEMU driver here: {error}")
    own = preflight._processor(domain("<cpu mode='host-passthrough'/>"), qemu.getCapabilities())
    assert preflight._carries(qemu, own), "its own processor it has"
    model = "<model>qemu64</model><feature policy='require' name='{}'/>"
    custom = f"<cpu mode='custom' match='exact'>{model}</cpu>"
    # No processor has both: the one is AMD's of 2011, the other Intel's of 2016.
    lacking = custom.format("avx512er").replace("</cpu>", "") + (
        "<feature policy='require' name='fma4'/></cpu>"
    )
    assert not preflight._carries(qemu, preflight._processor(domain(lacking), ""))


def test_an_emulated_processor_is_every_hosts() -> None:
    assert preflight._processor(domain("<cpu mode='host-passthrough'/>", "qemu"), "") == ""
    assert preflight._processor(domain(""), "") == ""


def domain(cpu: str, kind: str = "kvm") -> ET.Element:
    return ET.fromstring(f"<domain type='{kind}'>{cpu}</domain>")
