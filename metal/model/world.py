"""What is seen. Silent is not absent: what did not answer is unknown, never zero, never off."""

from typing import Literal

from metal.model.backup import Reached
from metal.model.base import Figure, Frozen
from metal.model.facts import Health, Power
from metal.model.life import Life, Status
from metal.model.links import Port
from metal.model.passport import Method

NodeState = Literal["online", "offline", "unknown"]
VmState = Literal["running", "stopped", "unknown"]
GuestKind = Literal["vm", "container", "template"]
"""A container is never managed, only counted; a template never runs, but its number is taken."""


class SeenServer(Frozen):
    life: Life = Life.FOUND
    status: Status = Status.DONE
    note: str = ""
    """Why it is held or failed."""
    power: Power = "unknown"
    power_by: str = ""
    """Who says so, where it is not its BMC: its plug, or a person who cut its power."""
    health: Health = "unknown"
    reasons: tuple[str, ...] = ()
    """What the BMC complains of."""
    node: NodeState = "unknown"
    """As its cluster sees it; the host's own API for a solo machine."""
    route: Method | None = None
    """The way to an installer that its passport and its site leave; None without a passport."""


class HaRule(Frozen):
    """A wish that a cluster's HA manager keeps: a rule of PVE 9, a group of PVE 8."""

    name: str
    kind: Literal["apart", "together", "nodes"]
    vmids: tuple[int, ...]
    """In order."""
    nodes: tuple[str, ...] = ()
    """Where they are brought back to, the best first."""
    strict: bool = False


class SeenHa(Frozen):
    """What a cluster's HA manager was told."""

    managed: tuple[int, ...] = ()
    """Ids of the guests that it restarts elsewhere."""
    rules: tuple[HaRule, ...] = ()
    """Those that are in force."""
    groups: bool = False
    """They are PVE 8's groups, which know nothing of apart and together."""


class SeenCluster(Frozen):
    formed: bool | None = None
    """None: no node answered, so nobody knows."""
    quorate: bool | None = None
    nodes: tuple[str, ...] = ()
    ceph_osds: int | None = None
    """OSDs that are up and in; None when unknown."""
    ceph_full: bool | None = None
    """Whether Ceph is nearly full (0.85), or says so of one of its OSDs; None when unknown."""
    ceph_slow: dict[str, tuple[str, ...]] = {}
    """The one server whose OSDs are slow while nothing else is wrong with Ceph → those OSDs."""
    networks: dict[str, tuple[Port, ...]] = {}
    """Node → its interfaces as configured; of those only that the inventory has `links` of, and
    that answered."""
    rings: dict[str, tuple[str, ...]] = {}
    """Node → its addresses on corosync's links, by their numbers; asked where `networks` are."""
    ha: SeenHa | None = None
    """None: it has no HA manager, or nobody told."""


class SeenVm(Frozen):
    vmid: Figure
    cluster: str
    server: str
    state: VmState = "unknown"
    addresses: tuple[str, ...] = ()
    """As configured in the hypervisor, with prefix length."""
    shared: str | None = None
    """The shared IPv4 that its ports or names were on when it was made."""
    memory_mib: Figure | None = None
    """As configured; None when unknown. Counts for VMs that the inventory does not have."""
    vcpus: Figure | None = None
    disk_gib: Figure | None = None
    """Of all its disks together, as configured."""
    kind: GuestKind = "vm"
    untold: bool = False
    """It is stopped, and nobody stopped it since its host last started: so the start did."""


class World(Frozen):
    """One look at everything. A file of this shape is a recorded world."""

    servers: dict[str, SeenServer] = {}
    clusters: dict[str, SeenCluster] = {}
    vms: dict[str, SeenVm] = {}
    backups: dict[str, Reached] = {}
    """By cluster; only where they were asked for, as each storage takes its time to tell."""
    silent: dict[str, str] = {}
    """What did not answer and why: "bmc alba1" → "timed out after 5 s"."""

    def server(self, name: str) -> SeenServer:
        """One that a file leaves out is unknown."""
        return self.servers.get(name, SeenServer())

    def cluster(self, name: str) -> SeenCluster:
        return self.clusters.get(name, SeenCluster())
