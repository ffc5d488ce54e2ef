"""What keeps a VM from moving to another node of its cluster: asked, before anything is moved."""

import re
from collections.abc import Iterator
from typing import Any

from metal.drivers.proxmox import guests
from metal.drivers.proxmox.api import Api
from metal.drivers.proxmox.node import ApiError
from metal.model.cpus import HOST, TYPES, newest_of, offers

NET = re.compile(r"net\d+")
BRIDGE = re.compile(r"(?:^|,)bridge=([^,]+)")
CPU = re.compile(r"^(?:cputype=)?([^,=]+)(?:,|$)|,cputype=([^,]+)")
USUAL = "kvm64"
"""What a VM gets in whose configuration no processor is named."""


def obstacles(api: Api, vmid: int, target: str) -> tuple[str, ...]:
    row = guests.there(api, vmid)
    node, running = str(row["node"]), row.get("status") == "running"
    if node == target:
        return ()
    if not api.standing().nodes.get(target, False):
        return (f"{target} is not online",)
    try:
        told = api.get(f"nodes/{node}/qemu/{vmid}/migrate", target=target)
    except ApiError as error:
        if error.busy:
            return (f"Proxmox says: {error.message}",)
        raise
    return (
        *forbidden(told, target, running=running),
        *unfit(api, node, vmid, target, running=running),
    )


def forbidden(told: dict[str, Any], target: str, *, running: bool) -> Iterator[str]:
    """`not_allowed_nodes` names allowed ones too, without reasons: `allowed_nodes` counts."""
    allowed = told.get("allowed_nodes")
    if allowed is not None and target not in allowed:
        why = (told.get("not_allowed_nodes") or {}).get(target) or {}
        missing = ", ".join(why.get("unavailable_storages") or [])
        mapped = ", ".join(why.get("unavailable-resources") or [])
        yield (
            (f"it has no storage {missing}" if missing else "")
            or (f"it has nothing mapped to {mapped}" if mapped else "")
            or _by_ha(why)
            or "Proxmox forbids it"
        )
    for disk in told.get("local_disks") or []:
        yield from _stays(disk, running=running)
    if running and told.get("local_resources"):
        yield f"it uses {', '.join(told['local_resources'])} of its node: stop it first"
    for key, about in (told.get("mapped-resource-info") or {}).items():
        if running and not about.get("live-migration"):
            yield f"it uses {key} ({about.get('name')}), which is not moved live: stop it first"


def _stays(disk: dict[str, Any], *, running: bool) -> Iterator[str]:
    """Why a disk on its node alone cannot be copied with it: what Proxmox tells in the task only
    (QemuMigrate.pm)."""
    volume = str(disk["volid"])
    if disk.get("cdrom"):
        if "cloudinit" not in volume:
            yield f"its drive holds {volume}, which is on its node only: eject it"
    elif volume.startswith("/"):
        yield f"its disk is {volume}, a device of its node"
    elif running and (snapshots := disk.get("referenced_in_snapshot")):
        named = ", ".join(sorted(snapshots))
        yield f"its disk {volume} is on its node only and has snapshots ({named}): remove them"


def _by_ha(why: dict[str, Any]) -> str:
    blocked = why.get("blocking-ha-resources") or []
    return ", ".join(f"HA keeps it from {b['sid']} ({b['cause']})" for b in blocked)


def unfit(api: Api, node: str, vmid: int, target: str, *, running: bool) -> Iterator[str]:
    """What Proxmox itself finds out half-way, or not at all: bridges, versions, memory, CPU."""
    config = api.get(f"nodes/{node}/qemu/{vmid}/config")
    yield from _bridges(api, config, target)
    if not running:
        return
    here, there = (api.get(f"nodes/{name}/status") for name in (node, target))
    yield from _version(here, there, target)
    yield from _memory(config, there, target)
    yield from _processor(config, here, there, target)


def _bridges(api: Api, config: dict[str, Any], target: str) -> Iterator[str]:
    nets = (str(value) for key, value in config.items() if NET.fullmatch(key))
    wanted = {found[1] for net in nets if (found := BRIDGE.search(net))}
    if not wanted:
        return
    there = {str(i["iface"]) for i in api.get(f"nodes/{target}/network", type="any_bridge")}
    for bridge in sorted(wanted - there):
        yield f"{target} has no bridge {bridge}"


def _version(here: dict[str, Any], there: dict[str, Any], target: str) -> Iterator[str]:
    """QEMU takes over what an older one ran, not the other way round."""
    versions = [str(told["pveversion"]).split("/")[1] for told in (here, there)]
    majors = [int(version.partition(".")[0]) for version in versions]
    if majors[1] < majors[0]:
        yield f"{target} runs Proxmox {versions[1]}, older than {versions[0]} where it runs"


def _memory(config: dict[str, Any], there: dict[str, Any], target: str) -> Iterator[str]:
    memory = there["memory"]
    free = int(memory.get("available") or memory["free"]) >> 20
    needed = int(str(config.get("memory") or 512).partition(",")[0].removeprefix("current="))
    if needed > free:
        yield f"{target} has {free} MiB free now, it needs {needed}"


def _processor(
    config: dict[str, Any], here: dict[str, Any], there: dict[str, Any], target: str
) -> Iterator[str]:
    """Refused where the target is known to lack it: by its flags, or by its name."""
    found = CPU.search(str(config.get("cpu") or USUAL))
    wanted = (found[1] or found[2]) if found else USUAL
    chips = [str(told["cpuinfo"].get("model") or "") for told in (here, there)]
    if wanted == HOST:
        if chips[0] != chips[1]:
            yield f"it has its node's own processor, {chips[0]}, and {target} is a {chips[1]}"
        return
    flags = str(there["cpuinfo"].get("flags") or "").split()
    offered = offers(newest_of(chips[1], flags))
    lacks = wanted in TYPES and offered is not None and wanted not in offered
    if lacks:
        yield f"it has the processor {wanted}, which {target} ({chips[1]}) cannot be"
