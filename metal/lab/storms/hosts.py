"""A cluster without HA, as libvirt's hosts are: nobody but metal restarts what a dead one ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metal.drivers.libvirt.domain import Told
from metal.drivers.libvirt.look import Copy

if TYPE_CHECKING:
    from metal.lab.storms.rack import Rack


class Hosts:
    """Each host has definitions of its own, which a loss of power leaves; the disks are shared."""

    def __init__(self, rack: Rack, name: str, members: tuple[str, ...]) -> None:
        self._rack, self.name, self.members = rack, name, members
        self.vmids: dict[str, int] = {}
        self.defined: dict[str, set[str]] = {member: set() for member in members}

    def add(self, vm: str) -> None:
        """Defined and running, spread evenly."""
        node = self.members[len(self.vmids) % len(self.members)]
        self.vmids[vm] = 100 + len(self.vmids)
        self.start(vm, node)

    def settle(self, vm: str, home: str) -> None:
        """It runs there, and never was anywhere else."""
        for node in self.members:
            self.defined[node].discard(vm)
            self._rack.boxes[node].running.discard(vm)
        self.start(vm, home)

    def turn(self) -> None:
        """Nothing happens by itself."""

    def aged(self, seconds: float) -> None:
        """Nothing here grows old."""

    def quorate(self, node: str) -> bool:
        together = sum(self._rack.on_site(n) for n in self.members)
        return self._rack.on_site(node) and 2 * together > len(self.members)

    def shown_by(self, node: str) -> list[Copy]:
        """What that host answers."""
        running = self._rack.boxes[node].running
        return [
            # Nobody stops a VM here: what is stopped its host's own start has stopped.
            Copy(node, told, "running") if vm in running else Copy(node, told, "stopped", True)
            for vm in sorted(self.defined[node])
            for told in (Told(vm, self.vmids[vm], (), None, 1, 2048, "vms", vm),)
        ]

    def start(self, vm: str, node: str) -> None:
        self.defined[node].add(vm)
        self._rack.boxes[node].running.add(vm)

    def migrate(self, vm: str, source: str, target: str) -> None:
        """Live or stopped, its definition goes along; no instant lies between."""
        boxes = self._rack.boxes
        if vm in boxes[source].running:
            boxes[source].running.discard(vm)
            boxes[target].running.add(vm)
        self.defined[target].add(vm)
        self.defined[source].discard(vm)

    def forget_stale(self, vm: str) -> None:
        """Where it runs it stays defined, and nowhere else that can be reached."""
        running = [n for n in self.members if vm in self._rack.boxes[n].running]
        for node in self.members:
            if running and node not in running and self._rack.on_site(node):
                self.defined[node].discard(vm)
