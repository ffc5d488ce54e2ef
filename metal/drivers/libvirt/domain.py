"""A VM as libvirt's XML, and back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid5
from xml.etree import ElementTree as ET

from metal.model.addresses import Addressing
from metal.model.cpus import DEFAULT, HOST

SPACE = "https://metal.example/libvirt/1"
"""Of what we add to a domain. A name, not a place."""
BRIDGE = "vmbr0"
CPUS = {
    "x86-64-v2": "Nehalem",
    "x86-64-v2-AES": "Westmere",
    "x86-64-v3": "Haswell-noTSX",
    "x86-64-v4": "Skylake-Server-noTSX-IBRS",
}
"""libvirt knows makes, not levels: the oldest that has all of one."""
_FAMILY = UUID("5a1d1a5e-2f0e-4c35-9b52-6e7d3f3a1c10")
ET.register_namespace("metal", SPACE)


Accelerator = Literal["kvm", "tcg", "test"]
"""test: libvirt's own test driver, which runs nothing."""


@dataclass(frozen=True)
class Disk:
    """Where the VM's disk is, as its storage pool told."""

    kind: Literal["file", "block", "rbd"]
    path: str
    """A file, a device, or pool/image."""
    monitors: tuple[tuple[str, int], ...] = ()
    user: str = ""
    secret: str = ""
    """UUID of libvirt's secret with the user's key, for RBD."""


@dataclass(frozen=True)
class Boot:
    """A kernel that every host has at the same path, instead of what is on the disk."""

    kernel: str
    initrd: str
    cmdline: str = ""


@dataclass(frozen=True)
class Machine:
    """What a kind of VM is made of, the same for all of a cluster."""

    accel: Accelerator = "kvm"
    boot: Boot | None = None
    bridge: str = BRIDGE
    console_log: str = "/var/log/libvirt/qemu/{name}-console.log"
    """What its serial console says, kept on the host."""


@dataclass(frozen=True)
class Told:
    """What a domain's XML tells of a VM that we made; `vmid` None of any other."""

    name: str
    vmid: int | None
    addresses: tuple[str, ...]
    shared: str | None
    vcpus: int
    memory_mib: int
    pool: str
    volume: str


def uuid_of(vmid: int, name: str) -> str:
    """The same on every host: what makes twins of one VM recognisable."""
    return str(uuid5(_FAMILY, f"{vmid} {name}"))


def render(
    machine: Machine,
    disk: Disk,
    *,
    vmid: int,
    name: str,
    vcpus: int,
    memory_mib: int,
    pool: str,
    volume: str,
    addressing: Addressing,
    cpu: str | None = None,
) -> str:
    kind = {"kvm": "kvm", "tcg": "qemu", "test": "test"}[machine.accel]
    domain = ET.Element("domain", type=kind)
    _text(domain, "name", name)
    _text(domain, "uuid", uuid_of(vmid, name))
    mine = {"id": str(vmid), "pool": pool, "volume": volume}
    ET.SubElement(domain, "metadata").append(_about(mine, addresses(addressing), addressing.shared))
    _text(domain, "memory", str(memory_mib), unit="MiB")
    _text(domain, "vcpu", str(vcpus))
    _system(domain, machine, cpu or DEFAULT)
    for event, then in (("poweroff", "destroy"), ("reboot", "restart"), ("crash", "restart")):
        _text(domain, f"on_{event}", then)
    devices = ET.SubElement(domain, "devices")
    _disk(devices, disk)
    if machine.accel != "test":
        _cards(devices, machine, uuid_of(vmid, name), addressing)
        _console(devices, machine.console_log.format(name=name))
    ET.indent(domain)
    return ET.tostring(domain, encoding="unicode") + "\n"


def about(told: Told, shared: str | None) -> str:
    """What we add to the domain, with another shared address; libvirt sets its namespace."""
    mine = {"id": str(told.vmid), "pool": told.pool, "volume": told.volume}
    made = _about(mine, told.addresses, shared)
    for element in made.iter():
        element.tag = element.tag.rpartition("}")[2]
    return ET.tostring(made, encoding="unicode")


def _about(mine: dict[str, str], own: Iterable[str], shared: str | None) -> ET.Element:
    made = ET.Element(f"{{{SPACE}}}vm", mine)
    for address in own:
        _text(made, f"{{{SPACE}}}address", address)
    if shared:
        _text(made, f"{{{SPACE}}}shared", shared)
    return made


def read(xml: str) -> Told:
    domain = ET.fromstring(xml)
    ours = domain.find(f"metadata/{{{SPACE}}}vm")
    mine = ours.attrib if ours is not None else {}
    known = ours.findall(f"{{{SPACE}}}address") if ours is not None else []
    memory = domain.find("memory")
    return Told(
        name=domain.findtext("name", ""),
        vmid=int(mine["id"]) if mine.get("id", "").isdigit() else None,
        addresses=tuple(address.text or "" for address in known),
        shared=ours.findtext(f"{{{SPACE}}}shared") if ours is not None else None,
        vcpus=int(domain.findtext("vcpu", "1")),
        memory_mib=_mib(memory) if memory is not None else 0,
        pool=mine.get("pool", ""),
        volume=mine.get("volume", ""),
    )


def addresses(addressing: Addressing) -> tuple[str, ...]:
    """Every address it has, with prefix length; "dhcp" and the like are none."""
    told = (addressing.private_ipv4, addressing.ipv6, addressing.public_ipv4)
    return tuple(str(one) for one in told if one)


def mac_of(uuid: str, number: int) -> str:
    """The same wherever the VM runs."""
    own = uuid5(UUID(uuid), f"card {number}").bytes[:3]
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in own)


def _system(domain: ET.Element, machine: Machine, wanted: str) -> None:
    os = ET.SubElement(domain, "os")
    _text(os, "type", "hvm", **({} if machine.accel == "test" else {"arch": "x86_64"}))
    if boot := machine.boot:
        _text(os, "kernel", boot.kernel)
        _text(os, "initrd", boot.initrd)
        _text(os, "cmdline", boot.cmdline)
    elif machine.accel != "test":
        ET.SubElement(os, "boot", dev="hd")
    if machine.accel == "test":
        return
    os[0].set("machine", "q35")
    ET.SubElement(ET.SubElement(domain, "features"), "acpi")
    if machine.accel == "kvm":
        if wanted == HOST:
            ET.SubElement(domain, "cpu", mode="host-passthrough")
            return
        cpu = ET.SubElement(domain, "cpu", mode="custom", match="exact")
        _text(cpu, "model", CPUS.get(wanted, wanted), fallback="forbid")


def _disk(devices: ET.Element, disk: Disk) -> None:
    kinds = {"file": "file", "block": "block", "rbd": "network"}
    made = ET.SubElement(devices, "disk", type=kinds[disk.kind], device="disk")
    # Without a cache of the host nothing is lost, and nothing stale is read, when it moves.
    ET.SubElement(made, "driver", name="qemu", type="raw", cache="none", discard="unmap")
    if disk.kind == "rbd":
        if disk.user:
            auth = ET.SubElement(made, "auth", username=disk.user)
            ET.SubElement(auth, "secret", type="ceph", uuid=disk.secret)
        source = ET.SubElement(made, "source", protocol="rbd", name=disk.path)
        for host, port in disk.monitors:
            ET.SubElement(source, "host", name=host, port=str(port))
    else:
        attribute = "file" if disk.kind == "file" else "dev"
        ET.SubElement(made, "source", {attribute: disk.path})
    ET.SubElement(made, "target", dev="vda", bus="virtio")


def _cards(devices: ET.Element, machine: Machine, uuid: str, addressing: Addressing) -> None:
    """As on Proxmox: one card, and a second for a public IPv4 of its own."""
    for number in range(2 if addressing.public_ipv4 else 1):
        card = ET.SubElement(devices, "interface", type="bridge")
        ET.SubElement(card, "mac", address=mac_of(uuid, number))
        ET.SubElement(card, "source", bridge=machine.bridge)
        ET.SubElement(card, "model", type="virtio")


def _console(devices: ET.Element, log: str) -> None:
    serial = ET.SubElement(devices, "serial", type="pty")
    ET.SubElement(serial, "log", file=log, append="on")
    ET.SubElement(serial, "target", port="0")


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text


def _mib(memory: ET.Element) -> int:
    units = {"b": 1, "bytes": 1, "KiB": 1 << 10, "k": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
    return int(memory.text or 0) * units.get(memory.get("unit", "KiB"), 1 << 10) >> 20
