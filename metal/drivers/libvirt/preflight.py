"""What keeps a VM from moving to another host, asked of both before anything is moved.

What a host cannot tell (libvirt without its interface driver, a driver that compares no
processors) is no obstacle: the migration finds it out, and the VM goes on where it is.
"""

from collections.abc import Callable
from typing import Any, TypeVar
from xml.etree import ElementTree as ET

from metal.drivers.libvirt.calls import libvirt
from metal.drivers.libvirt.disks import LOCAL
from metal.drivers.libvirt.guests import find
from metal.drivers.libvirt.hosts import Hosts
from metal.drivers.libvirt.look import Copy
from metal.drivers.libvirt.resources import free_mib
from metal.model.errors import Unreachable

T = TypeVar("T")


def obstacles(hosts: Hosts, vmid: int, target: str) -> tuple[str, ...]:
    """A pool that is not there, its disk; for one that runs also an older QEMU, too little
    memory, a bridge or a processor's flags that lack."""
    at = find(hosts, vmid)
    if at.node == target:
        return ()
    try:
        found = _of_disk(hosts, at, target)
        return found + (_of_running(hosts, at, target) if at.state == "running" else ())
    except Unreachable as error:
        return (f"{error.where or target}: {error.what}",)


def _of_disk(hosts: Hosts, at: Copy, target: str) -> tuple[str, ...]:
    if at.told.pool == LOCAL:
        return (
            (f"it is stopped and its disk is on {at.node} only: start it",)
            if at.state == "stopped"
            else ()
        )
    pools = hosts.call(target, lambda connection: list(connection.listStoragePools()))
    return () if at.told.pool in pools else (f"{target} has no storage pool {at.told.pool}",)


def _of_running(hosts: Hosts, at: Copy, target: str) -> tuple[str, ...]:
    xml = hosts.call(at.node, lambda connection: connection.lookupByName(at.told.name).XMLDesc())
    domain = ET.fromstring(xml)
    found = []
    ours, theirs = hosts.call(at.node, _version), hosts.call(target, _version)
    if theirs < ours:
        found.append(f"{target} runs QEMU {theirs}, older than {ours} on {at.node}")
    free = hosts.call(target, free_mib)
    if free < at.told.memory_mib:
        found.append(f"it has {at.told.memory_mib} MiB, and {target} only {free} free")
    lacking = _bridges(domain) & hosts.call(at.node, _cards) - hosts.call(target, _cards)
    found += [f"{target} has no bridge {bridge}" for bridge in sorted(lacking)]
    processor = _processor(domain, hosts.call(at.node, lambda c: c.getCapabilities()))
    if processor and not hosts.call(target, lambda connection: _carries(connection, processor)):
        found.append(f"the processor of {target} lacks flags that it has on {at.node}")
    return tuple(found)


def _version(connection: Any) -> int:
    """QEMU's major version."""
    return int(connection.getVersion()) // 10**6


def _bridges(domain: ET.Element) -> frozenset[str]:
    sources = domain.findall("devices/interface[@type='bridge']/source")
    return frozenset(source.get("bridge", "") for source in sources)


def _cards(connection: Any) -> frozenset[str]:
    """The network interfaces that are up.

    One that is up where the VM runs and not in the list there is a sign that the host cannot
    tell: it is not asked for at the target.
    """
    return frozenset(_or_unknown(connection.listInterfaces, []))


def _processor(domain: ET.Element, capabilities: str) -> str:
    """XML of the processor that the VM has now; empty for an emulated one, which all hosts have."""
    cpu = domain.find("cpu")
    if cpu is None or domain.get("type") != "kvm":
        return ""
    if cpu.get("mode") == "host-passthrough":
        own = ET.fromstring(capabilities).find("host/cpu")
        return "" if own is None else ET.tostring(own, encoding="unicode")
    return ET.tostring(cpu, encoding="unicode")


def _carries(connection: Any, processor: str) -> bool:
    module = libvirt()
    said = _or_unknown(lambda: connection.compareCPU(processor), module.VIR_CPU_COMPARE_IDENTICAL)
    return bool(said != module.VIR_CPU_COMPARE_INCOMPATIBLE)


def _or_unknown(ask: Callable[[], T], unknown: T) -> T:
    """What it says; `unknown` where this libvirt has no way to tell."""
    module = libvirt()
    try:
        return ask()
    except module.libvirtError as error:
        if error.get_error_code() != module.VIR_ERR_NO_SUPPORT:
            raise
        return unknown
