"""Adopted VMs as inventory tables: sizes and addresses."""

from collections.abc import Iterator
from ipaddress import ip_interface
from typing import Any

from metal.cluster.adopting.naming import free
from metal.cluster.adopting.wishes import wishes_of
from metal.inventory.slugs import slug
from metal.model.fleet import Inventory, VmSize
from metal.model.found import FoundCluster, FoundGuest

Table = tuple[tuple[str, ...], dict[str, Any]]
WHY = "adopted as it was found"


def tables_of(
    inventory: Inventory, found: FoundCluster, cluster: str
) -> tuple[tuple[Table, ...], tuple[str, ...]]:
    """(tables, what is told): one table a VM that metal did not make itself."""
    names = _names(inventory, found, cluster)
    wishes, told = wishes_of(inventory, found, names)
    tables: list[Table] = []
    for guest in found.guests:
        name = names.get(guest.vmid)
        if name is None:
            continue
        if name in inventory.vms:
            tables += _known(inventory, name, guest)
        else:
            tables.append((("vms", name), _new(inventory, guest, cluster, wishes[guest.vmid])))
    here = {guest.vmid for guest in found.guests}
    for name, vm in inventory.vms.items():
        if vm.adopted and vm.cluster == cluster and vm.adopted.vmid not in here:
            told = (*told, f"{name} (was {vm.adopted.vmid}) is gone: remove [vms.{name}]")
    return tuple(tables), told


def _names(inventory: Inventory, found: FoundCluster, cluster: str) -> dict[int, str]:
    """Number → our name, of the VMs to be written."""
    known = {
        vm.adopted.vmid: name
        for name, vm in inventory.vms.items()
        if vm.adopted and vm.cluster == cluster
    }
    taken = {*inventory.vms, *inventory.servers, *(node.name for node in found.nodes)}
    names: dict[int, str] = {}
    for guest in found.guests:
        if guest.kind != "vm":
            continue
        if guest.vmid in known:
            names[guest.vmid] = known[guest.vmid]
        elif not _made_by_us(inventory, guest, cluster):
            short = slug(guest.name.partition(".")[0] or f"vm-{guest.vmid}", else_="vm")
            names[guest.vmid] = free(short, taken, str(guest.vmid))
            taken.add(names[guest.vmid])
    return names


def _made_by_us(inventory: Inventory, guest: FoundGuest, cluster: str) -> bool:
    """The inventory asks for it, and it bears our mark: it is no stranger."""
    wanted = inventory.vms.get(guest.name)
    return (
        guest.ours
        and wanted is not None
        and wanted.adopted is None
        and wanted.cluster in (None, cluster)
    )


def _new(inventory: Inventory, guest: FoundGuest, cluster: str, wishes: dict[str, Any]) -> Any:
    table = _size(inventory, guest) | {
        "cluster": cluster,
        "ipv4": "dedicated" if _has_public_ipv4(guest) else "ipv6",
        "why": WHY,
    }
    table |= wishes
    if guest.state == "stopped":
        table["running"] = False
    return table | {"adopted": _adopted(guest)}


def _adopted(guest: FoundGuest) -> dict[str, Any]:
    told: dict[str, Any] = {"vmid": guest.vmid, "called": guest.name}
    if guest.addresses:
        told["addresses"] = list(guest.addresses)
    if guest.os:
        told["os"] = guest.os
    return told


def _known(inventory: Inventory, name: str, guest: FoundGuest) -> Iterator[Table]:
    """What the cluster says anew of a VM that was adopted before."""
    needs, adopted = inventory.needs(name), inventory.vms[name].adopted
    now: dict[str, Any] = {}
    if guest.vcpus and guest.vcpus != needs.vcpus:
        now["vcpus"] = guest.vcpus
    if guest.memory_mib and guest.memory_mib != needs.memory_mib:
        now["memory_gib"] = _gib(guest.memory_mib)
    if guest.disk_gib and guest.disk_gib != needs.disk_gib:
        now["disk_gib"] = guest.disk_gib
    if now:
        yield ("vms", name), now
    known = [str(a) for a in adopted.addresses] if adopted else []
    # A guest whose agent is silent now has not lost its addresses.
    more = [a for a in guest.addresses if a not in known]
    if more:
        yield ("vms", name, "adopted"), {"addresses": [*known, *more]}


def _size(inventory: Inventory, guest: FoundGuest) -> dict[str, Any]:
    """The nearest size of the profiles, and what differs from it."""
    has = {
        "vcpus": guest.vcpus or 1,
        "memory_gib": _gib(guest.memory_mib or 512),
        "disk_gib": guest.disk_gib or 1,
    }

    def far(name: str) -> tuple[float, float, str]:
        size = inventory.sizes[name]
        return (
            abs(size.memory_gib - has["memory_gib"]),
            abs(size.vcpus - has["vcpus"]) + abs(size.disk_gib - has["disk_gib"]) / 1000,
            name,
        )

    nearest = min(inventory.sizes, key=far)
    size: VmSize = inventory.sizes[nearest]
    return {"size": nearest} | {k: v for k, v in has.items() if getattr(size, k) != v}


def _gib(mib: int) -> float | int:
    return mib // 1024 if mib % 1024 == 0 else round(mib / 1024, 3)


def _has_public_ipv4(guest: FoundGuest) -> bool:
    return any(a.version == 4 and a.ip.is_global for a in map(ip_interface, guest.addresses))
