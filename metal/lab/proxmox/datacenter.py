"""All Proxmox VE of a lab: its nodes, the clusters they form, and what is true of them."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metal.lab.clock import Clock
from metal.lab.proxmox import calls, debian, handlers, tasks, vms
from metal.lab.proxmox.ceph import Ceph
from metal.lab.proxmox.ha import Ha
from metal.lab.proxmox.state import Cluster, Disk, Node, Pace, Vm
from metal.lab.proxmox.storage import lone_storages
from metal.lab.proxmox.timeline import Timeline
from metal.lab.proxmox.wire import NoAnswer, Wire
from metal.lab.web import Certificate, self_signed
from metal.model.errors import Refused

__all__ = ["Datacenter", "NodeHandle"]
assert handlers.MODULES  # Importing them is what makes the calls answered.

DISK_BYTES = 960_197_124_096


@dataclass(frozen=True)
class NodeHandle:
    """What the lab may know of a node it added."""

    name: str
    address: str
    port: int
    fingerprint: str
    """SHA-256 of its certificate, upper-case hex pairs parted by colons."""


class Datacenter:
    """One per lab. All methods may be called from any thread; times are lab seconds."""

    def __init__(
        self,
        clock: Clock,
        certificates: Path,
        pace: Pace | None = None,
        *,
        latency: float = 0.0,
        rest: float = 0.05,
    ) -> None:
        """`latency`: real seconds before each answer. `rest`: real seconds between two looks of a
        node at its power; hundreds of nodes need longer ones."""
        self.pace, self._latency, self._rest = pace or Pace(), latency, rest
        self.backups: dict[tuple[str, ...], list[tuple[str, int, dict[str, Any]]]] = {}
        """Storage for backups, by what it is known → (name, VM, its configuration)."""
        self.notes: dict[str, str] = {}
        self.backup_signs: dict[str, dict[str, Any]] = {}
        """A backup's name → what its storage says of it besides."""
        self.inactive: set[str] = set()
        """Storages that no node has mounted."""
        """Backup → what was noted with it."""
        self.unreached: set[str] = set()
        """Addresses of corosync's that lead nowhere: a cable in the wrong port."""
        self.counts: Counter[str] = Counter()
        self.ready: list[tuple[str, float]] = []
        """(node, when something on it became ready that somebody may wait for), by this
        machine's monotonic clock: what waits are measured against."""
        """Method and path → how often it was asked."""
        self._clock, self.timeline = clock, Timeline(clock)
        self._certificates = certificates
        self._epoch = time.time() - clock.now()
        self._lock = threading.RLock()
        self._nodes: dict[str, Node] = {}
        self._wires: dict[tuple[str, int], Wire] = {}
        self._listening = threading.Lock()
        self._events: deque[dict[str, Any]] = deque(maxlen=10_000)
        self._serving = False
        self.stays_down: set[str] = set()
        """Nodes that do not come back from a reboot."""
        self.broken_packages = ""
        """What an upgrade of packages ends with."""
        self.checklist = "\x1b[0m= SUMMARY =\n\nTOTAL: 3\nPASSED: 3\n"
        """What pve8to9 prints."""
        self.fill: dict[str, float] = {}
        """Storage → which share of it is used."""
        self.warnings: dict[str, str] = {}
        """Kind of task → what the next one of it warns of although it succeeds."""
        self.judging = False
        """Whether its own answers are held against the schema."""
        self.misstated: list[str] = []
        """What was wrong with them."""

    # ── what the lab does to it ──────────────────────────────────────────────────────────────

    def add_node(
        self,
        name: str,
        address: str,
        *,
        memory_gib: float,
        threads: int,
        disks: list[str],
        root_password_check: Callable[[str], bool],
        port: int = 8006,
        certificate: Certificate | None = None,
        ceph_packages: bool = True,
        serials: Mapping[str, str] | None = None,
        version: str = "9.2.1",
        proxmox: bool = True,
    ) -> NodeHandle:
        """An installed node in no cluster yet, without power. `proxmox`: else a plain Debian.

        `serials`: disk name → serial number; NODE-DISK where it has none.
        The first of `disks` (names as "nvme0n1") holds the system. A node of that name that was
        there is forgotten: its server was installed anew.
        """
        certificate = certificate or self_signed(self._certificates, f"pve-{name}", address)
        self.power_off(name, missing_ok=True)
        with self._lock:
            self.timeline.catch_up()
            before = self._forget(name)
            node = Node(
                # What still remembers the machine of that name must not take this one for it.
                lives=before,
                name=name,
                address=address,
                port=port,
                memory_mib=int(memory_gib * 1024),
                threads=threads,
                disks=[
                    Disk(
                        f"/dev/{disk.removeprefix('/dev/')}",
                        DISK_BYTES,
                        "" if n else "LVM",
                        serial=(serials or {}).get(disk, f"{name}-{disk}"),
                    )
                    for n, disk in enumerate(disks)
                ],
                certificate=certificate,
                password_check=root_password_check,
                cluster=Cluster(),
                ceph_packages=ceph_packages,
                version=version,
                runs=version,
                proxmox=proxmox,
                kernels=("pve", "pve") if proxmox else ("debian", "debian"),
            )
            node.trials = debian.trials_of(self, node)
            self._alone(node)
            self._nodes[name] = node
        return NodeHandle(name, address, port, certificate.fingerprint)

    def power_on(self, name: str) -> None:
        """Its API answers at once; a cluster's member counts again after some seconds."""
        with self._lock:
            self.timeline.catch_up()
            self._wake(self._node(name), "power on")
        self._listen()

    def power_off(self, name: str, *, missing_ok: bool = False) -> None:
        """Pull the power: its API is cut off and its VMs end, now."""
        with self._lock:
            if missing_ok and name not in self._nodes:
                return
            self.timeline.catch_up()
            node = self._node(name)
            node.boots += 1
            self._die(node, "power off")
        self._listen()

    def cable(self, name: str, *, plugged: bool) -> None:
        """The node's network: without it its VMs run on until its watchdog fires."""
        with self._lock:
            self.timeline.catch_up()
            node = self._node(name)
            if node.cabled == plugged:
                return
            node.cabled = plugged
            node.member_from = self.timeline.now + self.pace.membership
            self.event(name, f"network {'on' if plugged else 'off'}")
        self._listen()

    def put_guest(
        self,
        node: str,
        vmid: int,
        config: dict[str, Any],
        *,
        kind: str = "qemu",
        running: bool = True,
        agent: list[dict[str, Any]] | None = None,
    ) -> None:
        """A guest that somebody else made: a VM, or (`lxc`) a container."""
        with self._lock:
            self.timeline.catch_up()
            at = self._node(node)
            vm = at.cluster.vms[vmid] = Vm(vmid, node, config, kind=kind, agent=agent)
            if running:
                vm.begin(node, self.timeline.now)

    def put_cluster(self, name: str, nodes: Sequence[str], *, ceph: str = "") -> None:
        """A cluster that is there already; `ceph` names a pool on one OSD a node."""
        with self._lock:
            self.timeline.catch_up()
            members = [self._node(n) for n in nodes]
            cluster = members[0].cluster
            cluster.name, cluster.version = name, len(members)
            for number, node in enumerate(members, 1):
                node.cluster, node.nodeid = cluster, number
                cluster.members[node.name] = node
            if ceph:
                cluster.ceph.put(cluster, ceph)

    def start(self) -> None:
        """Open the API of every node that has power, now and later."""
        self._serving = True
        self._listen()

    def stop(self) -> None:
        self._serving = False
        self._listen()

    def truth(self) -> dict[str, Any]:
        """What is so, whatever any node believes.

        {"vms": [{cluster, vmid, name, node, copies, max_copies, starts, config}], "nodes": name →
        {…}, "clusters": name → {…}, "events": [{at, where, what}]}. `copies` are the nodes where
        it runs now; `max_copies` is the most there ever were at once, and must never exceed 1.
        """
        with self._lock:
            self.timeline.catch_up()
            clusters = self._clusters()
            return {
                "vms": [
                    {
                        "cluster": key,
                        "vmid": vm.vmid,
                        "name": vm.name,
                        "node": vm.node,
                        "copies": sorted(vm.copies),
                        "max_copies": vm.max_copies,
                        "starts": vm.starts,
                        "config": dict(vm.config),
                    }
                    for key, cluster in clusters.items()
                    for vm in cluster.vms.values()
                ],
                "nodes": {node.name: self._node_truth(node) for node in self._nodes.values()},
                "clusters": {
                    key: {
                        "name": cluster.name,
                        "members": sorted(cluster.members),
                        "version": cluster.version,
                        "quorate": any(
                            n.quorate(self.timeline.now) for n in cluster.members.values()
                        ),
                        "ceph": cluster.ceph.truth(),
                        "ha": cluster.ha.truth(),
                    }
                    for key, cluster in clusters.items()
                },
                "events": list(self._events),
            }

    # ── what its own parts ask of it ─────────────────────────────────────────────────────────

    def epoch(self) -> float:
        """The lab's time as seconds since 1970, which is what Proxmox tells."""
        return self._epoch + self.timeline.now

    def note_ready(self, where: str, at: float) -> None:
        """`at`: a lab second, of the past or to come."""
        self.ready.append((where, time.monotonic() + (at - self._clock.now()) / self._clock.speed))

    def event(self, where: str, what: str) -> None:
        self._events.append({"at": round(self.timeline.now, 3), "where": where, "what": what})

    def node_at(self, address: str) -> Node | None:
        """Who is at an address or of a name, if it can be reached."""
        for node in self._nodes.values():
            if address in (node.address, node.name) and node.answers:
                return node
        return None

    @contextmanager
    def present(self) -> Iterator[dict[str, Node]]:
        """The nodes as they are this moment, which stands still meanwhile."""
        with self._lock:
            self.timeline.catch_up()
            yield self._nodes

    def restart(self, node: Node, *, back: bool) -> None:
        """Somebody asked it to reboot, or to shut down."""
        self._die(node, "reboot" if back else "shutdown")
        if back and node.name not in self.stays_down:
            self._boot_again(node)
        self.listen_soon()

    def reset(self, node: Node) -> None:
        """Its watchdog fires: everything on it ends, and it boots again."""
        self._die(node, "reset by watchdog")
        self._boot_again(node)
        self.listen_soon()

    def _boot_again(self, node: Node) -> None:
        node.boots += 1
        boot = node.boots
        self.timeline.after(self.pace.reset, lambda: self._back(node, boot))

    def _back(self, node: Node, boot: int) -> None:
        if self._nodes.get(node.name) is node and node.boots == boot:
            self._wake(node, "up again")
            self.listen_soon()

    def _wake(self, node: Node, why: str) -> None:
        if node.powered:
            return
        now = self.timeline.now
        node.powered, node.up_since = True, now
        node.lives += 1
        node.runs, node.kernels = node.version, (node.kernels[1], node.kernels[1])
        node.member_from = now + (self.pace.membership if node.cluster.name else 0)
        self.event(node.name, why)
        for vm in node.cluster.vms.values():
            if vm.node == node.name and vm.config.get("onboot"):
                self.timeline.after(2 * self.pace.membership, _onboot(self, node, vm.vmid))

    def _die(self, node: Node, why: str) -> None:
        if not node.powered:
            return
        tasks.interrupt(self, node)
        for vm in node.running():
            vm.end(node.name)
        node.powered = False
        self.event(node.name, why)
        # What its next start does before its network is up.
        node.trials.forget()

    def _node(self, name: str) -> Node:
        if name not in self._nodes:
            raise Refused(
                "no system of ours runs on it yet",
                where=name,
                mend="install it first, by `metal apply` in the lab's workspace",
            )
        return self._nodes[name]

    def _alone(self, node: Node) -> None:
        cluster = Cluster()
        cluster.members[node.name] = node
        cluster.storages = lone_storages()
        cluster.users["root@pam"] = {"enable": 1, "expire": 0}
        cluster.ceph = Ceph()
        cluster.ha = Ha(self, cluster)
        node.cluster = cluster

    def _forget(self, name: str) -> int:
        """A node installed anew: its cluster still lists the old one, which never comes back.

        How many lives that one had.
        """
        old = self._nodes.pop(name, None)
        if old is None:
            return 0
        old.cabled = False
        return old.lives

    def _clusters(self) -> dict[str, Cluster]:
        """By name; an unclustered node by its own."""
        found: dict[str, Cluster] = {}
        for node in self._nodes.values():
            found[node.cluster.name or node.name] = node.cluster
        return found

    def _node_truth(self, node: Node) -> dict[str, Any]:
        return {
            "proxmox": node.proxmox,
            "power": "on" if node.powered else "off",
            "cabled": node.cabled,
            "cluster": node.cluster.name,
            "quorate": node.quorate(self.timeline.now),
            "free_memory_mib": node.free_memory_mib(),
            "running": sorted(vm.vmid for vm in node.running()),
        }

    def listen_soon(self) -> None:
        """For those who hold the lock: sockets are opened and closed without it."""
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        """Let sockets follow power."""
        with self._listening:
            with self._lock:
                on = [n for n in self._nodes.values() if self._serving and n.answers and n.proxmox]
                wanted = {(node.name, node.lives): node for node in on}
            for key in self._wires.keys() - wanted.keys():
                self._wires.pop(key).cut()
            for key in wanted.keys() - self._wires.keys():
                node = wanted[key]
                self._wires[key] = Wire(
                    node.address, node.port, node.certificate, self._answerer(node), self._rest
                )

    def _answerer(self, node: Node) -> Callable[..., Any]:
        life = node.lives

        def answer(method: str, path: str, given: dict[str, Any], headers: dict[str, str]) -> Any:
            if self._latency:
                time.sleep(self._latency)
            with self._lock:
                self.timeline.catch_up()
                self.counts[f"{method} {_kind(path)}"] += 1
                if not node.answers or node.lives != life:
                    raise NoAnswer
                return calls.answer(self, node, method, path, given, headers)

        return answer


def _kind(path: str) -> str:
    """The path without what differs from node to node and VM to VM."""
    parts = path.strip("/").split("/")
    if parts[0] == "nodes" and len(parts) > 1:
        parts[1] = "*"
    return "/".join("*" if part.isdigit() or part.startswith("UPID") else part for part in parts)


def _onboot(dc: Datacenter, node: Node, vmid: int) -> Callable[[], None]:
    life = node.lives

    def start() -> None:
        vm = node.cluster.vms.get(vmid)
        here = vm and vm.node == node.name and node.powered and node.lives == life
        if vm and here and not vm.copies and not node.cluster.ha.has(vmid):
            vms.start(dc, node, vm, "root@pam")

    return start
