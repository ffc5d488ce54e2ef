"""What root runs on a node over SSH because the API has no call for it: a Runner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metal.drivers.commands import Result
from metal.lab.proxmox import corosync, debian, pmxcfs, rbd
from metal.model.errors import Unreachable

if TYPE_CHECKING:
    from metal.lab.proxmox.datacenter import Datacenter
    from metal.lab.proxmox.state import Node

LOST = Result(127, b"", "the lab's nodes do not know this command\n")
DONE = Result(0, b"", "")
NEWEST = "9.2.4"


class Shell:
    """Programs on one node of the double."""

    def __init__(self, datacenter: Datacenter, name: str) -> None:
        self._dc, self.where = datacenter, name
        self.ran: list[str] = []
        """Commands, as they came."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        self.ran.append(" ".join(argv))
        with self._dc.present() as nodes:
            node = nodes.get(self.where)
            if node is None or not node.answers:
                raise Unreachable("no route to host", where=self.where)
            words = list(argv)
            return (
                debian.answer(self._dc, node, words, stdin)
                or corosync.answer(self._dc, node, words, stdin)
                or pmxcfs.answer(node, words, self._dc.timeline.now)
                or rbd.answer(node, words, self._dc.timeline.now)
                or self._answer(node, words)
            )

    def _answer(self, node: Node, argv: list[str]) -> Result:
        cluster = node.cluster
        ceph = cluster.ceph
        match argv:
            case ["ha-manager", "crm-command", "node-maintenance", "enable", name]:
                cluster.ha.maintain(name, on=True)
            case ["ha-manager", "crm-command", "node-maintenance", "disable", name]:
                cluster.ha.maintain(name, on=False)
            case ["true"]:
                pass
            case ["sh", "-c", script] if "metal: all packages" in script:
                if self._dc.broken_packages:
                    return Result(100, b"", f"E: {self._dc.broken_packages}\n")
                node.version = NEWEST
            case ["pve8to9", "--full"]:
                return Result(0, self._dc.checklist.encode(), "")
            case ["ceph", "mon", "remove", name]:
                ceph.monitors.pop(name, None)
            case ["ceph", "auth", "del", entity]:
                ceph.managers.pop(entity.removeprefix("mgr."), None)
            case ["ceph", "osd", "purge", number, "--yes-i-really-mean-it"]:
                ceph.osds.pop(int(number), None)
            case ["ceph", "osd", "crush", "remove", _]:
                pass
            case ["sh", "-c", script, "_", name] if "/etc/pve/ceph.conf" in script:
                ceph.forgotten.append(name)
            case ["rm", "-rf", folder] if folder.startswith("/etc/pve/nodes/"):
                gone = folder.rpartition("/")[2]
                for vmid in [v for v, vm in cluster.vms.items() if vm.node == gone]:
                    del cluster.vms[vmid]
            case _:
                return LOST
        return DONE
