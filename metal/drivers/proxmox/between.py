"""A VM goes to another cluster: sent by Proxmox itself, or by way of a backup that both reach.

Nothing here starts a VM where another copy of it might run: whoever sends one looks first.
"""

from collections.abc import Mapping
from typing import Any

from metal.drivers.proxmox import guests
from metal.drivers.proxmox.api import Api
from metal.drivers.proxmox.configs import disk_of
from metal.drivers.proxmox.fullness import refuse_full
from metal.drivers.proxmox.node import ApiError
from metal.model.backup import Backup
from metal.model.errors import Failed, Refused
from metal.model.hypervisor import Holding, Landing

NOTE = "{{guestname}}"
"""As Proxmox's own backup jobs note it: by its name a VM is found when its cluster is no more."""

SAME_STORAGE: Mapping[str, tuple[str, ...]] = {
    "pbs": ("server", "datastore", "namespace"),
    "nfs": ("server", "export"),
    "cifs": ("server", "share"),
    "cephfs": ("monhost", "fs-name", "subdir"),
}
"""By what a storage that two clusters have is known to be the same one."""


def holding(api: Api, vmid: int) -> Holding | None:
    """What is there of the VM; None: nothing."""
    row = guests.row_of(api, vmid)
    if row is None:
        return None
    node = str(row["node"])
    config: dict[str, Any] = api.get(f"nodes/{node}/qemu/{vmid}/config")
    status = api.get(f"nodes/{node}/qemu/{vmid}/status/current")
    return Holding(
        node=node,
        name=str(config.get("name", "")),
        state=guests.state_of(status),
        lock=str(config.get("lock") or status.get("lock") or ""),
        disk_gib=disk_of(config) or 0,
        onboot=bool(int(config.get("onboot") or 0)),
        ha=_comment(api, vmid),
    )


def landing(api: Api, node: str, token: str, storage: str, disk_gib: int) -> Landing:
    """Where a VM may come in on `node`; Refused where it has no room or no bridge for it."""
    chosen = api.nodes[node]
    rows = api.get(f"nodes/{node}/network", type="any_bridge")
    if not any(row["iface"] == guests.BRIDGE for row in rows):
        raise Refused(
            f"it has no bridge {guests.BRIDGE}", where=node, mend="make one, aware of VLANs"
        )
    refuse_full(api, node, storage, disk_gib << 30)
    return Landing(
        node=node,
        address=chosen.access.address,
        port=chosen.access.port,
        fingerprint=chosen.access.pin,
        token=token,
        storage=storage,
        bridge=guests.BRIDGE,
    )


def ensure_released(api: Api, vmid: int) -> None:
    """HA leaves it alone, and its node does not start it at boot. It runs on."""
    ensure_onboot(api, vmid, on=False)
    api.settle(
        lambda: vmid not in guests.ha_managed(api),
        lambda: api.delete(f"cluster/ha/resources/vm:{vmid}"),
        late=f"HA still manages VM {vmid}",
    )


def ensure_kept(api: Api, vmid: int, ha: str | None, *, onboot: bool, running: bool = True) -> None:
    """HA manages it, and remembers `ha`, where that is not None; its node starts it at boot."""
    if onboot:
        ensure_onboot(api, vmid, on=True)
    if ha is not None:
        guests.ensure_ha(api, vmid, ha, running=running)


def ensure_onboot(api: Api, vmid: int, *, on: bool) -> None:
    path = f"nodes/{guests.there(api, vmid)['node']}/qemu/{vmid}/config"
    api.settle(
        lambda: bool(int(api.get(path).get("onboot") or 0)) == on,
        lambda: api.put(path, {"onboot": int(on)}),
        late=f"whether VM {vmid} starts with its node could not be set",
    )


def _comment(api: Api, vmid: int) -> str | None:
    rows = api.get("cluster/ha/resources")
    row = next((r for r in rows if r["sid"] == f"vm:{vmid}"), None)
    return None if row is None else str(row.get("comment") or "")


def send(api: Api, vmid: int, to: Landing, *, running: bool) -> None:
    """Proxmox sends it, live if it runs; ours stays behind, stopped. Not to be asked twice."""
    node = str(guests.there(api, vmid)["node"])
    endpoint = (
        f"host={to.address},port={to.port},apitoken=PVEAPIToken={to.token},"
        f"fingerprint={to.fingerprint}"
    )
    wanted: dict[str, Any] = {
        "target-endpoint": endpoint,
        "target-storage": to.storage,
        "target-bridge": to.bridge,
        "target-vmid": vmid,
    }
    if running:
        wanted["online"] = 1
    wanted |= _limit(to.limit_kib)
    api.run(f"nodes/{node}/qemu/{vmid}/remote_migrate", wanted, api.patience.cross)


def is_sending(api: Api, vmid: int) -> bool:
    """Running tasks are listed among those that ended lately, which have an end."""
    path = f"nodes/{guests.there(api, vmid)['node']}/tasks"
    rows = api.get(path, source="active", typefilter="qmigrate", vmid=vmid)
    return any(row.get("endtime") is None for row in rows)


# ── by way of a backup ──────────────────────────────────────────────────────────────────────────


def backup_storages(api: Api) -> dict[str, tuple[str, ...]]:
    """Storage for backups that other clusters can reach → by what it is known there."""
    found = {}
    for row in api.get("storage"):
        keys = SAME_STORAGE.get(str(row["type"]))
        if keys and "backup" in str(row.get("content", "")).split(","):
            found[str(row["storage"])] = (row["type"], *(str(row.get(k, "")) for k in keys))
    return found


def backups(api: Api, storage: str) -> tuple[Backup, ...]:
    """Of VMs; a container's is left out. The name is in the note, where there is one.

    Failed where the storage is not active: what it lists then may be what is left of a mount.
    """
    node = api.node().name
    if not api.get(f"nodes/{node}/storage/{storage}/status").get("active"):
        raise Failed("it is not active", where=f"{node}, storage {storage}")
    return tuple(
        Backup(
            storage=storage,
            name=str(row["volid"]).partition(":")[2],
            vmid=int(row["vmid"]),
            called=str(row.get("notes") or "").partition("\n")[0].strip(),
            made=float(row["ctime"]),
            flaw=_flaw(row),
            verified=_verification(row) == "ok",
        )
        for row in _content(api, node, storage)
        if row.get("vmid") and row.get("subtype", "qemu") == "qemu"
    )


def _flaw(row: dict[str, Any]) -> str:
    if not row.get("size"):
        return "it is empty"
    state = _verification(row)
    return "" if state in ("", "ok") else f"its verification says {state}"


def _verification(row: dict[str, Any]) -> str:
    """PBS's verdict: "ok" or "failed"; "" where there is none."""
    return str((row.get("verification") or {}).get("state", ""))


def back_up(api: Api, vmid: int, storage: str, limit_kib: int = 0) -> str:
    """A new backup of a VM that is stopped: its name on the storage, without the storage's."""
    held = holding(api, vmid)
    if held is None or held.state != "stopped":
        raise Refused(f"VM {vmid} is not stopped", where=storage)
    before = _backups(api, held.node, vmid, storage)
    given = {"vmid": str(vmid), "storage": storage, "mode": "stop", "compress": "zstd"}
    given["notes-template"] = NOTE
    api.run(f"nodes/{held.node}/vzdump", given | _limit(limit_kib), api.patience.cross)
    new = _backups(api, held.node, vmid, storage) - before
    if not new:
        raise Failed(f"no backup of VM {vmid} came of it", where=storage, mend="see its task log")
    return max(new)


def restore(api: Api, vmid: int, to: Landing, storage: str, backup: str) -> None:
    given = {"vmid": vmid, "archive": f"{storage}:{backup}", "storage": to.storage}
    api.run(f"nodes/{to.node}/qemu", given | _limit(to.limit_kib), api.patience.cross)


def _limit(kib: int) -> dict[str, Any]:
    """Left out, the datacenter's own limit holds; 0 would be none at all."""
    return {"bwlimit": kib} if kib else {}


def _backups(api: Api, node: str, vmid: int, storage: str) -> set[str]:
    rows = _content(api, node, storage, vmid=vmid)
    return {str(row["volid"]).partition(":")[2] for row in rows}


def _content(api: Api, node: str, storage: str, **more: int) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = api.get(
            f"nodes/{node}/storage/{storage}/content", content="backup", **more
        )
    except ApiError as error:
        raise Failed(error.message, where=f"{node}, storage {storage}") from error
    return found
