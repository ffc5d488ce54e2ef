"""What the double remembers: nodes, clusters, VMs. Plain data and the questions asked of it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from metal.lab.trials import Trials
from metal.lab.web import Certificate

if TYPE_CHECKING:
    from metal.lab.proxmox.ceph import Ceph
    from metal.lab.proxmox.ha import Ha
    from metal.lab.proxmox.tasks import Task


@dataclass(frozen=True)
class Pace:
    """How long things take, in lab seconds. Defaults are as measured or about as usual."""

    membership: float = 4
    """From an answering API to being a member again, as corosync sees it."""
    create: float = 2
    quorate_after_create: float = 8
    join: float = 6
    silent_in_create: float = 3
    """How long the API answers 401 while it restarts."""
    silent_in_join: float = 6
    start: float = 3
    stop: float = 1
    shutdown: float = 6
    migrate: float = 8
    migrate_per_gib: float = 0.5
    ceph: float = 5
    osd: float = 15
    ha_round: float = 10
    packages: float = 300
    """To fetch and install Proxmox's kernel, or Proxmox VE itself."""
    reset: float = 60
    """A node that its watchdog reset answers again after so long."""


@dataclass
class Disk:
    device: str
    """/dev/nvme0n1"""
    size: int
    used: str = ""
    """As in `disks/list`: empty, "LVM", "partitions"…"""
    osd: int = -1
    serial: str = ""


@dataclass
class Firewall:
    options: dict[str, Any] = field(default_factory=dict)
    rules: list[dict[str, Any]] = field(default_factory=list)
    sets: dict[str, dict[str, str]] = field(default_factory=dict)
    """Name → members, each with its comment."""


@dataclass
class Vm:
    vmid: int
    node: str
    """Where its configuration is: /etc/pve/nodes/NODE/qemu-server/."""
    config: dict[str, Any]
    lock: str = ""
    kind: str = "qemu"
    """ "lxc": a container, put there by the lab; no call makes one."""
    agent: list[dict[str, Any]] | None = None
    """What its guest agent tells of its interfaces; None: it is not installed in the guest."""
    copies: dict[str, float] = field(default_factory=dict)
    """The lab's own truth: node → since when a live copy runs there."""
    holder: str = ""
    """Whose lock is on its disks in Ceph, ADDRESS:0/NUMBER; it outlives its power."""
    incoming: str = ""
    """Where a migration has memory taken for it already."""
    max_copies: int = 0
    starts: int = 0
    firewall: Firewall = field(default_factory=Firewall)

    @property
    def name(self) -> str:
        return str(self.config.get("name") or self.config.get("hostname") or f"VM {self.vmid}")

    @property
    def memory_mib(self) -> int:
        return int(str(self.config.get("memory", 512)).removeprefix("current="))

    def begin(self, node: str, now: float) -> None:
        self.copies[node] = now
        self.max_copies = max(self.max_copies, len(self.copies))

    def end(self, node: str) -> None:
        self.copies.pop(node, None)


@dataclass
class Token:
    value: str
    privsep: bool
    comment: str = ""
    expire: int = 0


@dataclass
class Cluster:
    """What the members share (pmxcfs). An unclustered node has one for itself, without a name."""

    name: str | None = None
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    """Signs tickets: a node that joins gets its cluster's, and its old tickets are dead."""
    version: int = 0
    """corosync's config_version."""
    members: dict[str, Node] = field(default_factory=dict)
    quorate_from: float = 0
    joining: str = ""
    rings: dict[str, dict[str, str]] = field(default_factory=dict)
    """Node → corosync's links, "0" and so on → its address there."""
    vms: dict[int, Vm] = field(default_factory=dict)
    storages: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    """USER@REALM!ID → token."""
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    acl: list[dict[str, Any]] = field(default_factory=list)
    roles: dict[str, frozenset[str]] = field(default_factory=dict)
    """Those that were made, beside Proxmox's own."""
    options: dict[str, Any] = field(default_factory=dict)
    pools: dict[str, dict[str, Any]] = field(default_factory=dict)
    firewall: Firewall = field(default_factory=Firewall)
    ceph: Ceph = None  # type: ignore[assignment]
    ha: Ha = None  # type: ignore[assignment]


@dataclass
class Unit:
    """What systemd runs, or ran, on a node."""

    script: bytes
    life: int
    """Of the node: a unit does not outlive its boot."""
    code: int | None = None
    said: str = ""


@dataclass
class Node:
    name: str
    address: str
    port: int
    memory_mib: int
    threads: int
    disks: list[Disk]
    certificate: Certificate
    password_check: Callable[[str], bool]
    cluster: Cluster
    powered: bool = False
    boots: int = 0
    """Counts resets and cuts of its power: a boot that was cut off never ends."""
    cabled: bool = True
    up_since: float = 0
    member_from: float = 0
    """Since when, or from when on, corosync counts it."""
    silent_until: float = 0
    """Its API answers 401 until then."""
    nodeid: int = 0
    outdated: bool = False
    """Two joined at once: it runs an old config_version and finds nobody."""
    ceph_packages: bool = True
    version: str = "9.2.1"
    """Of the packages that are installed."""
    runs: str = "9.2.1"
    """Of those that it was booted with."""
    proxmox: bool = True
    """Installed; without it this is a plain Debian that answers to SSH only."""
    kernels: tuple[str, str] = ("pve", "pve")
    """Whose kernel it runs, and whose it boots next: "debian" or "pve"."""
    cards: tuple[str, ...] = ("eno1", "eno2", "eno3", "ens1f0", "ens1f1")
    trials: Trials = field(default_factory=Trials)
    """Its files that are tried, /etc/network/interfaces among them."""
    miswired: bool = False
    """Nobody reaches it over another network than its first."""
    units: dict[str, Unit] = field(default_factory=dict)
    """Parts of the script that makes it a host."""
    chip: str = "Lab CPU"
    """What its processor is called."""
    flags: str = ""
    """What that can do, as Linux names it; "" is not told."""
    no_bridge: bool = False
    """vmbr0 was lost."""
    clock_off: float = 0
    """Seconds that its clock is ahead."""
    lives: int = 0
    """Counts power-ons: what was begun in an earlier life never ends."""
    tasks: dict[str, Task] = field(default_factory=dict)

    @property
    def major(self) -> int:
        """Of the release that it runs: 8 or 9."""
        return int(self.runs.partition(".")[0])

    def in_touch(self, other: Node, now: float) -> bool:
        """Both run and corosync passes between them."""
        return self is other or (self._counts(now) and other._counts(now))

    def _counts(self, now: float) -> bool:
        return self.answers and not self.outdated and self.member_from <= now

    @property
    def answers(self) -> bool:
        return self.powered and self.cabled

    def partition(self, now: float) -> list[Node]:
        """The members it sees, itself among them; nothing without power."""
        if not self.powered:
            return []
        return [n for n in self.cluster.members.values() if self.in_touch(n, now)]

    def quorate(self, now: float) -> bool:
        if self.cluster.name is None:
            return self.powered
        if now < self.cluster.quorate_from or self.member_from > now:
            return False
        return 2 * len(self.partition(now)) > len(self.cluster.members)

    def running(self) -> list[Vm]:
        return [vm for vm in self.cluster.vms.values() if self.name in vm.copies]

    def free_memory_mib(self) -> int:
        """What is left for VMs; 1 GiB is the host's own."""
        held = [
            vm.memory_mib
            for vm in self.cluster.vms.values()
            if self.name in vm.copies or vm.incoming == self.name
        ]
        return self.memory_mib - 1024 - sum(held)
