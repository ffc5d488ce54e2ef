"""The HA manager of one cluster: states and timings as pve-ha-manager has them.

It idles until the first resource exists, then works in rounds. A node that the quorate part lost
is `unknown` at once and its services go to `fence` a minute later; they are recovered once the
manager holds the node's agent lock, whose lifetime is two minutes. A manager that died is
replaced when its own lock has run out, which is why losing its node costs a minute more.
A node that finds no quorum is reset by its watchdog after a minute, if HA is active on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from metal.lab.proxmox import vms
from metal.lab.proxmox.state import Cluster, Node, Vm
from metal.lab.proxmox.tasks import Task

if TYPE_CHECKING:
    from metal.lab.proxmox.datacenter import Datacenter

LOCK = 120.0
"""Lab seconds that the manager's and the agents' locks live without being renewed."""
FENCE_DELAY = 60.0
"""From `unknown` to `fence`, and from losing quorum to the watchdog."""
USER = "root@pam"
STALE_LOCKS = frozenset(
    {"backup", "mounted", "migrate", "clone", "rollback", "snapshot", "snapshot-delete"}
    | {"suspending", "suspended"}
)
"""What recovery removes from a VM whose node died."""


@dataclass
class Service:
    """One HA resource as the manager sees it."""

    state: str
    node: str
    target: str = ""
    """Where a migration or relocation goes."""
    task: Task | None = None
    """What the agent does for it now."""
    failed: list[str] = field(default_factory=list)
    """Nodes where it could not be started, since it last ran."""


@dataclass
class NodeStatus:
    state: str = "unknown"
    since: float = 0.0
    """When it was last seen to change."""
    lock: float = 0.0
    """When its agent last renewed its lock."""
    alone_since: float | None = None
    """Since when it runs without quorum."""


class Ha:
    """Of one cluster, whoever of its nodes is the master. The Datacenter's lock guards it."""

    def __init__(self, dc: Datacenter, cluster: Cluster) -> None:
        self._dc, self._cluster = dc, cluster
        self.resources: dict[str, dict[str, Any]] = {}
        self.rules: dict[str, dict[str, Any]] = {}
        self.services: dict[str, Service] = {}
        self.nodes: dict[str, NodeStatus] = {}
        self.master = ""
        self._master_lock = 0.0
        self._ticking = False

    # ── what the rest of the double asks and tells ───────────────────────────────────────────

    def has(self, vmid: int) -> bool:
        return f"vm:{vmid}" in self.resources

    def state(self, vmid: int) -> str:
        """As `hastate` in the list of resources; empty for a VM it does not manage."""
        service = self.services.get(f"vm:{vmid}")
        return service.state if service else "queued" if self.has(vmid) else ""

    def add(self, sid: str, resource: dict[str, Any]) -> None:
        self.resources[sid] = resource
        if not self._ticking:
            self._ticking = True
            self._master_lock = self._dc.timeline.now - LOCK
            self._dc.timeline.after(0, self._tick)

    def remove(self, sid: str) -> None:
        self.resources.pop(sid, None)
        self.services.pop(sid, None)

    def command(self, what: str, sid: str, target: str) -> None:
        """`migrate` or `relocate`, obeyed in the next round."""
        service = self.services.get(sid)
        if service and service.state == "started" and service.node != target:
            service.state, service.target = what, target

    def woke(self, node: Node) -> None:
        """It lost its memory of having been alone."""
        if node.name in self.nodes:
            self.nodes[node.name].alone_since = None

    def forget(self, name: str) -> None:
        self.nodes.pop(name, None)

    def truth(self) -> dict[str, Any]:
        return {
            "master": self.master,
            "nodes": {name: status.state for name, status in self.nodes.items()},
            "services": {sid: (s.state, s.node) for sid, s in self.services.items()},
        }

    # ── a round ──────────────────────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        self._dc.timeline.after(self._dc.pace.ha_round, self._tick)
        now = self._dc.timeline.now
        members = self._cluster.members
        quorate = {name for name, node in members.items() if node.quorate(now)}
        for name, node in members.items():
            self._agent(name, node, name in quorate, now)
        if not self._manages(quorate, now):
            return
        for name in members:
            self._watch(name, name in quorate, now)
        self._adopt()
        for sid in sorted(self.services):
            self._manage(sid, self.services[sid], quorate, now)

    def _agent(self, name: str, node: Node, quorate: bool, now: float) -> None:
        """The node's own part: it renews its lock, or its watchdog runs out."""
        status = self.nodes.setdefault(name, NodeStatus(since=now, lock=now - LOCK))
        if quorate:
            status.lock, status.alone_since = now, None
        elif node.powered and any(s.node == name for s in self.services.values()):
            status.alone_since = now if status.alone_since is None else status.alone_since
            if now - status.alone_since >= FENCE_DELAY:
                status.alone_since = None
                self._dc.reset(node)

    def _manages(self, quorate: set[str], now: float) -> bool:
        """Whether there is a master; a dead one's lock must run out before there is another."""
        if self.master not in quorate:
            if not quorate or now - self._master_lock < LOCK:
                return False
            self.master = min(quorate)
            self._dc.event(self.master, "HA master")
        self._master_lock = now
        return True

    def _watch(self, name: str, quorate: bool, now: float) -> None:
        status = self.nodes[name]
        if status.state == "fence":
            self._fencing(name, status, now)
        elif quorate:
            self._turn(name, "online", now)
        elif status.state == "online":
            self._turn(name, "unknown", now)
        elif self._lost(name) and now - status.since >= FENCE_DELAY:
            self._turn(name, "fence", now)
            for service in self._lost(name):
                service.state, service.task = "fence", None

    def _lost(self, name: str) -> list[Service]:
        return [s for s in self.services.values() if s.node == name and s.state != "recovery"]

    def _fencing(self, name: str, status: NodeStatus, now: float) -> None:
        """Fenced once its lock is ours: then nothing of it can be running any more."""
        node = self._cluster.members[name]
        if now - status.lock < LOCK and not (node.quorate(now) and node.up_since > status.since):
            return
        self._turn(name, "unknown", now)
        for service in self.services.values():
            if service.node == name and service.state == "fence":
                service.state = "recovery"

    def _turn(self, name: str, state: str, now: float) -> None:
        status = self.nodes[name]
        if status.state != state:
            self._dc.event(name, f"HA: {status.state} => {state}")
            status.state, status.since = state, now

    # ── services ─────────────────────────────────────────────────────────────────────────────

    def _adopt(self) -> None:
        """Resources that were added, and VMs that are gone."""
        for sid in [sid for sid in self.services if self._vm(sid) is None]:
            self.remove(sid)
        for sid, resource in self.resources.items():
            vm = self._vm(sid)
            if vm and sid not in self.services and resource["state"] != "ignored":
                wanted = "request_start" if resource["state"] == "started" else "request_stop"
                self.services[sid] = Service(wanted, vm.node)

    def _vm(self, sid: str) -> Vm | None:
        return self._cluster.vms.get(int(sid.partition(":")[2]))

    def _manage(self, sid: str, service: Service, quorate: set[str], now: float) -> None:
        vm = self._vm(sid)
        if vm is None or (service.task and service.task.ended is None):
            return
        wanted = self.resources[sid]["state"]
        match service.state:
            case "request_start":
                service.state = "started"
                self._run(service, vm, quorate)
            case "started" if wanted in ("stopped", "disabled"):
                service.state = "request_stop"
                self._end(service, vm, quorate)
            case "started":
                self._run(service, vm, quorate)
            case "request_stop":
                self._end(service, vm, quorate)
            case "stopped" | "error" if wanted == "started" and service.state == "stopped":
                service.state, service.failed = "started", []
                self._run(service, vm, quorate)
            case "error" if wanted == "disabled":
                service.state = "stopped"
            case "migrate" | "relocate":
                self._move(service, vm, quorate)
            case "recovery":
                self._recover(sid, service, vm, wanted)

    def _run(self, service: Service, vm: Vm, quorate: set[str]) -> None:
        """Keep it running where it belongs; after a failed start try again, then elsewhere."""
        service.node = vm.node
        if vm.copies or vm.node not in quorate:
            service.failed = service.failed if not vm.copies else []
            return
        if service.task and service.task.exit_status not in ("", "OK"):
            service.failed.append(vm.node)
        resource = self.resources[f"vm:{vm.vmid}"]
        if service.failed.count(vm.node) > int(resource.get("max_restart", 1)):
            self._elsewhere(service, vm, int(resource.get("max_relocate", 1)))
        if service.state != "error":
            node = self._cluster.members[vm.node]
            service.task = vms.start(self._dc, node, vm, USER)

    def _elsewhere(self, service: Service, vm: Vm, relocations: int) -> None:
        tried = set(service.failed)
        target = self._choose(vm, tried) if len(tried) <= relocations else ""
        if target:
            vm.node = service.node = target
        else:
            service.state = "error"

    def _end(self, service: Service, vm: Vm, quorate: set[str]) -> None:
        if not vm.copies:
            service.state = "stopped"
        elif vm.node in quorate:
            node = self._cluster.members[vm.node]
            service.task = vms.shutdown(self._dc, node, vm, USER)

    def _move(self, service: Service, vm: Vm, quorate: set[str]) -> None:
        """Asked for: begun in one round, seen to have ended in a later one."""
        if service.task and service.task.kind == "qmigrate":
            service.task, service.state, service.target = None, "started", ""
            service.node = vm.node
        elif {service.target, vm.node} <= quorate:
            source, target = (self._cluster.members[n] for n in (vm.node, service.target))
            service.task = vms.migrate(self._dc, source, vm, target, USER, online=True)
        else:
            service.state, service.target = "started", ""

    def _recover(self, sid: str, service: Service, vm: Vm, wanted: str) -> None:
        """The configuration moves to an online node, maybe its own once that is up again.

        Without one it is tried again every round, until the resource is disabled.
        """
        target = self._choose(vm, set())
        if not target:
            if wanted == "disabled":
                service.state, service.task, service.failed = "request_stop", None, []
            return
        self._dc.event(target, f"HA: recovers {sid} from {service.node}")
        if vm.lock in STALE_LOCKS:
            vm.lock = ""
        vm.node = service.node = target
        service.task, service.failed = None, []
        service.state = "started" if wanted == "started" else "request_stop"
        if service.state == "started":
            self._run(service, vm, {target})

    def _choose(self, vm: Vm, avoid: set[str]) -> str:
        """As `basic` scheduling: fewest services, ties by name; rules and memory respected."""
        online = {n for n, status in self.nodes.items() if status.state == "online"}
        fit = {
            name
            for name in online - avoid
            if name in self._cluster.members
            and self._cluster.members[name].free_memory_mib() >= vm.memory_mib
        }
        fit = self._by_rules(f"vm:{vm.vmid}", fit)
        count = {n: sum(s.node == n for s in self.services.values()) for n in fit}
        return min(fit, key=lambda n: (count[n], n), default="")

    def _by_rules(self, sid: str, fit: set[str]) -> set[str]:
        for rule in self.rules.values():
            if rule.get("disable") or sid not in rule["resources"]:
                continue
            if rule["type"] == "node-affinity":
                preferred = fit & set(rule["nodes"])
                fit = preferred if preferred or rule.get("strict") else fit
            else:
                others = [self.services[s].node for s in rule["resources"] if s in self.services]
                taken = {n for s, n in zip(rule["resources"], others, strict=False) if s != sid}
                fit = fit - taken if rule["affinity"] == "negative" else (fit & taken or fit)
        return fit
