"""Ceph on the nodes: monitors, managers, OSDs and the VMs' pool. Packages are the installer's."""

from typing import Any

from metal.drivers.proxmox.api import Api
from metal.drivers.proxmox.crush import MIN_SIZE, SIZE
from metal.drivers.proxmox.fullness import FULL
from metal.drivers.proxmox.node import ApiError
from metal.drivers.proxmox.slowness import slow_osds
from metal.model.errors import Failed, Refused

FULL_CHECKS = frozenset(
    {
        "OSD_NEARFULL",
        "OSD_BACKFILLFULL",
        "OSD_FULL",
        "POOL_NEARFULL",
        "POOL_BACKFILLFULL",
        "POOL_FULL",
    }
)
"""What Ceph says when an OSD is past 0.85, 0.90 and 0.95, or a pool on such."""


def ensure_ceph(api: Api, node: str, *, first: bool, network: str, replication: str = "") -> None:
    if first:
        # Answers null, and keeps existing settings: safe to repeat.
        apart = {"cluster-network": replication} if replication else {}
        api.post(f"nodes/{node}/ceph/init", {"network": network, **apart})
    for kind in ("mon", "mgr"):
        path = f"nodes/{node}/ceph/{kind}"

        def there(path: str = path) -> bool:
            return any(row["name"] == node for row in _rows(api, path))

        def create(path: str = path) -> None:
            api.run(f"{path}/{node}")

        api.settle(there, create, late=f"{node} has no {kind}")


def unused_disks(api: Api, node: str) -> tuple[str, ...]:
    rows = api.get(f"nodes/{node}/disks/list", skipsmart=1)
    return tuple(sorted(d["devpath"] for d in rows if not d.get("used") and not _osd(d)))


def ensure_osd(api: Api, node: str, device: str, serial: str | None) -> None:
    disk = _disk(api, node, device, serial)
    if _osd(disk):
        _tell_open(api, node, disk)
        return
    if disk.get("used"):
        raise Refused(
            f"{disk['devpath']} is in use ({disk['used']}), so no OSD is made of it",
            where=node,
            mend=f"if nothing on it is needed, wipe it there: "
            f"pvesh set /nodes/{node}/disks/wipedisk --disk {disk['devpath']}",
        )
    api.settle(
        lambda: _osd(_disk(api, node, device, serial)),
        lambda: api.run(f"nodes/{node}/ceph/osd", {"dev": disk["devpath"], "encrypted": 1}),
        late=f"{disk['devpath']} of {node} is no OSD",
        looked=True,
    )


def _tell_open(api: Api, node: str, disk: dict[str, Any]) -> None:
    """An OSD that somebody made before: whoever takes the disk home can read it."""
    if disk.get("osdencrypted") is not None and not int(disk["osdencrypted"]):
        api.warn(
            f"{node}: the OSD on {disk['devpath']} is not encrypted; make it anew, one after the "
            "other, with Ceph healthy in between"
        )


def ensure_pool(api: Api, name: str) -> None:
    node = api.node().name
    path = f"nodes/{node}/ceph/pool"

    found: dict[str, Any] = {}

    def there() -> bool:
        row = next((row for row in _rows(api, path) if row["pool_name"] == name), {})
        found.update(row)
        return bool(row)

    def create() -> None:
        wanted = {"name": name, "size": SIZE, "min_size": MIN_SIZE, "add_storages": 1}
        api.run(path, {**wanted, "application": "rbd"})

    api.settle(there, create, late=f"there is no pool {name}")
    if (found.get("size"), found.get("min_size")) != (SIZE, MIN_SIZE):
        raise Refused(
            f"the pool {name} keeps {found.get('size')} copies and wants {found.get('min_size')}"
            f" to write; {SIZE} and {MIN_SIZE} are needed",
            where=node,
            mend=f"set them: pveceph pool set {name} --size {SIZE} --min_size {MIN_SIZE}",
        )
    api.settle(
        lambda: any(s["storage"] == name for s in api.get("storage")),
        lambda: api.post(
            "storage", {"storage": name, "type": "rbd", "pool": name, "content": "images,rootdir"}
        ),
        late=f"there is no storage {name}",
    )


def pool_of(api: Api, storage: str) -> str:
    """The pool that a storage of RBD images is on; "" where it is on none."""
    row: dict[str, Any] = next((s for s in api.get("storage") if s["storage"] == storage), {})
    return str(row.get("pool") or "rbd") if row.get("type") == "rbd" else ""


def unset(error: ApiError) -> bool:
    """There is no Ceph there, or nobody has set it up."""
    signs = ("not initialized", "not installed", "no such file")
    return any(sign in error.message.lower() for sign in signs)


def seen(api: Api) -> dict[str, Any]:
    """What a look tells of Ceph: metal.model.world.SeenCluster's `ceph_…`, in one call, and one
    more where an OSD is slow."""
    try:
        status = api.get("cluster/ceph/status")
    except ApiError as error:
        return {"ceph_osds": 0 if unset(error) else None}
    found = {"ceph_osds": _osds(status), "ceph_full": _full(status)}
    return {**found, "ceph_slow": slow_osds(api, status)}


def _osds(status: dict[str, Any]) -> int | None:
    """OSDs that are up and in; None when it does not say."""
    counts = status.get("osdmap") or {}
    counts = counts.get("osdmap", counts)  # nested until Ceph 14
    try:
        return min(int(counts["num_up_osds"]), int(counts["num_in_osds"]))
    except (KeyError, TypeError, ValueError):
        return None


def _full(status: dict[str, Any]) -> bool | None:
    """By its own complaints first: one OSD that is full stops the pool, whatever the sum says."""
    if FULL_CHECKS & set((status.get("health") or {}).get("checks") or {}):
        return True
    sums = status.get("pgmap") or {}
    try:
        used, total = int(sums["bytes_used"]), int(sums["bytes_total"])
    except (KeyError, TypeError, ValueError):
        return None
    return used >= FULL["rbd"] * total if total else None


def _rows(api: Api, path: str) -> list[dict[str, Any]]:
    return list(api.get(path) or [])


def _osd(disk: dict[str, Any]) -> bool:
    return int(disk.get("osdid", -1)) >= 0 or bool(disk.get("osdid-list"))


def _disk(api: Api, node: str, device: str, serial: str | None) -> dict[str, Any]:
    """By serial if that is known, for kernel names change from boot to boot; else by name."""
    rows: list[dict[str, Any]] = api.get(f"nodes/{node}/disks/list", skipsmart=1)
    known = {str(row["serial"]): row for row in rows if row.get("serial")}
    if serial and serial in known:
        return known[serial]
    path = device if device.startswith("/") else f"/dev/{device}"
    found = next((row for row in rows if row["devpath"] == path), None)
    if found is None or (serial and found.get("serial") not in (None, "", "unknown", serial)):
        listed = ", ".join(f"{r['devpath']} ({r.get('serial', 'no serial')})" for r in rows)
        raise Failed(
            f"no disk {device}" + (f" with serial {serial}" if serial else ""),
            where=node,
            mend=f"correct its disks in inventory.toml; it has {listed or 'none'}",
        )
    return found
