"""A plan: immutable, every action with its what, why and risk, bound to the world it was made for.

Executing a plan makes no choices: everything that could be chosen is already in the action.
"""

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from metal.model.addresses import Addressing
from metal.model.base import Frozen
from metal.model.fleet import InstallMethod, Inventory
from metal.model.passport import BY_MEDIUM, Method
from metal.model.world import World


def count(number: int, noun: str) -> str:
    """ "1 VM", "2 VMs": for the words of an action."""
    return f"{number} {noun}{'s'[: number != 1]}"


class Risk(StrEnum):
    SAFE = "safe"
    DISRUPTS = "disrupts"
    DESTROYS = "destroys"


class _Action(Frozen):
    what: str
    """One line in the imperative: "install Debian on alba1"."""
    why: str
    risk: Risk
    needs: tuple[str, ...] = ()
    """Ids of the actions that must be done before."""


class InstallServer(_Action):
    kind: Literal["install"] = "install"
    server: str
    site: str
    profile: str
    debian: str
    mac: str
    uuid: str | None = None
    disk: str
    """Name of the drive that is wiped and gets Debian; no other is touched."""
    disk_serial: str | None = None
    mirror: str | None = None
    """Name of a second drive that is wiped and holds the same; None: the system is on one."""
    mirror_serial: str | None = None
    method: InstallMethod = "preseed"
    route: Method = "pxe"
    """How the installer gets there."""

    @property
    def id(self) -> str:
        return f"install:{self.server}"

    @property
    def disks(self) -> tuple[tuple[str, str | None], ...]:
        """(name, serial number) of each drive that is wiped."""
        first = (self.disk, self.disk_serial)
        return (first,) if self.mirror is None else (first, (self.mirror, self.mirror_serial))

    @property
    def by_medium(self) -> bool:
        """It comes on an image made for this server, and speaks HTTPS to the boot service."""
        return self.route in BY_MEDIUM


class Osd(Frozen):
    server: str
    device: str
    """/dev/sdb and the like; "*": every disk that nothing uses, where the BMC lists no drives."""
    serial: str | None = None
    """Finds the disk whatever the kernel calls it today; None when not known."""


class HaWishes(Frozen):
    """All that HA is to be told of a cluster's VMs."""

    apart: dict[str, tuple[int, ...]] = {}
    """Replica group → ids of its VMs here, where there are several."""
    together: dict[str, tuple[int, ...]] = {}
    """The first name of a set → ids of all of it."""
    home: dict[int, tuple[str, ...]] = {}
    """VM's id → servers that it is brought back to, the best first."""
    adopted: tuple[int, ...] = ()
    """VMs whose wishes are those of rules that were there before metal: where another home is
    wished for now, such a rule lets go of them, unless it is strict."""


class FormCluster(_Action):
    kind: Literal["form"] = "form"
    cluster: str
    servers: tuple[str, ...]
    """The first creates the cluster, the others join one at a time in this order."""
    ceph: bool
    osds: tuple[Osd, ...] = ()
    called: str | None = None
    """What Proxmox calls it, where it was there before metal."""
    pool: str | None = None
    """A storage that keeps its VM disks already: none is made."""
    management_from: tuple[str, ...] = ()
    """Networks that the nodes' management answers to; none: no firewall."""
    wishes: HaWishes | None = None
    """None: each VM's are told when it is made."""

    @property
    def id(self) -> str:
        return f"form:{self.cluster}"


class SetNetwork(_Action):
    """Give a host of a formed cluster the network that the inventory says."""

    kind: Literal["network"] = "network"
    server: str
    cluster: str

    @property
    def id(self) -> str:
        return f"network:{self.server}"


class SetRings(_Action):
    """Give corosync of a formed cluster the links that the inventory says."""

    kind: Literal["rings"] = "rings"
    cluster: str
    rings: dict[str, tuple[str, ...]]
    """Server → its addresses on corosync's networks, the best first."""

    @property
    def id(self) -> str:
        return f"rings:{self.cluster}"


class TellHa(_Action):
    """Tell a cluster's HA manager what its VMs wish for now."""

    kind: Literal["wishes"] = "wishes"
    cluster: str
    wishes: HaWishes

    @property
    def id(self) -> str:
        return f"wishes:{self.cluster}"


class PlaceVm(_Action):
    kind: Literal["place"] = "place"
    vm: str
    vmid: int
    cluster: str
    server: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    ha: bool
    """True: the cluster restarts it elsewhere when its server dies."""
    apart: str | None = None
    """Its replica group, where others of that group are in the same cluster."""
    apart_vmids: tuple[int, ...] = ()
    """Those others and itself: HA must not restart one beside another."""
    together: str | None = None
    """The first of the set that it shares a server with."""
    together_vmids: tuple[int, ...] = ()
    """All of that set: HA must restart them on one server."""
    home: tuple[str, ...] = ()
    """Servers that HA brings it back to."""
    cpu: str | None = None
    """The processor it asks for."""
    addressing: Addressing

    @property
    def id(self) -> str:
        return f"place:{self.vm}"


class StartVm(_Action):
    """Start a VM that exists but does not run."""

    kind: Literal["start"] = "start"
    vm: str
    vmid: int
    cluster: str
    server: str

    @property
    def id(self) -> str:
        return f"start:{self.vm}"


class DescribeVm(_Action):
    """Write down at a VM by which shared address it is reached."""

    kind: Literal["describe"] = "describe"
    vm: str
    vmid: int
    cluster: str
    server: str
    addressing: Addressing

    @property
    def id(self) -> str:
        return f"describe:{self.vm}"


class MigrateVm(_Action):
    kind: Literal["migrate"] = "migrate"
    vm: str
    vmid: int
    cluster: str
    source: str
    target: str

    @property
    def id(self) -> str:
        return f"migrate:{self.vm}"


class DrainServer(_Action):
    """Live-migrate every VM off a server, in the order given, and keep it empty."""

    kind: Literal["drain"] = "drain"
    server: str
    cluster: str
    moves: tuple[MigrateVm, ...]
    at_once: int = 1
    """VMs that move side by side."""
    mib_s: int = 0
    """MiB a second that each of them may take of the network; 0: all there is."""

    @property
    def id(self) -> str:
        return f"drain:{self.server}"


class Restart(Frozen):
    """Where metal itself runs a VM whose server is off, and what it is to be: what it was."""

    vm: str
    vmid: int
    target: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    cpu: str | None = None
    addressing: Addressing


class Restarts(Frozen):
    """What becomes of a dead server's VMs where no HA restarts them."""

    planned: tuple[Restart, ...] = ()
    """In the order to do it, most important first."""
    waits: tuple[str, ...] = ()
    """Replicas that wait for their server: each of the others runs one of their group."""
    stranded: dict[str, str] = {}
    """VM → why there is no place for it."""
    shut_out: tuple[str, ...] = ()
    """The dead server's addresses, where the disks are in Ceph: none of its clients may write any
    more before one of these VMs starts."""


class RecoverServer(_Action):
    """Prove a server off through its BMC, then see its VMs run elsewhere."""

    kind: Literal["recover"] = "recover"
    server: str
    cluster: str
    vms: dict[str, int]
    """Name → vmid of what ran there when it died."""
    restarts: Restarts | None = None
    """None: its cluster's HA restarts them."""

    @property
    def id(self) -> str:
        return f"recover:{self.server}"


Action = Annotated[
    InstallServer
    | FormCluster
    | SetNetwork
    | SetRings
    | TellHa
    | PlaceVm
    | StartVm
    | DescribeVm
    | MigrateVm
    | DrainServer
    | RecoverServer,
    Field(discriminator="kind"),
]


LEFT_ALONE = "it is left alone"
"""How a warning ends that asks nothing of anybody."""


class Plan(Frozen):
    """What should happen, for exactly the world it was made for."""

    version: Literal[1] = 1
    fingerprint: str
    """Of (inventory, world): `fingerprint()` below. A stale plan is refused."""
    actions: tuple[Action, ...] = ()
    warnings: tuple[str, ...] = ()
    """What the planner saw and leaves alone: unmanaged VMs, unknown servers."""

    @property
    def risk(self) -> Risk:
        """The worst of its actions."""
        order = list(Risk)
        return max((a.risk for a in self.actions), key=order.index, default=Risk.SAFE)


def fingerprint(inventory: Inventory, world: World) -> str:
    """SHA-256 hex over canonical JSON of both; equal worlds give equal fingerprints.

    The words in which a BMC complains or an error reads carry figures that flicker, and no
    planner reads them: they are left out. So are backups, of which no plan is made.
    States (power, health, who is silent) count.
    """
    seen = world.model_dump(mode="json")
    for server in seen["servers"].values():
        del server["reasons"], server["note"]
    del seen["backups"]
    seen["silent"] = sorted(seen["silent"])
    both = [inventory.model_dump(mode="json"), seen]
    canonical = json.dumps(both, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
