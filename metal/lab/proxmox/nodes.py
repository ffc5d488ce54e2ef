"""Nodes, their tasks and disks."""

from __future__ import annotations

import time
from ipaddress import ip_interface
from typing import Any

from metal.lab.proxmox import interfaces
from metal.lab.proxmox.calls import Call, handles
from metal.lab.proxmox.errors import ApiError
from metal.lab.proxmox.state import Node, Vm
from metal.lab.proxmox.tasks import Task

GIB = 1 << 30


@handles("GET", "/version")
def version(call: Call) -> dict[str, str]:
    return _version(call.node)


def _version(node: Node) -> dict[str, str]:
    return {"version": node.runs, "release": node.runs.rpartition(".")[0], "repoid": "0d1ab0ff"}


@handles("GET", "/nodes")
def nodes(call: Call) -> list[dict[str, Any]]:
    return [entry(call, node) for node in call.cluster.members.values()]


def entry(call: Call, node: Node) -> dict[str, Any]:
    """A node as in /nodes; of one that is not seen nothing is known but its name."""
    told: dict[str, Any] = {
        "node": node.name,
        "id": f"node/{node.name}",
        "type": "node",
        "ssl_fingerprint": node.certificate.fingerprint,
        "status": "offline",
        "level": "",
    }
    if node not in call.node.partition(call.now):
        return told
    return told | {
        "status": "online",
        "cpu": min(1.0, 0.02 * len(node.running())),
        "maxcpu": node.threads,
        "mem": (node.memory_mib - node.free_memory_mib()) << 20,
        "maxmem": node.memory_mib << 20,
        "disk": 4 * GIB,
        "maxdisk": 94 * GIB,
        "uptime": int(call.now - node.up_since),
    }


@handles("GET", "/nodes/{node}/status")
def status(call: Call) -> dict[str, Any]:
    node = call.node
    used = (node.memory_mib - node.free_memory_mib()) << 20
    total = node.memory_mib << 20
    return {
        "uptime": int(call.now - node.up_since),
        "cpu": min(1.0, 0.02 * len(node.running())),
        "loadavg": ["0.10", "0.10", "0.10"],
        "cpuinfo": {
            "cpus": node.threads,
            "cores": max(1, node.threads // 2),
            "sockets": 1,
            "model": node.chip,
            **({"flags": node.flags} if node.flags else {}),
        },
        "memory": {"total": total, "used": used, "free": total - used, "available": total - used},
        "rootfs": {"total": 94 * GIB, "used": 4 * GIB, "avail": 90 * GIB, "free": 90 * GIB},
        "pveversion": f"pve-manager/{node.runs}/0d1ab0ff",
        "boot-info": {"mode": "efi", "secureboot": 0},
        "current-kernel": {
            "sysname": "Linux",
            "release": "6.14.8-2-pve",
            "version": "#1 SMP PREEMPT_DYNAMIC PMX 6.14.8-2",
            "machine": "x86_64",
        },
    }


@handles("GET", "/nodes/{node}/network")
def network(call: Call) -> list[dict[str, Any]]:
    """As its /etc/network/interfaces says; without one, a bridge with the node's address, on a /24,
    and the card in it."""
    if text := call.node.trials.files.get("/etc/network/interfaces"):
        return [row for row in interfaces.rows(text) if _fits(row, call.params.get("type"))]
    at = ip_interface(f"{call.node.address}/24")
    card = {"iface": "eno1", "type": "eth", "active": 1, "method": "manual", "priority": 3}
    cards = [] if "bridge" in call.params.get("type", "") else [card]
    if call.node.no_bridge:
        return cards
    return [
        *cards,
        {
            "iface": "vmbr0",
            "type": "bridge",
            "active": 1,
            "autostart": 1,
            "method": "static",
            "method6": "manual",
            "priority": 4,
            "bridge_ports": "eno1",
            "address": call.node.address,
            "netmask": "24",
            "cidr": str(at),
            "gateway": str(at.network[-2]),
        },
    ]


def _fits(row: dict[str, Any], kind: str | None) -> bool:
    return kind in (None, row["type"]) or (kind == "any_bridge" and row["type"] == "bridge")


@handles("GET", "/nodes/{node}/time")
def its_time(call: Call) -> dict[str, Any]:
    # The host's own, not the lab's: at its pace two questions would be seconds apart.
    now = int(time.time() + call.node.clock_off)
    return {"time": now, "localtime": now, "timezone": "UTC"}


@handles("GET", "/nodes/{node}/lxc")
def containers(call: Call) -> list[dict[str, Any]]:
    from metal.lab.proxmox.qemu import summary

    here = [vm for vm in call.cluster.vms.values() if vm.node == call.node.name]
    return [summary(call, vm) for vm in here if vm.kind == "lxc"]


@handles("GET", "/nodes/{node}/lxc/{vmid}/config")
def container_config(call: Call) -> dict[str, Any]:
    return _container(call).config | {"digest": "0" * 40}


@handles("GET", "/nodes/{node}/lxc/{vmid}/status/current")
def container_status(call: Call) -> dict[str, Any]:
    from metal.lab.proxmox.qemu import summary

    return summary(call, _container(call)) | {"ha": {"managed": 0}}


def _container(call: Call) -> Vm:
    vm = call.cluster.vms.get(call.params["vmid"])
    if vm is None or vm.node != call.node.name or vm.kind != "lxc":
        path = f"nodes/{call.node.name}/lxc/{call.params['vmid']}.conf"
        raise ApiError(500, f"Configuration file '{path}' does not exist")
    return vm


@handles("GET", "/nodes/{node}/version")
def node_version(call: Call) -> dict[str, str]:
    return _version(call.node)


def _encrypted(call: Call, number: int) -> bool:
    osd = call.cluster.ceph.osds.get(number)
    return osd is None or osd.encrypted


@handles("GET", "/nodes/{node}/disks/list")
def disks(call: Call) -> list[dict[str, Any]]:
    return [
        {
            "devpath": disk.device,
            "size": disk.size,
            "type": "nvme" if "nvme" in disk.device else "ssd",
            **({"used": disk.used} if disk.used else {}),
            "mounted": int(disk is call.node.disks[0]),
            "osdid": disk.osd,
            "osdid-list": [str(disk.osd)] if disk.osd >= 0 else [],
            **({"osdencrypted": int(_encrypted(call, disk.osd))} if disk.osd >= 0 else {}),
            "health": "PASSED",
            "wearout": 97,
            "gpt": int(bool(disk.used)),
            "model": "Lab disk",
            "serial": disk.serial,
        }
        for disk in call.node.disks
    ]


@handles("PUT", "/nodes/{node}/disks/wipedisk")
def wipe(call: Call) -> str:
    disk = next((d for d in call.node.disks if d.device == call.params["disk"]), None)
    if disk is None:
        raise ApiError(500, f"unable to get device info for '{call.params['disk']}'")
    if disk.osd >= 0 or disk is call.node.disks[0]:
        raise ApiError(500, f"disk/partition '{disk.device}' has a holder")

    def work() -> Any:
        yield 1
        disk.used = ""

    return call.task("wipedisk", disk.device.rpartition("/")[2], work())


@handles("GET", "/nodes/{node}/tasks")
def tasks(call: Call) -> list[dict[str, Any]]:
    source = call.params.get("source", "archive")
    found = [
        task.entry()
        for task in call.node.tasks.values()
        if source == "all" or (task.ended is None) == (source == "active")
        if call.params.get("vmid") in (None, int(task.ident) if task.ident.isdigit() else -1)
        if call.params.get("typefilter", task.kind) == task.kind
    ]
    start = call.params.get("start", 0)
    found.sort(key=lambda told: -int(str(told["starttime"])))
    return found[start : start + call.params.get("limit", 50)]


@handles("GET", "/nodes/{node}/tasks/{upid}/status")
def task_status(call: Call) -> dict[str, Any]:
    return _task(call).status()


@handles("GET", "/nodes/{node}/tasks/{upid}/log")
def task_log(call: Call) -> list[dict[str, Any]]:
    lines = _task(call).log or ["no content"]
    start = call.params.get("start", 0)
    limit = call.params.get("limit", 50) or len(lines)
    return [{"n": n + 1, "t": line} for n, line in enumerate(lines)][start : start + limit]


@handles("DELETE", "/nodes/{node}/tasks/{upid}")
def stop_task(call: Call) -> None:
    task = _task(call)
    if task.ended is None:
        task.work.close()
        task.ended, task.exit_status = call.dc.epoch(), "interrupted by signal"
        task.log.append("received interrupt")


def _task(call: Call) -> Task:
    upid = call.params["upid"]
    task = call.node.tasks.get(upid)
    if task:
        return task
    parts = upid.split(":")
    if len(parts) != 9 or parts[0] != "UPID":
        raise ApiError(
            400, "Parameter verification failed.", {"upid": "unable to parse worker upid"}
        )
    raise ApiError(500, "no such task")
