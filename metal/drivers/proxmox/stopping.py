"""VMs stopped and removed, and what a node has for them."""

from metal.drivers.proxmox.api import Api
from metal.drivers.proxmox.guests import ha_managed, rows
from metal.drivers.proxmox.node import SKIP
from metal.drivers.proxmox.running import where
from metal.model.errors import Failed, Refused
from metal.model.hypervisor import HostResources


def ensure_shut_down(api: Api, vmid: int, seconds: float) -> None:
    if where(api, vmid)[1] == "stopped":
        return
    if vmid in ha_managed(api):
        _unwant(api, vmid)
    else:
        node = where(api, vmid)[0]
        path = f"nodes/{node}/qemu/{vmid}/status/shutdown"
        try:
            api.run(path, {"timeout": max(1, round(seconds))}, seconds + api.patience.answer)
        except Failed as error:
            raise Failed(
                f"the system of VM {vmid} did not shut down: {error.what}",
                where=node,
                mend="its console tells why; or cut its power",
            ) from error
    _until_stopped(api, vmid, seconds)


def ensure_off(api: Api, vmid: int) -> None:
    """For an HA VM the manager does it, in its next round: it would start it again otherwise."""
    if where(api, vmid)[1] == "stopped":
        return
    node = where(api, vmid)[0]
    if vmid in ha_managed(api):
        _unwant(api, vmid)
    else:
        api.settle(
            lambda: where(api, vmid)[1] == "stopped",
            lambda: api.run(f"nodes/{node}/qemu/{vmid}/status/stop"),
            late=f"VM {vmid} does not stop",
        )
    _until_stopped(api, vmid, api.patience.start)


def ensure_removed(api: Api, vmid: int) -> None:
    _ensure_removed(api, vmid, {})


def ensure_sent_removed(api: Api, vmid: int) -> None:
    """What a migration to another cluster left here. Proxmox leaves it locked, and only root may
    remove what is."""
    if not _there(api, vmid):
        return
    path = f"nodes/{where(api, vmid)[0]}/qemu/{vmid}/config"
    sent = api.get(path).get("lock") == "migrate"
    _ensure_removed(api, vmid, {SKIP: 1} if sent else {})


def _ensure_removed(api: Api, vmid: int, more: dict[str, int]) -> None:
    if not _there(api, vmid):
        return
    node, state = where(api, vmid)
    if state != "stopped":
        raise Refused(f"VM {vmid} is {state}", where=node, mend="stop it first, if you mean it")
    purge = {"purge": 1, "destroy-unreferenced-disks": 0, **more}
    api.settle(
        lambda: not _there(api, vmid),
        lambda: api.follow(str(api.delete(f"nodes/{node}/qemu/{vmid}", purge))),
        late=f"VM {vmid} is still there",
    )


def resources(api: Api, node: str) -> HostResources:
    told = api.get(f"nodes/{node}/status")
    return HostResources(
        threads=int(told["cpuinfo"]["cpus"]),
        memory_mib=int(told["memory"]["total"]) >> 20,
        memory_free_mib=int(told["memory"]["free"]) >> 20,
        version=str(told["pveversion"]),
        cpu=told["cpuinfo"].get("model"),
        flags=tuple(str(told["cpuinfo"].get("flags") or "").split()),
    )


def written(api: Api, vmid: int) -> int | None:
    node = where(api, vmid)[0]
    told = api.get(f"nodes/{node}/qemu/{vmid}/status/current").get("diskwrite")
    return None if told is None else int(told)


def _there(api: Api, vmid: int) -> bool:
    return any(int(row["vmid"]) == vmid for row in rows(api))


def _unwant(api: Api, vmid: int) -> None:
    resource = f"cluster/ha/resources/vm:{vmid}"
    api.settle(
        lambda: api.get(resource).get("state", "started") == "stopped",
        lambda: api.put(resource, {"state": "stopped"}),
        late=f"the HA manager wants VM {vmid} to run",
    )


def _until_stopped(api: Api, vmid: int, seconds: float) -> None:
    api.patience.until(
        lambda: where(api, vmid)[1] == "stopped",
        seconds=seconds,
        late=f"VM {vmid} was not seen stopped",
    )
