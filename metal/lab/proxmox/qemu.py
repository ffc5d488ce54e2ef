"""The calls about virtual machines."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from typing import Any

from metal.lab.proxmox import access, vms
from metal.lab.proxmox.calls import Call, handles
from metal.lab.proxmox.errors import ApiError, TaskError, bad_parameters
from metal.lab.proxmox.formats import property_string, split_list
from metal.lab.proxmox.state import Node, Vm
from metal.lab.proxmox.tasks import Work

DRIVE = re.compile(r"(scsi|virtio|sata|ide)\d+|efidisk0|tpmstate0")
NOT_CONFIG = {
    *("node", "vmid", "start", "unique", "pool", "force", "archive", "live-restore", "storage"),
    *("bwlimit", "ha-managed", "delete", "digest", "background_delay", "skiplock", "revert"),
    "import-working-storage",
}
CONFIG = {
    r"cores|sockets|cpu|vcpus|numa\d*": "VM.Config.CPU",
    r"memory|balloon|shares": "VM.Config.Memory",
    r"net\d+": "VM.Config.Network",
    r"ipconfig\d+": "VM.Config.Network",
    r"scsihw|machine|bios|vga|serial\d+": "VM.Config.HWType",
    r"name|description|tags|onboot|boot|ostype|agent": "VM.Config.Options",
    DRIVE.pattern: "VM.Config.Disk",
}
"""Option → what setting it takes (PVE::API2::Qemu, check_vm_modify_config_perm)."""
NET_MODELS = {"virtio", "e1000", "e1000e", "rtl8139", "vmxnet3"}
NET_KEYS = NET_MODELS | {
    *("model", "macaddr", "bridge", "queues", "rate", "tag", "trunks", "firewall"),
    *("link_down", "mtu"),
}
DESTROYING = "destroy"
UNTOLD = ("", DESTROYING)
"""Who destroys holds the lock of the file; its contents say nothing of it meanwhile."""


def _vm(call: Call) -> Vm:
    vmid, node = call.params["vmid"], call.node.name
    vm = call.cluster.vms.get(vmid)
    if vm is None or vm.node != node or vm.kind != "qemu":
        raise ApiError(
            500, f"Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist"
        )
    return vm


def summary(call: Call, vm: Vm) -> dict[str, Any]:
    """A VM as in lists."""
    since = vm.copies.get(vm.node)
    told = {
        "vmid": vm.vmid,
        "name": vm.name,
        "status": "stopped" if since is None else "running",
        "cpus": int(vm.config.get("sockets", 1)) * int(vm.config.get("cores", 1)),
        "maxcpu": int(vm.config.get("sockets", 1)) * int(vm.config.get("cores", 1)),
        "maxmem": vm.memory_mib << 20,
        "mem": 0 if since is None else vm.memory_mib << 19,
        "uptime": 0 if since is None else int(call.now - since),
        "cpu": 0 if since is None else 0.01,
    }
    if vm.lock not in UNTOLD:
        told["lock"] = vm.lock
    if "tags" in vm.config:
        told["tags"] = vm.config["tags"]
    state = call.cluster.ha.state(vm.vmid)
    if state:
        told["hastate"] = state
    return told


@handles("GET", "/nodes/{node}/qemu")
def index(call: Call) -> list[dict[str, Any]]:
    here = [vm for vm in call.cluster.vms.values() if vm.node == call.node.name]
    return [summary(call, vm) for vm in here if vm.kind == "qemu"]


@handles("POST", "/nodes/{node}/qemu")
def create(call: Call) -> str:
    vmid, node = call.params["vmid"], call.node
    _may_create(call)
    old = call.cluster.vms.get(vmid)
    if old is not None:
        raise ApiError(
            500, f"unable to create VM {vmid} - VM {vmid} already exists on node '{old.node}'"
        )
    base: dict[str, Any] = {}
    if archive := call.params.get("archive"):
        from metal.lab.proxmox.between import archived

        base = archived(call, archive)
    vm = Vm(vmid, node.name, _config(call, vmid, base), lock="create")
    call.cluster.vms[vmid] = vm
    return call.task("qmcreate", str(vmid), _create(call, vm))


def _may_create(call: Call) -> None:
    """What the schema tells in words only: of the VM, its options, each storage and each bridge."""
    params = call.params
    access.need(call.cluster, call.caller, f"/vms/{params['vmid']}", "VM.Allocate")
    drives = [str(value) for key, value in params.items() if DRIVE.fullmatch(key)]
    storages = {drive.partition(":")[0] for drive in drives if ":" in drive}
    for storage in sorted(storages | ({params["storage"]} if "storage" in params else set())):
        access.need(call.cluster, call.caller, f"/storage/{storage}", "Datastore.AllocateSpace")
    for key, value in params.items():
        if re.fullmatch(r"net\d+", key) and (bridge := _bridge(value)):
            zone = f"/sdn/zones/localnetwork/{bridge}"
            access.need(call.cluster, call.caller, zone, "SDN.Use")
        if privilege := next((p for form, p in CONFIG.items() if re.fullmatch(form, key)), None):
            access.need(call.cluster, call.caller, f"/vms/{params['vmid']}", privilege)


def _bridge(card: str) -> str | None:
    return property_string(card, "model").get("bridge")


def _create(call: Call, vm: Vm) -> Work:
    yield call.dc.pace.stop
    vm.lock = ""
    if call.params.get("start"):
        vms.start(call.dc, call.node, vm, call.caller.name)
    return None


def _config(call: Call, vmid: int, old: dict[str, Any]) -> dict[str, Any]:
    """The VM's configuration with what was asked: disks get volumes, interfaces a MAC."""
    config = old | call.without(*NOT_CONFIG)
    errors: dict[str, str] = {}
    for key in list(config):
        if key in old and config[key] == old[key]:
            continue
        if re.fullmatch(r"net\d+", key):
            config[key] = _net(key, config[key], errors)
        elif DRIVE.fullmatch(key):
            config[key] = _drive(call, vmid, config, key)
    if errors:
        raise bad_parameters(errors)
    return config


def _net(key: str, value: str, errors: dict[str, str]) -> str:
    """model=MAC,bridge=…; a missing MAC is made up."""
    parts = property_string(value, "model")
    unknown = sorted(parts.keys() - NET_KEYS)
    model = parts.pop("model", "") or next((m for m in parts if m in NET_MODELS), "")
    if unknown:
        errors[key] = f"invalid format - format error\n{key}.{unknown[0]}: property is not defined"
    elif model not in NET_MODELS:
        errors[key] = f"invalid format - format error\n{key}.model: property is missing"
    mac = parts.pop(model, "") or parts.pop("macaddr", "") or _mac()
    return ",".join([f"{model}={mac}", *(f"{k}={v}" for k, v in parts.items())])


def _mac() -> str:
    return "BC:24:11:" + ":".join(f"{byte:02X}" for byte in secrets.token_bytes(3))


def _drive(call: Call, vmid: int, config: dict[str, Any], key: str) -> str:
    """STORAGE:GIB allocates a volume; a volume that is there is kept."""
    first, _, options = str(config[key]).partition(",")
    first = first.removeprefix("file=")
    storage, _, what = first.partition(":")
    if first == "none" or not what:
        return str(config[key])
    known = call.cluster.storages.get(storage)
    if known is None:
        raise ApiError(500, f"storage '{storage}' does not exist")
    if "images" not in split_list(known.get("content", "images")):
        raise ApiError(500, f"storage '{storage}' does not support content-type 'images'")
    if not re.fullmatch(r"\d+(\.\d+)?|cloudinit", what):
        return str(config[key])
    taken = " ".join(str(value) for name, value in config.items() if name != key)
    if what == "cloudinit":
        return f"{storage}:vm-{vmid}-cloudinit,media=cdrom"
    number = next(n for n in range(100) if f"vm-{vmid}-disk-{n}" not in taken)
    volume = f"{storage}:vm-{vmid}-disk-{number}"
    return ",".join(part for part in (volume, options, f"size={what}G") if part)


@handles("GET", "/nodes/{node}/qemu/{vmid}")
def subdirs(call: Call) -> list[dict[str, str]]:
    _vm(call)
    return [{"subdir": name} for name in ("config", "status", "migrate")]


@handles("GET", "/nodes/{node}/qemu/{vmid}/config")
def config(call: Call) -> dict[str, Any]:
    vm = _vm(call)
    digest = hashlib.sha1(json.dumps(vm.config, sort_keys=True).encode()).hexdigest()
    return vm.config | {"digest": digest} | ({} if vm.lock in UNTOLD else {"lock": vm.lock})


@handles("PUT", "/nodes/{node}/qemu/{vmid}/config")
def set_config(call: Call) -> None:
    vm = _vm(call)
    _may_skip_lock(call, vm)
    digest = call.params.get("digest")
    if digest and digest != config(call)["digest"]:
        raise ApiError(
            500, "detected modified configuration - file changed by other user? Try again."
        )
    changed = _config(call, vm.vmid, vm.config)
    for name in split_list(call.params.get("delete", "")):
        changed.pop(name, None)
    vm.config = changed


@handles("POST", "/nodes/{node}/qemu/{vmid}/config")
def set_config_in_task(call: Call) -> str:
    set_config(call)

    def work() -> Work:
        yield 0.2
        return None

    return call.task("qmconfig", str(call.params["vmid"]), work())


@handles("GET", "/nodes/{node}/qemu/{vmid}/status/current")
def current(call: Call) -> dict[str, Any]:
    vm = _vm(call)
    told = summary(call, vm)
    state = told.pop("hastate", None)
    ha: dict[str, Any] = {"managed": int(state is not None)}
    if state:
        ha["state"] = call.cluster.ha.resources[f"vm:{vm.vmid}"]["state"]
    return told | {"ha": ha, "qmpstatus": told["status"], "agent": int("agent" in vm.config)}


@handles("GET", "/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces")
def interfaces(call: Call) -> dict[str, Any]:
    vm = _vm(call)
    if "agent" not in vm.config:
        raise ApiError(500, "No QEMU guest agent configured")
    if not vm.copies:
        raise ApiError(500, f"VM {vm.vmid} is not running")
    if vm.agent is None:
        raise ApiError(500, "QEMU guest agent is not running")
    return {"result": vm.agent}


@handles("POST", "/nodes/{node}/qemu/{vmid}/status/start")
def start(call: Call) -> str:
    vm = _vm(call)
    if call.cluster.ha.has(vm.vmid):
        return _through_ha(call, vm, "hastart", "started")
    return vms.start(call.dc, call.node, vm, call.caller.name).upid


@handles("POST", "/nodes/{node}/qemu/{vmid}/status/stop")
def stop(call: Call) -> str:
    vm = _vm(call)
    if call.cluster.ha.has(vm.vmid):
        return _through_ha(call, vm, "hastop", "stopped")
    return vms.stop(call.dc, call.node, vm, call.caller.name).upid


@handles("POST", "/nodes/{node}/qemu/{vmid}/status/shutdown")
def shutdown(call: Call) -> str:
    vm = _vm(call)
    if call.cluster.ha.has(vm.vmid):
        return _through_ha(call, vm, "hastop", "stopped")
    return vms.shutdown(call.dc, call.node, vm, call.caller.name).upid


def _through_ha(call: Call, vm: Vm, kind: str, state: str) -> str:
    """The task only asks the HA manager; it ends before anything happened."""

    def work() -> Work:
        call.cluster.ha.resources[f"vm:{vm.vmid}"]["state"] = state
        yield 0.5
        return None

    return call.task(kind, str(vm.vmid), work())


@handles("GET", "/nodes/{node}/qemu/{vmid}/migrate")
def may_migrate(call: Call) -> dict[str, Any]:
    """As the real one, it lists the allowed nodes among those not allowed too, without a reason."""
    vm = _vm(call)
    if vm.lock:
        raise ApiError(500, f"VM is locked ({vm.lock})")
    others = [n for n in call.cluster.members if n != call.node.name]
    missing = {name: _missing_storages(call, vm, name) for name in others}
    return {
        "running": int(bool(vm.copies)),
        "has-dbus-vmstate": 0,
        "allowed_nodes": [name for name in others if not missing[name]],
        "not_allowed_nodes": {
            name: {"unavailable_storages": lacks} if lacks else {}
            for name, lacks in missing.items()
        },
        "local_disks": _local_disks(call, vm),
        "local_resources": [],
        "mapped-resources": [],
        "mapped-resource-info": {},
    }


@handles("POST", "/nodes/{node}/qemu/{vmid}/migrate")
def migrate(call: Call) -> str:
    vm, params = _vm(call), call.params
    root_only = {"force", "migration_type", "migration_network"} & params.keys()
    if root_only and call.caller.name != "root@pam":
        name = min(root_only)
        raise bad_parameters({name: f"Only root may use the {name} option."})
    target = _target(call, params["target"])
    running = bool(vm.copies)
    managed = call.cluster.ha.has(vm.vmid)
    if running and not managed and not params.get("online"):
        raise bad_parameters({"online": "Can't migrate running VM without --online"})
    if managed:
        return call.task("hamigrate", str(vm.vmid), _queue_migration(call, vm, target))
    local = [d for d in _local_disks(call, vm) if not d["cdrom"]]
    if running and local and not params.get("with-local-disks"):
        return call.task("qmigrate", str(vm.vmid), _refuse(local))
    task = vms.migrate(
        call.dc, call.node, vm, target, call.caller.name, online=bool(params.get("online"))
    )
    return task.upid


def _target(call: Call, name: str) -> Node:
    if name == call.node.name:
        raise bad_parameters({"target": "target is local node."})
    target = call.cluster.members.get(name)
    if target is None:
        raise ApiError(500, f"no such cluster node '{name}'")
    if target not in call.node.partition(call.now):
        raise ApiError(500, f"target node '{name}' is offline")
    return target


def _queue_migration(call: Call, vm: Vm, target: Node) -> Work:
    call.cluster.ha.command("migrate", f"vm:{vm.vmid}", target.name)
    yield 0.5
    return None


def _refuse(disks: list[dict[str, Any]]) -> Work:
    yield 0.5
    raise TaskError(
        f"Problem found while scanning volumes - can't live migrate attached local disks without "
        f"with-local-disks option ({disks[0]['volid']})"
    )


def _local_disks(call: Call, vm: Vm) -> list[dict[str, Any]]:
    found = []
    for key, value in vm.config.items():
        if DRIVE.fullmatch(key):
            volume = str(value).partition(",")[0]
            storage = call.cluster.storages.get(volume.partition(":")[0], {})
            if ":" in volume and not storage.get("shared"):
                size = re.search(r"size=(\d+)G", str(value))
                found.append(
                    {
                        "volid": volume,
                        "drivename": key,
                        "size": int(size[1]) << 30 if size else 4 << 20,
                        "cdrom": int("media=cdrom" in str(value)),
                        "is_unused": 0,
                    }
                )
    return found


def _missing_storages(call: Call, vm: Vm, node: str) -> list[str]:
    """Storages of its disks that are not for that node."""
    used = {str(v).partition(":")[0] for key, v in vm.config.items() if DRIVE.fullmatch(key)}
    storages = call.cluster.storages
    return sorted(
        name
        for name in used & storages.keys()
        if node not in split_list(str(storages[name].get("nodes", node)))
    )


@handles("DELETE", "/nodes/{node}/qemu/{vmid}")
def destroy(call: Call) -> str:
    vm = _vm(call)
    _may_skip_lock(call, vm)
    if call.cluster.ha.has(vm.vmid) and not call.params.get("purge"):
        raise ApiError(
            500, "unable to remove VM, used in HA resources and purge parameter not set."
        )
    if vm.copies:
        raise ApiError(500, f"VM {vm.vmid} is running - destroy failed")
    call.cluster.ha.resources.pop(f"vm:{vm.vmid}", None)
    return call.task("qmdestroy", str(vm.vmid), _destroy(call, vm))


def _may_skip_lock(call: Call, vm: Vm) -> None:
    skips = bool(call.params.get("skiplock"))
    if skips and call.caller.name != "root@pam":
        raise bad_parameters({"skiplock": "Only root may use this option."})
    if vm.lock and not skips:
        raise ApiError(500, f"VM is locked ({vm.lock})")


def _destroy(call: Call, vm: Vm) -> Work:
    vm.lock = DESTROYING
    yield call.dc.pace.stop
    call.cluster.vms.pop(vm.vmid, None)
    return None


@handles("POST", "/nodes/{node}/migrateall")
def migrate_all(call: Call) -> str:
    target = _target(call, call.params["target"])
    return call.task("migrateall", "", _migrate_all(call, target))


def _migrate_all(call: Call, target: Node) -> Work:
    chosen = [int(v) for v in split_list(str(call.params.get("vms", "")))]
    here = [vm for vm in call.cluster.vms.values() if vm.node == call.node.name]
    failed = 0
    for vm in here:
        if chosen and vm.vmid not in chosen:
            continue
        if call.cluster.ha.has(vm.vmid):
            call.cluster.ha.command("migrate", f"vm:{vm.vmid}", target.name)
            continue
        task = vms.migrate(call.dc, call.node, vm, target, call.caller.name, online=True)
        while task.ended is None:
            yield 1
        failed += task.exit_status != "OK"
    yield 0.5
    if failed:
        raise TaskError("Some guests failed to migrate")
    return None
