"""Who has the disks of VMs in Ceph open, as `rbd` and `ceph` on a node tell it.

A lock outlives the power of whoever holds it. Who starts the VM again breaks it, and waits for that
until the old client counts as gone, unless it is on the blocklist already.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING

from metal.drivers.commands import Result

if TYPE_CHECKING:
    from metal.lab.proxmox.state import Cluster, Node, Vm

IMAGE = re.compile(r"[^/]+/(?:[^/]+/)?vm-(\d+)-\S+")
UNTIL = "2027-01-15T08:00:00+0000"
_numbers = itertools.count(3_710_147_553)


def opened(node: Node, vm: Vm) -> bool:
    """It runs on `node` from now on; whether its first write waits for an old lock."""
    held = vm.holder
    vm.holder = f"{node.address}:0/{next(_numbers)}"
    return bool(held) and held not in node.cluster.ceph.blocklist


def answer(node: Node, argv: list[str], now: float) -> Result | None:
    """None for a command that has nothing to do with it."""
    ceph = node.cluster.ceph
    match argv:
        case ["rbd", "status", image, "--format", "json"]:
            return _told(node.cluster, image, watching=True)
        case ["rbd", "lock", "ls", image, "--format", "json"]:
            return _told(node.cluster, image, watching=False)
        case ["ceph", "osd", "blocklist", *_] if not ceph.quorate(node.cluster, now):
            return Result(1, b"", "[errno 110] RADOS timed out (error connecting to the cluster)\n")
        case ["ceph", "osd", "blocklist", "add", client, _]:
            ceph.blocklist[client] = UNTIL
            return Result(0, b"", f"blocklisting {client} until {UNTIL} (604800 sec)\n")
        case ["ceph", "osd", "blocklist", "ls", "--format", "json"]:
            rows = [{"addr": client, "until": until} for client, until in ceph.blocklist.items()]
            return Result(0, f"\n{json.dumps(rows)}".encode(), f"listed {len(rows)} entries\n")
    return None


def _told(cluster: Cluster, image: str, *, watching: bool) -> Result:
    found = IMAGE.fullmatch(image)
    vm = cluster.vms.get(int(found[1])) if found else None
    if vm is None:
        name = image.rpartition("/")[2]
        said = f"rbd: error opening image {name}: (2) No such file or directory\n"
        return Result(2, b"", said)
    client = {"address": vm.holder}
    # A cloud-init image is only read: nobody locks it.
    held = [client] if vm.holder and not image.endswith("-cloudinit") else []
    if not watching:
        return Result(0, json.dumps([row | {"id": "auto 1"} for row in held]).encode(), "")
    alive = held if vm.copies else []
    return Result(0, json.dumps({"watchers": [row | {"cookie": 1} for row in alive]}).encode(), "")
