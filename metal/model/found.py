"""A cluster as it is found running: what an adoption reads, before any of it is ours."""

from metal.model.base import Frozen
from metal.model.fleet import Disk
from metal.model.world import GuestKind, HaRule, VmState


class FoundNode(Frozen):
    name: str
    address: str | None = None
    """Where its API answers; None where nobody tells."""
    host: str | None = None
    """Where it answers us, if that is not at its address."""
    port: int = 8006
    fingerprint: str | None = None
    """Of its certificate, as the cluster vouches for it."""
    online: bool = False
    answers: bool = False
    """It showed that certificate at that address, to us."""
    memory_gib: int | None = None
    """What follows is None of a node that is down: nobody tells it then."""
    cores: int | None = None
    threads: int | None = None
    cpu: str | None = None
    disks: tuple[Disk, ...] = ()
    network: str | None = None
    """The network its address is in, as CIDR."""
    gateway: str | None = None


class FoundStorage(Frozen):
    name: str
    kind: str
    """ "rbd", "lvmthin", "nfs" and the like."""
    shared: bool = False
    images: bool = False
    """It keeps VM disks."""
    gib: int | None = None
    """What it holds in all; None: nobody told, or it was not there when it was asked."""


class FoundGuest(Frozen):
    vmid: int
    kind: GuestKind
    name: str
    """As Proxmox calls it; "" where nobody told."""
    node: str
    state: VmState = "unknown"
    vcpus: int | None = None
    memory_mib: int | None = None
    disk_gib: int | None = None
    addresses: tuple[str, ...] = ()
    """With prefix length: of its cloud-init, and what its guest agent tells."""
    os: str | None = None
    """Proxmox's word for it: "l26", "win11"; None where nobody set one."""
    ours: bool = False
    """It is marked as made by metal."""


class FoundCluster(Frozen):
    name: str | None
    """None: a node on its own."""
    version: str
    """Of Proxmox VE: "9.2.1"."""
    nodes: tuple[FoundNode, ...]
    ceph: bool = False
    osds: int | None = None
    storages: tuple[FoundStorage, ...] = ()
    guests: tuple[FoundGuest, ...] = ()
    rules: tuple[HaRule, ...] = ()
    managed: tuple[int, ...] = ()
    """Ids of the guests that HA restarts elsewhere."""
    unread: tuple[str, ...] = ()
    """What could not be read, and why: a permission that is missing, a node that is down."""
