"""Storages: what VM disks and images are kept on."""

from __future__ import annotations

from typing import Any

from metal.lab.proxmox.calls import Call, handles
from metal.lab.proxmox.errors import ApiError
from metal.lab.proxmox.formats import split_list

GIB = 1 << 30
SHARED = {"rbd", "cephfs", "nfs", "cifs", "pbs", "iscsi"}


def lone_storages() -> dict[str, dict[str, Any]]:
    """What the installer makes of the system disk."""
    return {
        "local": {
            "storage": "local",
            "type": "dir",
            "path": "/var/lib/vz",
            "content": "iso,vztmpl,backup,snippets",
        },
        "local-lvm": {
            "storage": "local-lvm",
            "type": "lvmthin",
            "thinpool": "data",
            "vgname": "pve",
            "content": "images,rootdir",
        },
    }


@handles("GET", "/storage")
def index(call: Call) -> list[dict[str, Any]]:
    wanted = call.params.get("type")
    return [dict(s) for s in call.cluster.storages.values() if wanted in (None, s["type"])]


@handles("GET", "/storage/{storage}")
def read(call: Call) -> dict[str, Any]:
    return dict(_storage(call))


@handles("POST", "/storage")
def create(call: Call) -> dict[str, Any]:
    name, kind = call.params["storage"], call.params["type"]
    if name in call.cluster.storages:
        raise ApiError(500, f"create storage failed: storage ID '{name}' already defined")
    call.cluster.storages[name] = dict(call.params) | ({"shared": 1} if kind in SHARED else {})
    return {"storage": name, "type": kind}


@handles("PUT", "/storage/{storage}")
def update(call: Call) -> dict[str, Any]:
    storage = _storage(call)
    for name in split_list(call.params.get("delete", "")):
        storage.pop(name, None)
    storage |= call.without("delete", "digest")
    return {"storage": storage["storage"], "type": storage["type"]}


@handles("DELETE", "/storage/{storage}")
def remove(call: Call) -> None:
    call.cluster.storages.pop(_storage(call)["storage"])


@handles("GET", "/nodes/{node}/storage")
def on_node(call: Call) -> list[dict[str, Any]]:
    content = call.params.get("content")
    return [
        _status(call, storage)
        for storage in call.cluster.storages.values()
        if call.params.get("storage") in (None, storage["storage"])
        if call.node.name in split_list(storage.get("nodes", call.node.name))
        if content is None
        or set(split_list(content)) & set(split_list(storage.get("content", "images")))
    ]


@handles("GET", "/nodes/{node}/storage/{storage}/status")
def status(call: Call) -> dict[str, Any]:
    return _status(call, _storage(call))


def _status(call: Call, storage: dict[str, Any]) -> dict[str, Any]:
    ceph = call.cluster.ceph
    up = storage["storage"] not in call.dc.inactive
    if storage["type"] == "rbd":
        up = up and ceph.serves(call.cluster, call.now)
    total = 800 * GIB
    used = int(total * call.dc.fill.get(storage["storage"], 0.01))
    return {
        "storage": storage["storage"],
        "type": storage["type"],
        "content": storage.get("content", "images"),
        "shared": int(bool(storage.get("shared"))),
        "enabled": int(not storage.get("disable")),
        "active": int(up),
        "total": total if up else 0,
        "used": used if up else 0,
        "avail": total - used if up else 0,
    }


def _storage(call: Call) -> dict[str, Any]:
    found = call.cluster.storages.get(call.params["storage"])
    if found is None:
        raise ApiError(500, f"storage '{call.params['storage']}' does not exist")
    return found
