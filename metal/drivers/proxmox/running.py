"""VMs found, started and moved live, wherever the cluster has put them."""

from typing import Any

from metal.drivers.proxmox import guests
from metal.drivers.proxmox.api import Api
from metal.drivers.proxmox.fullness import refuse_full
from metal.drivers.proxmox.node import ApiError
from metal.drivers.proxmox.preflight import forbidden, unfit
from metal.drivers.proxmox.settings import KIB
from metal.model.errors import Failed, Refused, Unreachable
from metal.model.world import VmState

CALM = 5
"""Looks without a sign of a migration before it counts as given up."""


def ensure_started(api: Api, vmid: int) -> None:
    if where(api, vmid)[1] == "running":
        return
    if vmid in guests.ha_managed(api):
        resource = f"cluster/ha/resources/vm:{vmid}"
        api.settle(
            lambda: api.get(resource).get("state", "started") == "started",
            lambda: api.put(resource, {"state": "started"}),
            late=f"the HA manager does not want VM {vmid} started",
        )
    else:
        node = where(api, vmid)[0]
        api.settle(
            lambda: where(api, vmid)[1] == "running",
            lambda: api.run(f"nodes/{node}/qemu/{vmid}/status/start"),
            late=f"VM {vmid} does not run",
        )
    until_at(api, vmid, None, api.patience.start)


def ensure_migrated(api: Api, vmid: int, target: str, mib_s: int = 0) -> None:
    """`mib_s` binds what HA does not manage: HA goes by the cluster's own limit."""
    node, state = where(api, vmid)
    if node == target and state != "unknown":
        return
    if not api.standing().nodes.get(target, False):
        raise Refused(
            f"VM {vmid} cannot move to {target}: that node is not online",
            where=node,
            mend="choose another target: plan again",
        )

    def move() -> None:
        params = _allowed(api, node, vmid, target, running=state == "running")
        if mib_s:
            params["bwlimit"] = mib_s * KIB
        api.run(f"nodes/{node}/qemu/{vmid}/migrate", params, api.patience.migrate)

    # Of a VM that is locked, such as by a migration on its way, Proxmox does not even say where
    # it may go.
    api.settle(
        lambda: where(api, vmid)[0] == target or _moving(api, vmid),
        move,
        late=f"VM {vmid} does not move to {target}",
    )
    # For an HA VM the task has only queued a request.
    until_at(api, vmid, target, api.patience.migrate, running=state == "running")


def _allowed(api: Api, node: str, vmid: int, target: str, *, running: bool) -> dict[str, Any]:
    """What the migration is asked with; Refused, with Proxmox's own reasons, where it would fail.

    Disks on the node's own storage are copied with the VM, if there is room for them.
    """
    params: dict[str, Any] = {"target": target}
    if running:
        params["online"] = 1
    told = api.get(f"nodes/{node}/qemu/{vmid}/migrate", target=target)
    if reasons := [
        *forbidden(told, target, running=running),
        *unfit(api, node, vmid, target, running=running),
    ]:
        raise Refused(
            f"VM {vmid} cannot move to {target}: {'; '.join(reasons)}",
            where=node,
            mend="mend that, or choose another target",
        )
    local = [d for d in told.get("local_disks") or [] if not d.get("cdrom")]
    copied: dict[str, int] = {}
    for disk in local:
        storage = str(disk["volid"]).partition(":")[0]
        copied[storage] = copied.get(storage, 0) + int(disk.get("size") or 0)
    for storage, size in copied.items():
        refuse_full(api, target, storage, size)
    if running and local:
        params["with-local-disks"] = 1
    return params


def where(api: Api, vmid: int) -> tuple[str, VmState]:
    """Asks the node itself: the cluster's own list lags ten seconds behind.

    HA may move the VM between the two questions: then the list names another node already.
    """
    node, state = _where(api, vmid)
    if state == "unknown" and str(guests.there(api, vmid)["node"]) != node:
        return _where(api, vmid)
    return node, state


def _where(api: Api, vmid: int) -> tuple[str, VmState]:
    online = api.standing().nodes
    row = guests.there(api, vmid)
    node = str(row["node"])
    if not online.get(node, False):
        return node, "unknown"
    try:
        return node, guests.state_of(api.get(f"nodes/{node}/{row['type']}/{vmid}/status/current"))
    except (Unreachable, ApiError):
        # It has just left, or the node is going down this moment.
        return node, "unknown"


def _moving(api: Api, vmid: int) -> bool:
    """A migration is on its way already: asked for before a crash of ours."""
    service = _service(api, vmid)
    row = guests.row_of(api, vmid) or {}
    return row.get("lock") == "migrate" or service.get("state") in ("migrate", "relocate")


def _service(api: Api, vmid: int) -> dict[str, Any]:
    current = api.get("cluster/ha/status/current")
    return next((row for row in current if row.get("sid") == f"vm:{vmid}"), {})


def until_at(
    api: Api, vmid: int, node: str | None, seconds: float, *, running: bool = True
) -> None:
    """Until the VM is at `node` (None: anywhere), running if it should."""

    calm = 0  # looks in a row without any sign of a migration on its way
    started_moving = False

    def there() -> bool:
        nonlocal calm, started_moving
        at, state = where(api, vmid)
        if node not in (None, at):
            moving = _moving(api, vmid)
            started_moving, calm = started_moving or moving, 0 if moving else calm + 1
            if started_moving and calm >= CALM:
                raise Failed(
                    f"VM {vmid} did not move to {node}: its migration ended without it",
                    where=at,
                    mend="its task log there says why; it runs on where it was",
                )
        if _service(api, vmid).get("state") == "error":
            raise Failed(
                f"the HA manager gave up on VM {vmid}",
                where=at,
                mend=f"see its task log, then: ha-manager set vm:{vmid} --state disabled, "
                "and the same with started",
            )
        return node in (None, at) and (state == "running" or not running)

    wanted = f"runs on {node}" if node else "runs"
    try:
        api.patience.until(there, seconds=seconds, late=f"VM {vmid} {wanted}: not seen")
    except Unreachable as error:
        raise Unreachable(f"whether VM {vmid} {wanted} is unknown: {error.what}") from error
