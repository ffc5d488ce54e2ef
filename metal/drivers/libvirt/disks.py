"""Disks of VMs in libvirt's storage pools: a directory, a volume group, an RBD pool."""

import time
from typing import Any
from xml.etree import ElementTree as ET

from metal.drivers.libvirt.calls import busy, libvirt, missing
from metal.drivers.libvirt.domain import Disk
from metal.model.errors import Failed

LOCAL = "local"
"""Asked for where nothing is shared: the host's own directory, made when it is not there."""
LOCAL_FOLDER = "/var/lib/libvirt/images"
RBD_PORT = 6789
BUSY = 60.0
"""Seconds for the pool's other work to end."""
POLL = 0.1


def volume_of(vmid: int, name: str) -> str:
    """With the name in it: an id used again never finds another VM's data."""
    return f"{name}-{vmid}"


def pool_of(connection: Any, name: str, node: str) -> Any:
    """The pool, active; Failed, with those that there are, when there is none of that name."""
    module = libvirt()
    try:
        pool = connection.storagePoolLookupByName(name)
    except module.libvirtError as error:
        if not missing(error):
            raise
        if name != LOCAL:
            there = ", ".join(sorted(p.name() for p in connection.listAllStoragePools()))
            raise Failed(
                f"no storage pool {name!r} for VM disks",
                where=node,
                mend=f"it has {there or 'none'}: define it there with virsh pool-define-as",
            ) from None
        pool = _make_local(connection)
    if not pool.isActive():
        pool.create()
    return pool


def ensure_volume(pool: Any, name: str, gib: int) -> Disk:
    """The volume is there, of that size when it was not before; it is never made smaller."""
    if _lookup(pool, name) is None:
        volume = ET.Element("volume")
        ET.SubElement(volume, "name").text = name
        ET.SubElement(volume, "capacity", unit="GiB").text = str(gib)
        # Nothing is allocated beforehand where that can be left until it is written.
        if _kind(pool) == "dir":
            ET.SubElement(volume, "allocation").text = "0"
            ET.SubElement(ET.SubElement(volume, "target"), "format", type="raw")
        pool.createXML(ET.tostring(volume, encoding="unicode"))
    return disk_of(pool, name)


def disk_of(pool: Any, name: str) -> Disk:
    """How a domain is given the volume; Failed when it is not there."""
    volume = _lookup(pool, name)
    if volume is None:
        raise Failed(
            f"no disk {name!r} in the pool {pool.name()!r}",
            where=pool.connect().getHostname(),
            mend="was it removed by hand? restore it from a backup under that name",
        )
    path = str(volume.path())
    if _kind(pool) == "rbd":
        source = ET.fromstring(pool.XMLDesc()).find("source")
        assert source is not None
        auth = source.find("auth")
        secret = auth.find("secret") if auth is not None else None
        return Disk(
            "rbd",
            f"{source.findtext('name')}/{name}",
            tuple(
                (str(host.get("name")), int(host.get("port") or RBD_PORT))
                for host in source.findall("host")
            ),
            auth.get("username", "") if auth is not None else "",
            secret.get("uuid", "") if secret is not None else "",
        )
    return Disk("file" if _kind(pool) in ("dir", "netfs", "fs") else "block", path)


def ensure_no_volume(pool: Any, name: str) -> None:
    volume = _lookup(pool, name)
    if volume is not None:
        volume.delete(0)


def _lookup(pool: Any, name: str) -> Any:
    """The volume or None. Others may share the pool: what it was when this host last looked
    tells nothing."""
    _refresh(pool)
    try:
        return pool.storageVolLookupByName(name)
    except libvirt().libvirtError as error:
        if not missing(error):
            raise
    return None


def _refresh(pool: Any) -> None:
    """libvirt refuses while another VM's disk is being made there: a matter of seconds on RBD."""
    deadline = time.monotonic() + BUSY
    while True:
        try:
            pool.refresh(0)
            return
        except libvirt().libvirtError as error:
            if not busy(error) or time.monotonic() > deadline:
                raise
        time.sleep(POLL)


def _kind(pool: Any) -> str:
    return str(ET.fromstring(pool.XMLDesc()).get("type"))


def _make_local(connection: Any) -> Any:
    pool = ET.Element("pool", type="dir")
    ET.SubElement(pool, "name").text = LOCAL
    ET.SubElement(ET.SubElement(pool, "target"), "path").text = LOCAL_FOLDER
    made = connection.storagePoolDefineXML(ET.tostring(pool, encoding="unicode"), 0)
    made.build(0)
    made.setAutostart(1)
    return made
