"""The calls about Ceph. Their order is enforced: init, monitor, manager, OSD, pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metal.lab.proxmox.calls import Call, handles
from metal.lab.proxmox.ceph import Ceph, Osd
from metal.lab.proxmox.errors import ApiError, TaskError
from metal.lab.proxmox.state import Disk
from metal.lab.proxmox.tasks import Work

NOT_INITIALISED = "pveceph configuration not initialized - missing '/etc/pve/ceph.conf'"


def _ceph(call: Call) -> Ceph:
    if not call.node.ceph_packages:
        raise ApiError(500, "binary not installed: /usr/bin/ceph-mon")
    if call.cluster.ceph.settings is None:
        raise ApiError(500, NOT_INITIALISED)
    return call.cluster.ceph


def _with_monitors(call: Call) -> Ceph:
    ceph = _ceph(call)
    if not ceph.monitors or not ceph.quorate(call.cluster, call.now):
        raise ApiError(500, "got timeout")
    return ceph


@handles("POST", "/nodes/{node}/ceph/init")
def init(call: Call) -> None:
    """Answers null, and silently keeps the settings of an earlier call."""
    if not call.node.ceph_packages:
        raise ApiError(500, "binary not installed: /usr/bin/ceph-mon")
    if call.cluster.ceph.settings is None:
        call.cluster.ceph.settings = call.without("node")


@handles("GET", "/cluster/ceph/status")
@handles("GET", "/nodes/{node}/ceph/status")
def status(call: Call) -> dict[str, Any]:
    ceph = _with_monitors(call)
    told = ceph.status(call.cluster, call.now)
    on_ceph = [n for n, s in call.cluster.storages.items() if s["type"] == "rbd"]
    share = max((call.dc.fill.get(name, 0.01) for name in on_ceph), default=0.0)
    told["pgmap"]["bytes_used"] = int(share * told["pgmap"]["bytes_total"])
    return told


@handles("POST", "/nodes/{node}/ceph/mon/{monid}")
def add_monitor(call: Call) -> str:
    ceph, name = _ceph(call), call.params["monid"]
    if name in ceph.monitors or call.node.name in ceph.monitors.values():
        raise ApiError(500, f"monitor '{name}' already exists")
    return call.task("cephcreatemon", f"mon.{name}", _add(call, lambda: _put(ceph.monitors, call)))


@handles("POST", "/nodes/{node}/ceph/mgr/{id}")
def add_manager(call: Call) -> str:
    ceph, name = _with_monitors(call), call.params["id"]
    if name in ceph.managers:
        raise ApiError(
            500, f"ceph manager directory '/var/lib/ceph/mgr/ceph-{name}' already exists"
        )
    return call.task("cephcreatemgr", f"mgr.{name}", _add(call, lambda: _put(ceph.managers, call)))


def _put(where: dict[str, str], call: Call) -> None:
    where[call.params.get("monid") or call.params["id"]] = call.node.name


def _add(call: Call, act: Callable[[], None]) -> Work:
    yield call.dc.pace.ceph
    act()
    return None


@handles("GET", "/nodes/{node}/ceph/mon")
def monitors(call: Call) -> list[dict[str, Any]]:
    ceph = _ceph(call)
    up = ceph.monitors_up(call.cluster, call.now)
    return [
        {
            "name": name,
            "host": node,
            "addr": f"{call.cluster.members[node].address}:6789/0",
            "state": "running" if name in up else "unknown",
            "quorum": int(name in up),
        }
        for name, node in ceph.monitors.items()
    ]


@handles("GET", "/nodes/{node}/ceph/mgr")
def managers(call: Call) -> list[dict[str, Any]]:
    ceph = _ceph(call)
    first = ceph.status(call.cluster, call.now)["mgrmap"]["active_name"]
    return [
        {"name": name, "host": node, "state": "active" if name == first else "standby"}
        for name, node in ceph.managers.items()
    ]


@handles("POST", "/nodes/{node}/ceph/osd")
def add_osd(call: Call) -> str:
    ceph, device = _with_monitors(call), call.params["dev"]
    disk = next((d for d in call.node.disks if d.device == device), None)
    if disk is None:
        raise ApiError(500, f"unable to get device info for '{device}'")
    if disk.used:
        raise ApiError(500, f"device '{device}' is already in use")
    return call.task("cephcreateosd", device.rpartition("/")[2], _add_osd(call, ceph, disk))


def _add_osd(call: Call, ceph: Ceph, disk: Disk) -> Work:
    if disk.used:
        raise TaskError(f"device '{disk.device}' is already in use")
    disk.used = "LVM"
    yield call.dc.pace.osd
    number = next(n for n in range(10_000) if n not in ceph.osds)
    disk.osd = number
    encrypted = bool(call.params.get("encrypted"))
    ceph.osds[number] = Osd(number, call.node.name, disk.device, encrypted, disk.size)
    call.dc.event(call.node.name, f"osd.{number} on {disk.device}")
    return None


@handles("GET", "/nodes/{node}/ceph/osd")
def tree(call: Call) -> dict[str, Any]:
    """CRUSH tree: root → hosts → OSDs."""
    ceph = _with_monitors(call)
    up = {osd.number for osd in ceph.osds_up(call.cluster, call.now)}
    hosts = [
        {
            "id": f"-{3 + 2 * place}",
            "name": host,
            "type": "host",
            "leaf": 0,
            "children": [
                {
                    "id": str(osd.number),
                    "name": f"osd.{osd.number}",
                    "type": "osd",
                    "host": host,
                    "leaf": 1,
                    "status": "up" if osd.number in up else "down",
                    "in": int(not osd.out),
                    "reweight": 1,
                    "device_class": "ssd",
                    "dmcrypt": int(osd.encrypted),
                    "total_space": osd.size,
                }
                for osd in ceph.osds.values()
                if osd.node == host
            ],
        }
        for place, host in enumerate(sorted({osd.node for osd in ceph.osds.values()}))
    ]
    root = {"id": "-1", "name": "default", "type": "root", "leaf": 0, "children": hosts}
    return {"root": {"leaf": 0, "children": [root]}, "flags": "sortbitwise,recovery_deletes"}


@handles("GET", "/nodes/{node}/ceph/crush")
def crush_map(call: Call) -> str:
    """The rules of it, as `crushtool -d` writes them."""
    rules = {"replicated_rule": "host", **_with_monitors(call).rules}
    return "# begin crush map\n" + "".join(
        f"rule {name} {{\n\tid {number}\n\ttype replicated\n\tstep take default\n"
        f"\tstep chooseleaf firstn 0 type {kind}\n\tstep emit\n}}\n"
        for number, (name, kind) in enumerate(rules.items())
    )


@handles("GET", "/nodes/{node}/ceph/osd/{osdid}/metadata")
def osd_metadata(call: Call) -> dict[str, Any]:
    osd = _with_monitors(call).osds.get(int(call.params["osdid"]))
    if osd is None:
        raise ApiError(500, f"OSD '{call.params['osdid']}' does not exist")
    return {
        "osd": {"id": osd.number, "hostname": osd.node, "osd_objectstore": "bluestore"},
        "devices": [{"dev_node": osd.device, "device": "block", "size": osd.size}],
    }


@handles("GET", "/nodes/{node}/ceph/pool")
def pools(call: Call) -> list[dict[str, Any]]:
    found = _with_monitors(call).pools
    return [dict(pool) for pool in found.values()]


@handles("POST", "/nodes/{node}/ceph/pool")
def add_pool(call: Call) -> str:
    ceph, name = _with_monitors(call), call.params["name"]
    if name in ceph.pools:
        raise ApiError(400, f"pool '{name}' already exists")
    if call.params.get("add_storages") and name in call.cluster.storages:
        raise ApiError(500, f"storage ID '{name}' already defined")
    return call.task("cephcreatepool", name, _add(call, lambda: _pool(call, ceph, name)))


def _pool(call: Call, ceph: Ceph, name: str) -> None:
    defaults = {"size": 3, "min_size": 2, "pg_num": 128, "application": "rbd"}
    given = call.without("node", "name", "add_storages")
    ceph.pools[name] = {
        "pool": len(ceph.pools) + 1,
        "pool_name": name,
        "type": "replicated",
        "crush_rule": 0,
        "crush_rule_name": "replicated_rule",
        **(defaults | given),
    }
    if call.params.get("add_storages"):
        call.cluster.storages[name] = {
            "storage": name,
            "type": "rbd",
            "pool": name,
            "content": "rootdir,images",
            "krbd": 0,
            "shared": 1,
        }
