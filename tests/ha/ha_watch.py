"""metal's own watcher on top of a scenario's rack: its BMCs, its cluster and its network."""

from pathlib import Path
from typing import Any

from ha_rack import Rack

from metal.controller.post import Post
from metal.controller.progress import silent
from metal.controller.watching import Watcher
from metal.controller.workspace import Workspace
from metal.lab.storms.ports import AtOnce, Leave, SimPace
from metal.model.errors import Unreachable
from metal.model.facts import HealthReport, LogMark, LogNews, Power
from metal.model.fleet import Inventory
from metal.model.life import Life
from metal.model.world import SeenCluster, SeenVm
from metal.operations.database import Clock
from metal.operations.owner import Owner
from metal.operations.store import open_store

EPOCH = 1_800_000_000.0
CLUSTER = "ha"


class Watched(Rack):
    """A scenario with `metal watch --act` looking each round, from outside the cluster."""

    def __init__(self, scenario: dict[str, Any], folder: Path) -> None:
        super().__init__(scenario)
        self.fenced: list[str] = []
        clock = Clock(lambda: EPOCH + self.now, lambda: self.now)
        self.store = open_store("sqlite", folder, clock=clock)
        self.vmids = {sid: 100 + n for n, sid in enumerate(scenario["service_config"])}
        workspace = _Workspace(folder, self)
        for name in self.boxes:
            for life in (Life.ENROLLED, Life.INSTALLED, Life.MEMBER):
                self.store.servers.move(name, life)
            self.store.servers.pin(name, "ab" * 32)
        self._post = Post(self.store, "here", 120.0, Owner("here", "boot", "pid:[1]", 1, 1))
        self._watcher = Watcher(
            workspace, silent, place="here", every=20.0, pool=AtOnce(), stop=Leave
        )

    def after_round(self) -> None:
        super().after_round()
        self._post.seek()
        self._watcher.round(self._post)

    def fence(self, name: str) -> None:
        assert not self.quorate(name), f"{name} was switched off while it was well"
        self.log("metal", f"switch {name} off")
        self.fenced.append(name)
        self._off(name)


def inventory(rack: Watched) -> Inventory:
    """One cluster of the scenario's nodes; its services are the VMs."""
    servers = {
        name: {
            "site": "here",
            "rack": "A",
            "profile": "node",
            "address": f"10.1.1.{n}",
            "bmc": {"address": f"10.1.0.{n}"},
        }
        for n, name in enumerate(rack.boxes, 11)
    }
    return Inventory.model_validate(
        {
            "fleet": {"name": "scenario", "domain": "example.org"},
            "administrators": {},
            "sites": {
                "here": {
                    "donor": {"name": "A donor", "contact": "noc@example.org"},
                    "place": "here",
                    "subnets": {
                        "bmc": "10.1.0.0/24",
                        "management": "10.1.1.0/24",
                        "gateway": "10.1.1.1",
                        "private_ipv4": "10.1.128.0/20",
                    },
                }
            },
            "servers": servers,
            "clusters": {CLUSTER: {"servers": list(servers)}},
            "profiles": {"node": {"description": "any"}},
            "sizes": {"small": {"vcpus": 1, "memory_gib": 1, "disk_gib": 10}},
            "vms": {vm(sid): {"size": "small", "why": "any"} for sid in rack.vmids},
        }
    )


def vm(sid: str) -> str:
    """What the inventory calls a service: vm:101 → vm-101."""
    return sid.replace(":", "-")


class _Bmc:
    """On a network of its own: it answers whatever becomes of the node's."""

    protocol, fingerprint, cipher_suite = "redfish", None, None

    def __init__(self, rack: Watched, name: str) -> None:
        self._rack, self._name = rack, name

    def power(self) -> Power:
        return "on" if self._rack.boxes[self._name].power else "off"

    def health(self) -> HealthReport:
        return HealthReport(health="ok")

    def log_news(self, mark: LogMark | None) -> LogNews:
        return LogNews()

    def ensure_power(self, wanted: Power) -> None:
        assert wanted == "off"
        if self.power() == "on":
            self._rack.fence(self._name)

    def close(self) -> None: ...


class _Hypervisor:
    """The cluster's API, through a node that answers; one in the majority where there is one."""

    silent: dict[str, str] = {}

    def __init__(self, rack: Watched) -> None:
        self._rack = rack

    def look(self, *, thorough: bool = False) -> tuple[SeenCluster, dict[str, str], Any]:
        rack, via = self._rack, self._via()
        nodes = {n: "online" if rack.quorate(n) else "offline" for n in rack.boxes}
        if not rack.quorate(via):
            nodes = {n: "online" if n == via else "unknown" for n in rack.boxes}
        cluster = SeenCluster(formed=True, quorate=rack.quorate(via), nodes=tuple(rack.boxes))
        return cluster, nodes, {vm(sid): self._vm(sid) for sid in rack.shared.resources}

    def ha_managed(self) -> tuple[int, ...]:
        self._via()
        return tuple(self._rack.vmids[sid] for sid in self._rack.shared.resources)

    def where(self, vmid: int) -> tuple[str, str]:
        self._via()
        sid = next(s for s, number in self._rack.vmids.items() if number == vmid)
        if sid not in self._rack.shared.resources:
            return "", "unknown"  # HA manages it no more
        seen = self._vm(sid)
        return seen.server, seen.state

    def _via(self) -> str:
        rack = self._rack
        up = [n for n, box in rack.boxes.items() if box.power and box.network]
        if not up:
            raise Unreachable("no node answers", where=CLUSTER)
        return max(up, key=rack.quorate)

    def _vm(self, sid: str) -> SeenVm:
        at = self._rack.shared.resources[sid].node
        box = self._rack.boxes[at]
        state: Any = "running" if sid in box.running else "stopped"
        if not (box.power and box.network):
            state = "unknown"
        return SeenVm(vmid=self._rack.vmids[sid], cluster=CLUSTER, server=at, state=state)


class _Workspace(Workspace):
    def __init__(self, folder: Path, rack: Watched) -> None:
        super().__init__(folder)
        self.__dict__.update(inventory=inventory(rack), store=rack.store, pace=SimPace())
        self._rack = rack

    def bmc(self, server: str) -> Any:
        return _Bmc(self._rack, server)

    def hypervisor(self, cluster: str) -> Any:
        return _Hypervisor(self._rack)

    def pause(self, seconds: float) -> None:
        """Nothing happens in a second."""

    def crew(self, workers: int) -> Any:
        return AtOnce()

    def answers(self, server: str) -> bool:
        box = self._rack.boxes[server]
        return box.power and box.network
