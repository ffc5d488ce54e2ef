"""Whether a storage has room for what is about to be put on it."""

from metal.drivers.proxmox.api import Api
from metal.model.errors import Refused

FULL = {"rbd": 0.85, "cephfs": 0.85}
"""Ceph warns from there on, and stops all writes of everybody at 0.95."""
OTHERS = 0.95


def refuse_full(api: Api, node: str, storage: str, size: int = 0) -> None:
    """Refused when `size` more bytes would fill the storage as `node` sees it.

    A size of 0 asks whether it is nearly full now: disks that are thin grow later.
    """
    told = api.get(f"nodes/{node}/storage/{storage}/status")
    total, used = int(told.get("total") or 0), int(told.get("used") or 0)
    limit = FULL.get(str(told.get("type")), OTHERS)
    if not total or used + size <= limit * total:
        return
    after = f", and {(used + size) * 100 // total} % with {size >> 30} GiB more" if size else ""
    raise Refused(
        f"its storage {storage} is {used * 100 // total} % full{after}; {limit:.0%} is the limit",
        where=node,
        mend="free room, or add disks (OSDs) before anything more is put there",
    )
