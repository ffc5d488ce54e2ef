"""Calls by which a VM goes to another cluster: sent to it, or by way of a backup."""

from __future__ import annotations

import re
from typing import Any

from metal.lab.proxmox import access, vms
from metal.lab.proxmox.calls import Call, handles
from metal.lab.proxmox.errors import ApiError, TaskError, bad_parameters
from metal.lab.proxmox.formats import split_list
from metal.lab.proxmox.qemu import DRIVE
from metal.lab.proxmox.state import Cluster, Node, Vm
from metal.lab.proxmox.tasks import Work

ENDPOINT = re.compile(r"(host|port|apitoken|fingerprint)=")
NEEDED = {"Sys.Incoming": "/", "VM.Allocate": "/vms"}
"""What the token must have in the other cluster, and where."""
KNOWN_BY = {"nfs": ("server", "export"), "pbs": ("server", "datastore")}


@handles("POST", "/nodes/{node}/qemu/{vmid}/remote_migrate")
def remote_migrate(call: Call) -> str:
    vm, params = _vm(call), call.params
    if call.cluster.ha.has(vm.vmid):
        raise ApiError(500, f"unable to migrate HA managed VM {vm.vmid} to a remote cluster")
    if vm.copies and not params.get("online"):
        raise bad_parameters({"online": "Can't migrate running VM without --online"})
    target = _let_in(call, _endpoint(params["target-endpoint"]))
    storage = params["target-storage"]
    if storage not in target.cluster.storages:
        raise ApiError(500, f"remote: storage '{storage}' does not exist")
    vmid = params.get("target-vmid", vm.vmid)
    new = Vm(vmid, target.name, _moved(vm.config, storage), agent=vm.agent)
    delete = bool(params.get("delete"))
    return vms.send(call.dc, call.node, vm, target, new, call.caller.name, delete=delete).upid


def _endpoint(text: str) -> dict[str, str]:
    """Its values hold "=" themselves: each goes on to the next key."""
    keys = [*ENDPOINT.finditer(text)]
    ends = [key.start() - 1 for key in keys[1:]] + [len(text)]
    return {k[1]: text[k.end() : end] for k, end in zip(keys, ends, strict=True)}


def _let_in(call: Call, to: dict[str, str]) -> Node:
    target = call.dc.node_at(to["host"])
    if target is None or str(target.port) != to.get("port", "8006"):
        raise ApiError(500, f"failed to connect to {to['host']}: no route to host")
    if to.get("fingerprint", "").upper() != target.certificate.fingerprint:
        raise ApiError(500, "remote: certificate verify failed")
    try:
        caller = access.identify(target.cluster, "GET", {"authorization": to["apitoken"]})
    except ApiError as error:  # what the other cluster says is no answer about our own login
        raise ApiError(500, f"remote: {error.message}") from error
    for privilege, path in NEEDED.items():
        if not access.has(target.cluster, caller, path, privilege):
            raise ApiError(500, f"remote: Permission check failed ({path}, {privilege})")
    return target


def _moved(config: dict[str, Any], storage: str) -> dict[str, Any]:
    """The configuration with its disks on another storage."""
    return {
        key: re.sub(r"^[^:,]+:", f"{storage}:", str(value)) if DRIVE.fullmatch(key) else value
        for key, value in config.items()
    }


# ── backups ─────────────────────────────────────────────────────────────────────────────────────


@handles("POST", "/nodes/{node}/vzdump")
def vzdump(call: Call) -> str:
    wanted = [int(v) for v in split_list(str(call.params.get("vmid", "")))]
    access.need(call.cluster, call.caller, f"/vms/{wanted[0]}", "VM.Backup")
    storage = f"/storage/{call.params['storage']}"
    access.need(call.cluster, call.caller, storage, "Datastore.AllocateSpace")
    return call.task("vzdump", str(wanted[0]), _vzdump(call, wanted[0]))


def _vzdump(call: Call, vmid: int) -> Work:
    vm = call.cluster.vms.get(vmid)
    if vm is None or vm.node != call.node.name:
        raise TaskError(f"unable to find VM {vmid}")
    kept = call.dc.backups.setdefault(_known_by(call.cluster, call.params["storage"]), [])
    vm.lock = "backup"
    yield call.dc.pace.migrate
    vm.lock = ""
    name = f"backup/vzdump-qemu-{vmid}-{len(kept):04d}.vma.zst"
    kept.append((name, vmid, dict(vm.config)))
    note = str(call.params.get("notes-template", ""))
    call.dc.notes[name] = note.replace("{{guestname}}", str(vm.config.get("name", "")))
    return None


@handles("GET", "/nodes/{node}/storage/{storage}/content")
def content(call: Call) -> list[dict[str, Any]]:
    """Backups only: what VM disks lie there nobody asks."""
    storage, vmid = call.params["storage"], call.params.get("vmid")
    return [
        {"volid": f"{storage}:{name}", "format": "vma.zst", "size": 1 << 30, "vmid": whose}
        | {"content": "backup", "subtype": "qemu", "ctime": 1_800_000_000 + number}
        | ({"notes": note} if (note := call.dc.notes.get(name)) else {})
        | call.dc.backup_signs.get(name, {})
        for number, (name, whose, _) in enumerate(
            call.dc.backups.get(_known_by(call.cluster, storage), [])
        )
        if vmid in (None, whose) and call.params.get("content", "backup") == "backup"
    ]


def archived(call: Call, archive: str) -> dict[str, Any]:
    """The configuration in a backup, its disks on the storage that is asked for."""
    storage, _, name = archive.partition(":")
    for known, _, config in call.dc.backups.get(_known_by(call.cluster, storage), []):
        if known == name:
            return _moved(config, call.params.get("storage", storage))
    raise ApiError(500, f"volume '{archive}' does not exist")


def _known_by(cluster: Cluster, storage: str) -> tuple[str, ...]:
    row = cluster.storages.get(storage)
    if row is None:
        raise ApiError(500, f"storage '{storage}' does not exist")
    return (row["type"], *(str(row.get(key, "")) for key in KNOWN_BY.get(row["type"], ())))


def _vm(call: Call) -> Vm:
    vm = call.cluster.vms.get(call.params["vmid"])
    if vm is None or vm.node != call.node.name:
        raise ApiError(500, f"Configuration file '{call.params['vmid']}.conf' does not exist")
    return vm
