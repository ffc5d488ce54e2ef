"""The HA manager of one cluster of the double: metal/lab/ha in this lab's world.

Its agents take turns every `Pace.ha_round` seconds. What they order of VMs are tasks, as on a
real node; what they share (pmxcfs) is in memory, and their locks and watchdogs run in lab time.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from metal.lab.ha import usage
from metal.lab.ha.agent import Lrm
from metal.lab.ha.crm import Crm
from metal.lab.ha.shared import Exit, Resource, Rule, Service, Shared
from metal.lab.proxmox import vms
from metal.lab.proxmox.formats import property_string
from metal.lab.proxmox.state import Cluster, Node, Vm
from metal.lab.proxmox.tasks import Task

if TYPE_CHECKING:
    from metal.lab.proxmox.datacenter import Datacenter

WATCHDOG = 60.0
"""Lab seconds from the last sign of life to the reset."""
USER = "root@pam"
STALE_LOCKS = frozenset(
    {"backup", "mounted", "migrate", "clone", "rollback", "snapshot", "snapshot-delete"}
    | {"suspending", "suspended"}
)
"""What recovery removes from a VM whose node died."""


class Ha:
    """Of one cluster, whoever of its nodes is the master. The Datacenter's lock guards it."""

    def __init__(self, dc: Datacenter, cluster: Cluster) -> None:
        self._dc, self._cluster = dc, cluster
        self.resources: dict[str, dict[str, Any]] = {}
        self.rules: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        """What Proxmox VE 8 has instead of rules."""
        self._shared = Shared()
        self._agents: dict[str, tuple[int, Crm, Lrm]] = {}
        """Node → (its life, its agents): their memory goes with its power."""
        self._tasks: dict[str, tuple[str, Task]] = {}
        """Service → (uid, what its agent does for it now)."""
        self._dogs: dict[tuple[str, str], float] = {}
        self._ticking = False

    # ── what the rest of the double asks and tells ───────────────────────────────────────────

    @property
    def master(self) -> str:
        return self._shared.master

    @property
    def services(self) -> dict[str, Service]:
        return self._shared.services

    @property
    def nodes(self) -> dict[str, str]:
        return self._shared.nodes

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
            self._dc.timeline.after(0, self._tick)

    def remove(self, sid: str) -> None:
        self.resources.pop(sid, None)
        self.services.pop(sid, None)

    def command(self, what: str, sid: str, target: str) -> None:
        """`migrate` or `relocate`, obeyed in the next round."""
        self._shared.commands.append((what, sid, target))

    def maintain(self, name: str, *, on: bool) -> None:
        """ha-manager crm-command node-maintenance; its services leave, and come back."""
        wanted = self._shared.maintenance
        (wanted.add if on else wanted.discard)(name)

    def forget(self, name: str) -> None:
        self.nodes.pop(name, None)
        self._shared.agents.pop(name, None)

    def truth(self) -> dict[str, Any]:
        return {
            "master": self.master,
            "nodes": dict(self.nodes),
            "services": {sid: (s.state, s.node) for sid, s in self.services.items()},
        }

    # ── rounds ───────────────────────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        self._dc.timeline.after(self._dc.pace.ha_round, self._tick)
        for name, node in sorted(self._cluster.members.items()):
            if node.powered:
                crm, lrm = self._agents_of(name, node)
                self._read_configuration()
                crm.round()
                self._read_configuration()
                lrm.round()
                self._bark(name, node)

    def _agents_of(self, name: str, node: Node) -> tuple[Crm, Lrm]:
        life, crm, lrm = self._agents.get(name, (-1, None, None))
        if life != node.lives or crm is None or lrm is None:
            self._dogs = {key: seen for key, seen in self._dogs.items() if key[0] != name}
            crm, lrm = Crm(self, self._shared, name), Lrm(self, self._shared, name)
            self._agents[name] = (node.lives, crm, lrm)
        return crm, lrm

    def _bark(self, name: str, node: Node) -> None:
        if any(n == name and self.now - at > WATCHDOG for (n, _), at in self._dogs.items()):
            self._dogs = {key: seen for key, seen in self._dogs.items() if key[0] != name}
            self._dc.reset(node)

    def _read_configuration(self) -> None:
        """What is configured now, in the model's words."""
        shared, options = self._shared, self._cluster.options
        shared.resources = {
            sid: Resource(
                vm.node,
                held["state"],
                int(held.get("max_restart", 1)),
                int(held.get("max_relocate", 1)),
                bool(int(held.get("failback", 1))),
            )
            for sid, held in self.resources.items()
            if (vm := self._vm(sid))
        }
        shared.rules = [_rule(r) for r in self.rules.values() if not int(r.get("disable", 0))]
        shared.rules += [_rule(r) for r in self._groups_as_rules()]
        policy = property_string(options.get("ha", ""), "").get("shutdown_policy")
        shared.shutdown_policy = policy or "conditional"

    def _groups_as_rules(self) -> list[dict[str, Any]]:
        """As Proxmox itself migrates them: a group and its resources are a node affinity."""
        return [
            {
                "rule": f"ha-group-{name}",
                "type": "node-affinity",
                "nodes": group["nodes"],
                "strict": int(group.get("restricted", 0)),
                "resources": [s for s, held in self.resources.items() if held.get("group") == name],
            }
            for name, group in self.groups.items()
        ]

    def _vm(self, sid: str) -> Vm | None:
        return self._cluster.vms.get(int(sid.partition(":")[2]))

    # ── metal.lab.ha.world.World ─────────────────────────────────────────────────────────────

    @property
    def now(self) -> float:
        return self._dc.timeline.now

    def node_names(self) -> Collection[str]:
        return self._cluster.members

    def quorate(self, node: str) -> bool:
        return self._cluster.members[node].quorate(self.now)

    def online(self, node: str) -> bool:
        return node in self._cluster.members and self.quorate(node)

    def order(self, node: str, sid: str, uid: str, what: str, target: str) -> Exit | None:
        vm = self._vm(sid)
        if vm is None:
            return Exit.ERROR
        if (under_way := self._tasks.get(sid)) and self._dc_knows(under_way[1]):
            asked, task = under_way
            if task.ended is None:
                return None
            del self._tasks[sid]
            if asked == uid:
                return Exit.SUCCESS if task.exit_status == "OK" else Exit.ERROR
        begun = self._task(node, vm, what, target)
        if begun is None:
            return Exit.SUCCESS
        self._tasks[sid] = (uid, begun)
        return None

    def _task(self, node: str, vm: Vm, what: str, target: str) -> Task | None:
        """What is to be done; None if nothing is."""
        here, running = self._cluster.members[node], node in vm.copies
        if what == "started":
            return None if running else vms.start(self._dc, here, vm, USER)
        if what == "stop":
            return vms.shutdown(self._dc, here, vm, USER) if running else None
        if target == node:
            return None
        there = self._cluster.members[target]
        return vms.migrate(self._dc, here, vm, there, USER, online=True)

    def _dc_knows(self, task: Task) -> bool:
        node = self._cluster.members.get(task.node)
        return node is not None and task.upid in node.tasks

    def place(self, sid: str, node: str) -> None:
        vm = self._vm(sid)
        if vm is None:
            return
        self._dc.event(node, f"HA: recovers {sid} from {vm.node}")
        vm.lock = "" if vm.lock in STALE_LOCKS else vm.lock
        vm.node = node
        self._tasks.pop(sid, None)

    def score(self, sid: str, online: Collection[str]) -> dict[str, float]:
        crs = property_string(self._cluster.options.get("crs", ""), "").get("ha", "basic")
        if crs == "basic":
            return usage.by_number(self.services, online)
        sizes = {s: _size(vm) for s in self.services if (vm := self._vm(s))}
        members = self._cluster.members
        nodes = {n: usage.Size(members[n].threads, members[n].memory_mib) for n in online}
        return usage.by_size(sid, self.services, online, sizes, nodes)

    def moves_live(self, sid: str) -> bool:
        return True  # the double has no containers

    def watchdog(self, node: str, client: str, *, armed: bool) -> None:
        if armed:
            self._dogs[node, client] = self.now
        else:
            self._dogs.pop((node, client), None)

    def shutting_down(self, node: str) -> tuple[bool, bool]:
        return False, False  # a lab's machines lose their power

    def log(self, who: str, what: str) -> None:
        self._dc.event(who, f"HA: {what}")


def _size(vm: Vm) -> usage.Size:
    cores = int(vm.config.get("cores", 1)) * int(vm.config.get("sockets", 1))
    return usage.Size(cores, vm.memory_mib)


def _rule(held: dict[str, Any]) -> Rule:
    nodes = [str(node).partition(":") for node in held.get("nodes", ())]
    return Rule(
        held["rule"],
        held["type"],
        frozenset(held["resources"]),
        tuple((name, int(priority or 0)) for name, _, priority in nodes),
        bool(int(held.get("strict", 0))),
        held.get("affinity", ""),
    )
