"""A VM of a dead node is started on another one, where HA does not manage it.

As Proxmox's manual has a person do it (pvecm, "Recovery"): what makes a VM a node's own is in which
folder of pmxcfs its file is. The file is read and moved by root on the target, because the API asks
the dead node itself. pmxcfs moves it for all at once, and without quorum not at all: a node that
comes back does not find the VM among its own any more.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metal.drivers.commands import Runner, must
from metal.drivers.proxmox import guests, running
from metal.drivers.proxmox.api import Api
from metal.drivers.proxmox.configs import devices, read_file, volumes
from metal.drivers.rbd import Images
from metal.model.errors import Failed, Refused, Unreachable
from metal.model.hypervisor import VmSpec

STALE = frozenset(
    {"backup", "mounted", "migrate", "clone", "rollback", "snapshot", "snapshot-delete"}
    | {"suspending", "suspended"}
)
"""Locks whose holder died with the node: what HA's own recovery removes (PVE::HA::Env::PVE2)."""
NODES = "/etc/pve/nodes"


@dataclass(frozen=True)
class Root:
    """What the API has no call for."""

    shell: Callable[[str], Runner]
    """Of a node, as root."""
    addresses: Callable[[str], Sequence[str]]
    """Where the clients of a node's Ceph may come from."""


def ensure_taken_over(
    api: Api, root: Root, vm: VmSpec, target: str, fenced: str, allowed: Callable[[str], None]
) -> str:
    """As metal.drivers.ports.Hypervisor.ensure_restarted has it."""
    node, state = running.where(api, vm.vmid)
    if state == "running":
        return node
    if _is_lost(api, node):
        if node != fenced:
            raise Unreachable(
                f"whether {vm.name} runs there is not known",
                where=node,
                mend="make it answer, or prove it off: `metal watch --act` fences it by its BMC",
            )
        config = _fit(api, root, vm, target, fenced)
        _shut_out(api, root.shell(target), config, root.addresses(fenced), allowed)
        _move(api, root.shell(target), vm, fenced, target, allowed)
        node = target
    elif state == "unknown":
        raise Unreachable(f"it does not say whether {vm.name} runs", where=node)
    if vm.vmid not in guests.ha_managed(api):
        _unlock(api, root.shell(node), vm.vmid, node)
    allowed(f"restart {vm.name} on {node}")
    running.ensure_started(api, vm.vmid)
    return running.where(api, vm.vmid)[0]


def unmovable(
    config: Mapping[str, Any], storages: Iterable[Mapping[str, Any]], target: str
) -> Iterator[str]:
    """Why the VM cannot run on `target` while its own node is gone; nothing when it can. Pure.

    `storages`: the rows of the target's `/nodes/{node}/storage`. What is not known to be shared is
    on the dead node alone.
    """
    there = {str(row["storage"]): row for row in storages}
    for drive, volume in sorted(volumes(config).items()):
        storage, colon, _ = volume.partition(":")
        row = there.get(storage, {})
        if not colon or volume.startswith("/"):
            yield f"{drive} is {volume}, a device of its own server"
        elif not row:
            yield f"{drive} is on {storage}, which {target} does not have"
        elif not row.get("shared"):
            yield f"{drive} is on {storage}, which is not shared"
        elif not row.get("active"):
            yield f"{drive} is on {storage}, which is not active on {target}"
    for device in devices(config):
        yield f"{device} is hardware of its own server"


def _is_lost(api: Api, node: str) -> bool:
    """A quorate majority says that the node is not among them."""
    standing = api.standing()
    if not standing.quorate:
        raise Unreachable("its cluster has no quorum", where=api.node().name)
    return not standing.nodes.get(node, False)


def _fit(api: Api, root: Root, vm: VmSpec, target: str, fenced: str) -> dict[str, str]:
    """Its configuration, once nothing speaks against running it on `target`."""
    if vm.vmid in guests.ha_managed(api):
        raise Refused("HA manages it by now, and restarts it", where=fenced)
    kind = str(guests.there(api, vm.vmid)["type"])
    if kind != "qemu":
        raise Refused("it is a container, which metal does not move", where=fenced)
    text = must(root.shell(target), ["cat", _file(fenced, vm.vmid)])
    config = read_file(text.decode(errors="replace"))
    if config.get("name") != vm.name:
        raise Refused(
            f"VM {vm.vmid} is {config.get('name')!r} there, not {vm.name!r}",
            where=fenced,
            mend="renumber one of them: metal would start another VM than it means",
        )
    lock = config.get("lock", "")
    reasons = [*unmovable(config, api.get(f"nodes/{target}/storage"), target)]
    if lock and lock not in STALE:
        reasons.append(f"it is locked ({lock})")
    if reasons:
        raise Refused(
            "; ".join(reasons),
            where=fenced,
            mend=f"repair {fenced}, or restore {vm.name} from a backup",
        )
    return config


def _shut_out(
    api: Api,
    shell: Runner,
    config: Mapping[str, str],
    dead: Sequence[str],
    allowed: Callable[[str], None],
) -> None:
    """Whoever has one of its disks in Ceph open cannot write any more; one Ceph after the other."""
    disks: dict[str, list[str]] = {}
    for volume in volumes(config).values():
        storage, _, name = volume.partition(":")
        disks.setdefault(storage, []).append(name.rpartition("/")[2])
    for storage, names in sorted(disks.items()):
        about = api.get(f"storage/{storage}")
        if about["type"] == "rbd":
            pool = "/".join(
                str(part) for part in (about.get("pool") or "rbd", about.get("namespace")) if part
            )
            images = [f"{pool}/{name}" for name in names]
            Images(shell, _options(storage, about)).ensure_shut_out(images, dead, allowed)


def _options(storage: str, about: Mapping[str, Any]) -> tuple[str, ...]:
    """As Proxmox itself calls `rbd` for a storage: one that names monitors is in another Ceph."""
    if not about.get("monhost"):
        return ()
    user = str(about.get("username") or "admin")
    monitors = ",".join(str(about["monhost"]).replace(";", " ").replace(",", " ").split())
    return ("-m", monitors, "--id", user, "--keyring", f"/etc/pve/priv/ceph/{storage}.keyring")


def _move(
    api: Api, shell: Runner, vm: VmSpec, fenced: str, target: str, allowed: Callable[[str], None]
) -> None:
    allowed(f"move the file of {vm.name} from {fenced} to {target}")
    if not _is_lost(api, fenced):
        raise Unreachable(f"it came back while {vm.name} was to be taken over", where=fenced)
    moved = shell.run(["mv", _file(fenced, vm.vmid), _file(target, vm.vmid)])
    at = str(guests.there(api, vm.vmid)["node"])
    if at != target:
        raise Failed(
            f"the file of {vm.name} could not be moved from {fenced}: {moved.said}",
            where=target,
            mend=f"see there: mv {_file(fenced, vm.vmid)} {_file(target, vm.vmid)}",
        )


def _unlock(api: Api, shell: Runner, vmid: int, node: str) -> None:
    lock = str(api.get(f"nodes/{node}/qemu/{vmid}/config").get("lock", ""))
    if lock in STALE:
        must(shell, ["qm", "unlock", str(vmid)])


def _file(node: str, vmid: int) -> str:
    return f"{NODES}/{node}/qemu-server/{vmid}.conf"
