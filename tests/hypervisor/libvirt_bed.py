"""Three hosts of libvirt's own test driver, whose power can be cut: no host, no root."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from metal.drivers.libvirt import Host, Libvirt, Patience
from metal.drivers.libvirt.domain import Machine
from metal.drivers.libvirt.hosts import Silent
from metal.drivers.ports import Hypervisor
from metal.model.errors import Unreachable

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
        for domain in Host.connection(dead, PATIENCE).listAllDomains():
            if domain.isActive():
                domain.destroy()
        dead.dead = True

    def revive(self, node: str) -> None:
        """It has power again, and its libvirtd answers."""
        next(host for host in self.hosts if host.name == node).dead = False

    def close(self) -> None:
        for host in self.hosts:
            host.forget()


def _pool(host: Host) -> Any:
    return Host.connection(host, PATIENCE).storagePoolLookupByName("vms")
