"""The world of the storms: boxes with power, links and guests; sites; time.

Whatever metal believes, what runs where is decided here, and `Rack.log` tells it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from metal.lab.ha.agent import Lrm
from metal.lab.ha.crm import Crm
from metal.lab.ha.shared import Exit, Resource, Shared
from metal.lab.ha.usage import by_number
from metal.lab.storms.hosts import Hosts
from metal.model.fleet import Inventory

ROUND = 10.0
"""Seconds between two turns of an HA agent."""
WATCHDOG = 60.0
BOOT = 120.0
"""Seconds from power-on to the first round of the agents."""


@dataclass
class Box:
    """One server: hardware, its BMC, and what runs on it."""

    name: str
    site: str
    mains: bool = True
    """Whether power reaches it: its BMC lives on that alone."""
    power: bool = True
    boots: float = 0.0
    """From when on it is up, once it was switched on."""
    hung: bool = False
    link: bool = True
    bmc: bool = True
    sick: str = ""
    """What its BMC complains of."""
    running: set[str] = field(default_factory=set)
    crm: Crm | None = None
    lrm: Lrm | None = None
    dogs: dict[str, float] = field(default_factory=dict)

    def stop(self) -> None:
        """All that was in its memory is gone."""
        self.hung, self.crm, self.lrm = False, None, None
        self.running, self.dogs = set(), {}


class Rack:
    """Every box of the fleet, and one HA world a cluster."""

    def __init__(self, inventory: Inventory, unmanaged: Collection[str] = ()) -> None:
        """`unmanaged`: VMs that their cluster's HA knows nothing of."""
        self.now = 0.0
        self.log: list[tuple[float, str, str]] = []
        self.boxes = {n: Box(n, s.site) for n, s in inventory.servers.items()}
        self.site_link = dict.fromkeys(inventory.sites, True)
        self.clusters: dict[str, Trio | Hosts] = {
            c: (Trio if about.has_ha else Hosts)(self, c, about.servers)
            for c, about in inventory.clusters.items()
        }
        for name in inventory.vms:
            cluster = self.clusters[inventory.vms[name].cluster or ""]
            cluster.add(name)
            if isinstance(cluster, Trio) and name in unmanaged:
                cluster.unmanage(name)
        for box in self.boxes.values():
            box.boots = -BOOT
        self._next = 0.0

    def say(self, who: str, what: str) -> None:
        self.log.append((self.now, who, what))

    def up(self, name: str) -> bool:
        """Its system runs, whether anybody can reach it or not."""
        box = self.boxes[name]
        return box.power and not box.hung and self.now >= box.boots

    def on_site(self, name: str) -> bool:
        """Its neighbours reach it."""
        return self.up(name) and self.boxes[name].link

    def copies(self, vm: str) -> list[str]:
        """Where it runs now; a hung box still writes to its disks."""
        return [box.name for box in self.boxes.values() if vm in box.running]

    # ── what happens to boxes ────────────────────────────────────────────────────────────────

    def cut(self, name: str, why: str) -> None:
        """It loses its power or is switched off."""
        box = self.boxes[name]
        if box.power:
            self.say(name, f"off: {why}")
        box.power = False
        box.stop()

    def switch_on(self, name: str, why: str) -> None:
        box = self.boxes[name]
        if box.power or not box.mains:
            return
        self.say(name, f"on: {why}")
        box.power, box.boots = True, self.now + BOOT
        box.stop()

    def reset(self, name: str, why: str, boots: float = BOOT) -> None:
        """It is up again after `boots` seconds, with nothing that ran."""
        box = self.boxes[name]
        self.say(name, f"reset: {why}")
        box.boots = self.now + boots
        box.stop()

    # ── time ─────────────────────────────────────────────────────────────────────────────────

    def advance(self, seconds: float) -> None:
        """Let the agents take every turn that falls into it."""
        end = self.now + seconds
        while self._next <= end:
            self.now = max(self.now, self._next)
            for cluster in self.clusters.values():
                cluster.turn()
            self._next += ROUND
        self.now = end

    def leap(self, seconds: float) -> None:
        """Nothing happens meanwhile: locks and watchdogs are kept up as if turns were taken."""
        self.now += seconds
        for cluster in self.clusters.values():
            cluster.aged(seconds)
        self._next = self.now


class Trio:
    """One cluster as Proxmox's HA manager sees it: metal.lab.ha.world.World."""

    def __init__(self, rack: Rack, name: str, members: tuple[str, ...]) -> None:
        self._rack, self.name, self.members = rack, name, members
        self.shared = Shared()
        self.vmids: dict[str, int] = {}
        self.own: dict[str, str] = {}
        """What HA does not manage: VM → the node that its file is on."""
        self.slow: dict[str, tuple[str, ...]] = {}
        """Node → its OSDs whose disks are slow."""
        self._booted: set[str] = set()
        """Nodes that have started what is theirs since they came up."""

    @property
    def now(self) -> float:
        return self._rack.now

    def add(self, vm: str) -> None:
        """Configured as an HA service, running, spread evenly."""
        number = len(self.vmids)
        node = self.members[number % len(self.members)]
        self.vmids[vm] = 100 + number
        self.shared.resources[vm] = Resource(node, "started")
        self._rack.boxes[node].running.add(vm)

    def unmanage(self, vm: str) -> None:
        """HA knows nothing of it: its own node starts it at boot, and nobody else."""
        self.own[vm] = self.shared.resources.pop(vm).node

    def settle(self, vm: str, home: str) -> None:
        """It runs there, and never was anywhere else."""
        self._rack.boxes[self.place_of(vm)].running.discard(vm)
        self._rack.boxes[home].running.add(vm)
        self.place(vm, home)

    def turn(self) -> None:
        """Each node that is up: its master's, then its agent's."""
        for name in self.members:
            box = self._rack.boxes[name]
            if self._rack.up(name):
                if box.crm is None or box.lrm is None:
                    box.crm, box.lrm = Crm(self, self.shared, name), Lrm(self, self.shared, name)
                box.crm.round()
                box.lrm.round()
                self._onboot(name)
            else:
                self._booted.discard(name)
            if any(self.now - seen > WATCHDOG for seen in box.dogs.values()):
                self._rack.reset(name, "its watchdog")

    def _onboot(self, node: str) -> None:
        """Once after it came up, and not before it has quorum (pve-guests)."""
        if node in self._booted or not self.quorate(node):
            return
        self._booted.add(node)
        for vm, home in self.own.items():
            if home == node and vm not in self._rack.boxes[node].running:
                self._rack.say(vm, f"started on {node}, which is up again")
                self._rack.boxes[node].running.add(vm)

    def aged(self, seconds: float) -> None:
        locks = self.shared.locks
        self.shared.locks = {k: (owner, at + seconds) for k, (owner, at) in locks.items()}
        for name in self.members:
            box = self._rack.boxes[name]
            box.dogs = {client: at + seconds for client, at in box.dogs.items()}

    def place_of(self, vm: str) -> str:
        """Where its configuration is."""
        return self.own[vm] if vm in self.own else self.shared.resources[vm].node

    def migrate(self, vm: str, target: str) -> None:
        """Live: it runs there, and not here, from one instant to the next."""
        source = self._rack.boxes[self.place_of(vm)]
        if vm in source.running:
            source.running.discard(vm)
            self._rack.boxes[target].running.add(vm)
        self.place(vm, target)
        if service := self.shared.services.get(vm):
            service.node = target

    # ── metal.lab.ha.world.World ─────────────────────────────────────────────────────────────

    def node_names(self) -> Collection[str]:
        return self.members

    def quorate(self, node: str) -> bool:
        together = sum(self._rack.on_site(n) for n in self.members)
        return self._rack.on_site(node) and 2 * together > len(self.members)

    def online(self, node: str) -> bool:
        return self.quorate(node)

    def order(self, node: str, sid: str, uid: str, what: str, target: str) -> Exit | None:
        box = self._rack.boxes[node]
        if what == "started":
            if sid not in box.running:
                self._rack.say(sid, f"started on {node}")
            box.running.add(sid)
        elif what == "stop":
            box.running.discard(sid)
        elif what in ("migrate", "relocate"):
            self.migrate(sid, target)
        return Exit.SUCCESS

    def place(self, sid: str, node: str) -> None:
        if sid in self.own:
            self.own[sid] = node
        else:
            self.shared.resources[sid].node = node

    def score(self, sid: str, online: Collection[str]) -> dict[str, float]:
        return by_number(self.shared.services, online)

    def moves_live(self, sid: str) -> bool:
        return True

    def watchdog(self, node: str, client: str, *, armed: bool) -> None:
        dogs = self._rack.boxes[node].dogs
        if armed:
            dogs[client] = self.now
        else:
            dogs.pop(client, None)

    def shutting_down(self, node: str) -> tuple[bool, bool]:
        return False, False

    def log(self, who: str, what: str) -> None: ...
