"""libvirt's hosts as a watcher of the storms sees them: each is asked, each answer may be lost."""

from __future__ import annotations

from collections.abc import Callable

from metal.drivers.libvirt.guests import runs_already
from metal.drivers.libvirt.hosts import Silent
from metal.drivers.libvirt.look import Sight, shown
from metal.lab.storms.hosts import Hosts
from metal.lab.storms.ports import Eyes
from metal.model.errors import MetalError, Refused, Unreachable
from metal.model.hypervisor import VmSpec
from metal.model.world import SeenCluster, SeenVm


class SimLibvirt:
    """What is concluded from the answers is the driver's own."""

    silent: dict[str, str] = {}

    def __init__(self, eyes: Eyes, hosts: Hosts) -> None:
        self._eyes, self._hosts, self._rack = eyes, hosts, eyes.rack

    def look(
        self, *, thorough: bool = False
    ) -> tuple[SeenCluster, dict[str, str], dict[str, SeenVm]]:
        return shown(self._see(), self._hosts.name)

    def ha_managed(self) -> frozenset[int]:
        return frozenset()

    def where(self, vmid: int) -> tuple[str, str]:
        sight = self._see()
        at = sight.find(vmid)
        return at.node, sight.state(at)

    def written(self, _vmid: int) -> int | None:
        return None

    def ensure_started(self, vmid: int) -> None:
        sight = self._see()
        at = sight.find(vmid)
        if at.state == "stopped":
            if hidden := sight.hidden(f"whether VM {vmid} runs there is not known"):
                raise hidden
            self._start(at.told.name, at.node)
        self._hosts.forget_stale(at.told.name)

    def ensure_restarted(
        self, vm: VmSpec, target: str, fenced: str, allowed: Callable[[str], None]
    ) -> None:
        if not runs_already(self._see(), vm, fenced):
            allowed(f"restart {vm.name} on {target}")
            self._start(vm.name, target)

    def ensure_migrated(self, vmid: int, target: str, mib_s: int = 0) -> None:
        at = self._see().find(vmid)
        if at.node == target:
            return
        if not self._rack.on_site(target):
            raise Refused("its target does not answer", where=target)
        if not self._rack.on_site(at.node):
            raise Unreachable("no route to host", where=at.node)
        self._hosts.migrate(at.told.name, at.node, target)
        self._rack.say(at.told.name, f"migrated from {at.node} to {target}")
        self._eyes.answered()

    def _start(self, vm: str, node: str) -> None:
        if not self._rack.on_site(node):
            raise Unreachable("no route to host", where=node)
        self._rack.say(vm, f"started on {node} by metal")
        self._hosts.start(vm, node)
        self._eyes.answered()

    def _see(self) -> Sight:
        silent: dict[str, MetalError] = {}
        copies = []
        for node in self._hosts.members:
            try:
                self._ask(node)
            except Unreachable as error:
                silent[node] = error
            else:
                copies += self._hosts.shown_by(node)
        self._eyes.answered()
        return Sight(self._hosts.members, tuple(copies), silent)

    def _ask(self, node: str) -> None:
        """A connection that broke is opened once more, as the driver does."""
        for last in (False, True):
            try:
                if not self._rack.on_site(node):
                    raise Unreachable("no route to host", where=node)
                self._eyes.ask(self._rack.boxes[node].site, node)
                return
            except Unreachable as error:
                if last:
                    raise Silent(error.what, where=node) from error
