"""What hypervisors can do and what their hosts have: what drivers tell of themselves."""

from typing import Any, Literal

from pydantic import Field

from metal.model.addresses import Addressing
from metal.model.base import Frozen
from metal.model.world import VmState


class Capabilities(Frozen):
    """What one kind of hypervisor can do, so that nobody asks by its name."""

    kind: Literal["proxmox", "libvirt"]
    quorum: bool
    """Its hosts agree by majority on what is so. Without: each speaks for itself only."""
    restarts: bool
    """It restarts the VMs of a dead server elsewhere by itself, those that `ha_managed` names."""
    restarted: bool
    """metal may restart those of a fenced server elsewhere that it does not: `ensure_restarted`."""


class HostResources(Frozen):
    """What one host has for VMs, as the hypervisor sees it."""

    threads: int
    memory_mib: int
    memory_free_mib: int
    """Not used by anything now."""
    version: str
    """Of the hypervisor, in its own words."""
    cpu: str | None = None
    """The processor's name; None where the hypervisor does not tell it."""
    flags: tuple[str, ...] = ()
    """What the processor can do, as Linux names it; empty where nobody told."""


class Condition(Frozen):
    """How a cluster is, for somebody who is about to take a server out of it."""

    quorate: bool
    nodes: dict[str, bool]
    """Member → whether it is online."""
    versions: dict[str, str]
    """Member that is online → the version it runs."""
    ceph: str | None
    """HEALTH_OK and the like, as if our own flag were not set; None where there is no Ceph."""
    complaints: tuple[str, ...] = ()
    """Ceph's."""
    troubled: tuple[str, ...] = ()
    """What the HA manager has not in hand."""

    def doubts(self, but: str = "") -> tuple[str, ...]:
        """Why nothing more may be taken down; `but` is down or leaving already."""
        found = [] if self.quorate else ["the cluster has no quorum"]
        found += [f"{name} is offline" for name, up in self.nodes.items() if not up and name != but]
        if self.ceph not in (None, "HEALTH_OK"):
            found.append(f"Ceph is {self.ceph} ({'; '.join(self.complaints) or 'no reason told'})")
        return (*found, *self.troubled)


class Checked(Frozen):
    """What the maker's own script says of one server's way to the next release."""

    runs: str
    """The version that it runs."""
    fail: tuple[str, ...] = ()
    """What forbids it."""
    warn: tuple[str, ...] = ()

    @property
    def there(self) -> bool:
        """It runs the release already that the script leads to."""
        return int(self.runs.partition(".")[0]) >= NEXT


NEXT = 9
"""The release that `pve8to9` leads to."""


class Holding(Frozen):
    """A VM as one cluster has it."""

    node: str
    name: str
    state: VmState
    lock: str = ""
    """What is being done with it, such as migrate; empty: nothing."""
    disk_gib: int = 0
    onboot: bool = False
    """Its node starts it at boot."""
    ha: str | None = None
    """The comment that HA has of it; None where HA does not manage it."""


class HaPlace(Frozen):
    """All that a cluster's HA has of a VM, in Proxmox's own words: to be told again as it was."""

    resource: dict[str, Any] = {}
    """Empty where HA does not manage it."""
    rules: tuple[dict[str, Any], ...] = ()
    """Those that it is in."""


class Landing(Frozen):
    """Where a VM may come in from another cluster. Never shown or kept: it holds a token."""

    node: str
    address: str
    port: int
    fingerprint: str
    token: str = Field(repr=False)
    storage: str
    bridge: str
    limit_kib: int = 0
    """KiB a second that it may take of the way; 0: all it gets."""


class VmSpec(Frozen):
    """All that a hypervisor needs to run a VM whose disks are there."""

    vmid: int
    name: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    storage: str
    addressing: Addressing
    cpu: str | None = None
    """Its processor's type, one of metal.model.cpus.TYPES; None for the usual one."""
