"""What a cluster's Ceph is: monitors, managers, OSDs, pools."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from metal.lab.proxmox.state import Cluster, Node


@dataclass
class Osd:
    number: int
    node: str
    device: str
    encrypted: bool
    size: int
    out: bool = False
    stopped: bool = False


@dataclass
class Ceph:
    fsid: str = field(default_factory=lambda: str(uuid.uuid4()))
    settings: dict[str, Any] | None = None
    """None until `init`."""
    monitors: dict[str, str] = field(default_factory=dict)
    """Monitor → node."""
    managers: dict[str, str] = field(default_factory=dict)
    osds: dict[int, Osd] = field(default_factory=dict)
    pools: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)
    """CRUSH rules that somebody made: name → on what kind of bucket the copies are apart."""
    blocklist: dict[str, str] = field(default_factory=dict)
    """ADDRESS:0/NUMBER of a client → until when it may not write."""
    flags: set[str] = field(default_factory=set)
    slow: set[int] = field(default_factory=set)
    """OSDs whose disks are slow."""
    moving_until: float = 0
    """Data is being moved until then."""
    forgotten: list[str] = field(default_factory=list)
    """Monitors that were taken out of ceph.conf by hand."""

    def put(self, cluster: Cluster, pool: str) -> None:
        """All of it at once: a monitor, a manager and an OSD on every node, and a pool."""
        self.settings = {}
        for number, node in enumerate(cluster.members.values()):
            self.monitors[node.name] = self.managers[node.name] = node.name
            disk = node.disks[1]
            disk.used, disk.osd = "LVM", number
            self.osds[number] = Osd(number, node.name, disk.device, True, disk.size)
        told = {"pool": 1, "pool_name": pool, "type": "replicated", "size": 3, "min_size": 2}
        more = {"pg_num": 128, "application": "rbd", "crush_rule": 0}
        self.pools[pool] = told | more | {"crush_rule_name": "replicated_rule"}
        storage = {"storage": pool, "type": "rbd", "pool": pool, "krbd": 0, "shared": 1}
        cluster.storages[pool] = storage | {"content": "rootdir,images"}

    def truth(self) -> dict[str, Any]:
        return {
            "initialised": self.settings is not None,
            "monitors": sorted(self.monitors),
            "managers": sorted(self.managers),
            "osds": [
                {"id": o.number, "node": o.node, "device": o.device, "encrypted": o.encrypted}
                for o in self.osds.values()
            ],
            "pools": sorted(self.pools),
        }

    def monitors_up(self, cluster: Cluster, now: float) -> list[str]:
        return [name for name, node in self.monitors.items() if _up(cluster, node, now)]

    def osds_up(self, cluster: Cluster, now: float) -> list[Osd]:
        return [o for o in self.osds.values() if not o.stopped and _up(cluster, o.node, now)]

    def quorate(self, cluster: Cluster, now: float) -> bool:
        return 2 * len(self.monitors_up(cluster, now)) > len(self.monitors)

    def serves(self, cluster: Cluster, now: float) -> bool:
        """Whether its pools can be written to: a quorum, and min_size hosts with an OSD up."""
        hosts = {osd.node for osd in self.osds_up(cluster, now)}
        need = max((pool["min_size"] for pool in self.pools.values()), default=1)
        return self.quorate(cluster, now) and len(hosts) >= need

    def status(self, cluster: Cluster, now: float) -> dict[str, Any]:
        """As `ceph status -f json`, the parts that are looked at."""
        up = self.osds_up(cluster, now)
        quorum = self.monitors_up(cluster, now)
        managers = [name for name, node in self.managers.items() if _up(cluster, node, now)]
        checks = self._checks(cluster, now)
        return {
            "fsid": self.fsid,
            "health": {"status": "HEALTH_WARN" if checks else "HEALTH_OK", "checks": checks},
            "quorum_names": quorum,
            "monmap": {
                "num_mons": len(self.monitors),
                "mons": [{"name": name} for name in self.monitors],
            },
            "osdmap": {
                "num_osds": len(self.osds),
                "num_up_osds": len(up),
                "num_in_osds": sum(not osd.out for osd in self.osds.values()),
            },
            "pgmap": {
                "num_pools": len(self.pools),
                "num_pgs": sum(pool["pg_num"] for pool in self.pools.values()),
                "bytes_total": sum(osd.size for osd in up),
            },
            "mgrmap": {
                "available": bool(managers),
                "active_name": managers[0] if managers else "",
                "num_standbys": max(0, len(managers) - 1),
            },
        }

    def _checks(self, cluster: Cluster, now: float) -> dict[str, Any]:
        found = {}
        down = len(self.osds) - len(self.osds_up(cluster, now))
        if down:
            found["OSD_DOWN"] = f"{down} osds down"
        absent = len(self.monitors) - len(self.monitors_up(cluster, now))
        if absent:
            found["MON_DOWN"] = f"{absent}/{len(self.monitors)} mons down"
        if self.flags:
            found["OSDMAP_FLAGS"] = f"{','.join(sorted(self.flags))} flag(s) set"
        if self.slow:
            found["SLOW_OPS"] = slow_ops(sorted(self.slow))
        need = max((pool["size"] for pool in self.pools.values()), default=0)
        if len(self.osds) < need:
            found["TOO_FEW_OSDS"] = f"OSD count {len(self.osds)} < osd_pool_default_size {need}"
        return {
            name: {"severity": "HEALTH_WARN", "summary": {"message": text, "count": 1}}
            for name, text in found.items()
        }


def slow_ops(osds: Sequence[int]) -> str:
    """As DaemonHealthMetricCollector.cc says it."""
    names = [f"osd.{number}" for number in osds]
    who = f"daemons [{','.join(names)}] have slow ops." if names[1:] else f"{names[0]} has slow ops"
    return f"{len(names)} slow ops, oldest one blocked for 36 sec, {who}"


def _up(cluster: Cluster, name: str, now: float) -> bool:
    node = cluster.members.get(name)
    return node is not None and _counted(node, now)


def _counted(node: Node, now: float) -> bool:
    return node.answers and node.member_from <= now
