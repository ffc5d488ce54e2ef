"""What the flows of this stage need, put together by whoever composes the stages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from metal.drivers.ports import Hypervisor

POOL = "vms"
"""Ceph pool and storage of the VMs' disks."""
LOCAL = "local"
"""On a machine without Ceph: its own storage, whatever the driver finds that it is called."""


def storage_of(ceph: bool) -> str:
    """The storage that holds VM disks in a cluster with or without Ceph."""
    return POOL if ceph else LOCAL


@dataclass(frozen=True)
class ClusterPorts:
    """For one cluster."""

    hypervisor: Hypervisor
    network: str = ""
    """Ceph's network in CIDR form: the management network where it has none of its own."""
    replication: str = ""
    """Of what OSDs copy among themselves, if another."""
    rings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Server → its addresses on corosync's networks, the best first; those not named have one."""
    heirs: Mapping[str, str] = field(default_factory=dict)
    """Server that was a member → the one that has its place now."""
    storage: str = POOL
    ensure_token: Callable[[], None] = lambda: None
    """Makes metal a token of its own at the cluster and keeps it, unless one is kept that works."""
    member: Callable[[str], None] = lambda _server: None
    """Records that a server has become a member. Safe to repeat."""
    patience: float = 300.0
    """Seconds to wait for a solo machine's API."""
    settling: float = 60.0
    """Seconds for OSDs that were just made to be up and in."""
    every: float = 1.0
    """Seconds between two looks, and before the first repetition of a step."""
