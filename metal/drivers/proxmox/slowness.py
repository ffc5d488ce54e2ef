"""OSDs whose disks are slow, by Ceph's own word.

The summary of SLOW_OPS names up to ten daemons (DaemonHealthMetricCollector.cc): "2 slow ops,
oldest one blocked for 36 sec, osd.3 has slow ops", or "daemons [osd.1,mon.a] have slow ops."; more
are "...". Until Ceph 14 it is "osd,3".
"""

import re
from typing import Any

from metal.drivers.proxmox.api import Api
from metal.drivers.proxmox.crush import leaves

SLOW = "SLOW_OPS"
BESIDE = frozenset(
    {
        SLOW,
        # They stand for a day after one slow read or write, whoever made the disk slow.
        "BLUESTORE_SLOW_OP_ALERT",
        "BLOCK_DEVICE_STALLED_READ_ALERT",
        "DB_DEVICE_STALLED_READ_ALERT",
    }
)
"""Checks that a slow disk makes by itself. Beside any other one, operations may be slow because of
that: a server is lost, or data is being moved."""
_DAEMONS = re.compile(r"\bsec, (?:daemons \[(.*?)\]|(\S+)) ha(?:s|ve) slow ops")
_OSD = re.compile(r"osd[.,](\d+)$")


def slow_osds(api: Api, status: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Server → its slow OSDs, where they are all that is wrong with Ceph and on one server.

    `status`: what `cluster/ceph/status` told. One more call, and only if an OSD is slow.
    """
    names = _named(status)
    if not names or not _whole(status):
        return {}
    tree = api.get(f"nodes/{api.node().name}/ceph/osd").get("root") or {}
    hosts = {f"osd.{int(leaf['id'])}": str(leaf.get("host") or "") for leaf in leaves(tree)}
    servers = {hosts.get(name, "") for name in names}
    return {server: names for server in servers if server} if len(servers) == 1 else {}


def _named(status: dict[str, Any]) -> tuple[str, ...]:
    """None of them where a monitor is slow, too, where not all are named, or more is wrong."""
    checks = (status.get("health") or {}).get("checks") or {}
    if SLOW not in checks or set(checks) - BESIDE:
        return ()
    said = _DAEMONS.search(str((checks[SLOW].get("summary") or {}).get("message", "")))
    if said is None:
        return ()
    listed = re.sub(r"\b([a-z]+),(?=\d)", r"\1.", said[1] or said[2]).split(",")
    osds = [_OSD.match(name.strip()) for name in listed]
    return tuple(f"osd.{osd[1]}" for osd in osds if osd) if all(osds) else ()


def _whole(status: dict[str, Any]) -> bool:
    """Every OSD is up and in."""
    counts = status.get("osdmap") or {}
    counts = counts.get("osdmap", counts)  # nested until Ceph 14
    known = {counts.get(key) for key in ("num_osds", "num_up_osds", "num_in_osds")}
    return len(known) == 1 and None not in known
