"""What a watcher of the storms has in place of BMCs, Proxmox and the network.

Every call may find its way cut, get lost, or be the last that its watcher makes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from metal.controller.pace import Reading
from metal.controller.workspace import Workspace
from metal.lab.storms.rack import Rack, Trio
from metal.model.errors import Failed, Unreachable
from metal.model.facts import HealthReport, LogMark, LogNews, Power
from metal.model.fleet import Inventory
from metal.model.hypervisor import VmSpec
from metal.model.world import SeenCluster, SeenVm
from metal.operations.store import Store

MEMORY_MIB = 2048


class Killed(BaseException):
    """The watcher's process is gone; what it was about to write is not written."""


@dataclass
class Eyes:
    """Where a watcher stands, and what it can see from there."""

    rack: Rack
    site: str
    luck: random.Random
    lost: float = 0.0
    """How many of its questions get no answer, from 0 to 1."""
    cut: bool = False
    """Its own network is gone."""
    fuse: int | None = None
    """After so many calls `blow` is called, once."""
    blow: Callable[[], None] = lambda: None
    asked: int = 0
    missed: int = 0
    """Questions that chance alone left without an answer."""

    def reaches(self, site: str) -> bool:
        if self.cut:
            return False
        links = self.rack.site_link
        return site == self.site or (links[site] and links.get(self.site, True))

    def ask(self, site: str, what: str) -> None:
        """Raise Unreachable unless the question gets there and back."""
        if not self.reaches(site):
            raise Unreachable("no route", where=what)
        self.asked += 1
        if self.luck.random() < self.lost:
            self.missed += 1
            raise Unreachable("timed out after 5 s", where=what)

    def answered(self) -> None:
        """The answer is there: the moment a process may be stopped or killed in."""
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse <= 0:
                self.fuse = None
                self.blow()


class SimBmc:
    """One server's, as far as watching and fencing need it."""

    protocol, fingerprint, cipher_suite = "redfish", None, None

    def __init__(self, eyes: Eyes, name: str, fenced: Callable[[str], None]) -> None:
        self._eyes, self._box, self._fenced = eyes, eyes.rack.boxes[name], fenced

    def power(self) -> Power:
        self._ask()
        self._eyes.answered()
        return "on" if self._box.power else "off"

    def health(self) -> HealthReport:
        self._ask()
        sick = self._box.sick
        return HealthReport(health="critical" if sick else "ok", reasons=(sick,) if sick else ())

    def log_news(self, mark: LogMark | None) -> LogNews:
        """A box of the storms logs nothing: what ails it, its health tells."""
        return LogNews()

    def ensure_power(self, wanted: Power) -> None:
        self._ask()
        if wanted == "off" and self._box.power:
            self._fenced(self._box.name)
            self._eyes.rack.cut(self._box.name, "fenced by metal")
        elif wanted == "on":
            self._eyes.rack.switch_on(self._box.name, "switched on by metal")
        self._eyes.answered()

    def close(self) -> None: ...

    def _ask(self) -> None:
        box = self._box
        if not (box.bmc and box.mains):
            raise Unreachable("timed out after 5 s", where=f"BMC of {box.name}")
        self._eyes.ask(box.site, f"BMC of {box.name}")


class SimHypervisor:
    """One cluster through whichever of its nodes answers."""

    silent: dict[str, str] = {}

    def __init__(self, eyes: Eyes, trio: Trio) -> None:
        self._eyes, self._trio, self._rack = eyes, trio, eyes.rack

    def look(
        self, *, thorough: bool = False
    ) -> tuple[SeenCluster, dict[str, str], dict[str, SeenVm]]:
        via, trio, rack = self._via(), self._trio, self._rack
        quorate = trio.quorate(via)
        nodes = {n: "online" if rack.on_site(n) else "offline" for n in trio.members}
        seen = SeenCluster(
            formed=True, quorate=quorate, nodes=trio.members, ceph_osds=3, ceph_slow=trio.slow
        )
        vms = {vm: self._vm(vm, vmid) for vm, vmid in trio.vmids.items()}
        self._eyes.answered()
        return seen, nodes, vms

    def ha_managed(self) -> tuple[int, ...]:
        self._via()
        self._eyes.answered()
        return tuple(self._trio.vmids[vm] for vm in self._trio.shared.resources)

    def where(self, vmid: int) -> tuple[str, str]:
        self._via()
        seen = self._vm(self._name(vmid), vmid)
        self._eyes.answered()
        return seen.server, seen.state

    def ensure_migrated(self, vmid: int, target: str, mib_s: int = 0) -> None:
        """Live, in no time; HA's service goes along."""
        via, vm = self._via(), self._name(vmid)
        source = self._trio.place_of(vm)
        if source == target:
            return
        if not self._trio.quorate(via):
            raise Failed("cluster not ready - no quorum?", where=via)
        if not (self._rack.on_site(source) and self._rack.on_site(target)):
            raise Unreachable("no route to host", where=source)
        self._trio.migrate(vm, target)
        self._rack.say(vm, f"migrated from {source} to {target}")
        self._eyes.answered()

    def ensure_restarted(
        self, vm: VmSpec, target: str, fenced: str, allowed: Callable[[str], None]
    ) -> str:
        """What HA does not manage: its file is moved, then it is started."""
        via, trio, name = self._via(), self._trio, vm.name
        at = trio.place_of(name)
        if not self._rack.on_site(at):
            if not trio.quorate(via):
                raise Unreachable("its cluster has no quorum", where=via)
            if at != fenced:
                raise Unreachable(f"whether {name} runs there is not known", where=at)
            allowed(f"move the file of {name} from {at} to {target}")
            trio.place(name, target)
            self._eyes.answered()
            at = target
        if name not in self._rack.boxes[at].running:
            allowed(f"restart {name} on {at}")
            if not self._rack.on_site(at):
                raise Unreachable("no route to host", where=at)
            self._rack.say(name, f"started on {at} by metal")
            self._rack.boxes[at].running.add(name)
            self._eyes.answered()
        return at

    def written(self, _vmid: int) -> int | None:
        return None

    def _via(self) -> str:
        """A node that answers; one in the majority where there is one."""
        up = [n for n in self._trio.members if self._rack.on_site(n)]
        if not up:
            raise Unreachable("no node answers", where=self._trio.name)
        self._eyes.ask(self._rack.boxes[up[0]].site, up[0])
        return up[0]

    def _name(self, vmid: int) -> str:
        return next(vm for vm, number in self._trio.vmids.items() if number == vmid)

    def _vm(self, vm: str, vmid: int) -> SeenVm:
        at = self._trio.place_of(vm)
        state: Any = "unknown"
        if self._rack.on_site(at):
            state = "running" if vm in self._rack.boxes[at].running else "stopped"
        return SeenVm(
            vmid=vmid, cluster=self._trio.name, server=at, state=state, memory_mib=MEMORY_MIB
        )


class SimPace:
    """Every BMC bears to be asked whenever somebody likes."""

    def read(self, _access: Any, _seconds: float, ask: Callable[[], Any]) -> Reading:
        return Reading(ask(), 0.0)

    def minded(self, _access: Any, through: Any) -> Any:
        return through


class SimWorkspace(Workspace):
    """A workspace whose servers, clusters and network are the rack's."""

    def __init__(
        self, folder: Path, inventory: Inventory, store: Store, eyes: Eyes,
        fenced: Callable[[str], None],
    ) -> None:  # fmt: skip
        super().__init__(folder)
        self.__dict__.update(inventory=inventory, store=store, pace=SimPace())
        self.eyes, self._fenced = eyes, fenced

    def bmc(self, server: str) -> Any:
        return SimBmc(self.eyes, server, self._fenced)

    def hypervisor(self, cluster: str) -> Any:
        from metal.lab.storms.libvirt import SimLibvirt

        found = self.eyes.rack.clusters[cluster]
        if isinstance(found, Trio):
            return SimHypervisor(self.eyes, found)
        return SimLibvirt(self.eyes, found)

    def pause(self, seconds: float) -> None:
        """A few seconds in which nothing happens here."""

    def crew(self, workers: int) -> Executor:
        """One after the other, always in the same order: a seed must replay."""
        return AtOnce()

    def answers(self, server: str) -> bool:
        rack = self.eyes.rack
        return rack.on_site(server) and self.eyes.reaches(rack.boxes[server].site)


@dataclass
class AtOnce(Executor):
    """Runs what it is given before `submit` returns: one thread, always the same order."""

    ran: list[str] = field(default_factory=list)

    def submit(self, fn: Any, /, *args: Any, **more: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **more))
        except Exception as error:  # a watcher's death is none, and comes at once
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None: ...


class Leave(Event):
    """A flow that would wait is left where it stands, and gone on with in the next round."""

    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return True
