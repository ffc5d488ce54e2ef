"""Virtual machines: made once, started, moved live, found again wherever the cluster put them.

How addresses become network cards: `net0` is on the VMs' private network and carries the
private IPv4 and the IPv6; a `dedicated` VM has `net1` beside it with the public IPv4, because
cloud-init gives one IPv4 a card. The IPv4 gateway goes to the card in whose network it lies.
Both are on the bridge vmbr0 of the host.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from typing import Any

from metal.drivers.proxmox.api import Api
from metal.drivers.proxmox.configs import addresses
from metal.drivers.proxmox.fullness import refuse_full
from metal.model.addresses import Addressing
from metal.model.cpus import DEFAULT
from metal.model.errors import Failed, Refused
from metal.model.world import GuestKind, VmState

BRIDGE = "vmbr0"
TAG = "metal"
MADE = "made by metal: change it in inventory.toml, not here."
VIA = "via="
"""Before the shared address in an HA resource's comment."""
_SHARED = re.compile(
    r"^(?:(\S+) (?:tcp|udp)/[\d-]+ is forwarded here|\S+ comes through the proxy (\S+))$", re.M
)
LOCAL = "local"
"""Asked for where there is no Ceph: whatever storage of the node itself keeps VM disks."""
KINDS: dict[str, GuestKind] = {"qemu": "vm", "lxc": "container"}


def ensure_vm(
    api: Api,
    *,
    vmid: int,
    name: str,
    node: str,
    vcpus: int,
    memory_mib: int,
    disk_gib: int,
    storage: str,
    addressing: Addressing,
    ha: bool,
    cpu: str | None = None,
) -> None:
    if row_of(api, vmid) is None:
        storage = _storage(api, node, storage)
        refuse_full(api, node, storage)
        params = {
            "vmid": vmid,
            "name": name,
            "cores": vcpus,
            "cpu": cpu or DEFAULT,
            "memory": str(memory_mib),
            "ostype": "l26",
            "scsihw": "virtio-scsi-single",
            "scsi0": f"{storage}:{disk_gib}",
            "ide2": f"{storage}:cloudinit",
            "boot": "order=scsi0",
            "onboot": 1,
            "tags": TAG,
            "description": describe(name, addressing),
            **cards(addressing),
        }
        api.settle(
            lambda: _settled(api, vmid),
            lambda: api.run(f"nodes/{node}/qemu", params),
            late=f"VM {vmid} ({name}) is not there",
        )
    else:
        api.patience.until(
            lambda: _settled(api, vmid),
            seconds=api.patience.task,
            late=f"VM {vmid} is still being made",
        )
    found, at = _name(api, vmid)
    if found != name:
        raise Refused(
            f"VM {vmid} is {found!r}, not {name!r}",
            where=at,
            mend=f"remove or renumber that VM; {vmid} is what {name} must have",
        )
    if ha:
        ensure_ha(api, vmid, label(name, addressing))


def ensure_described(api: Api, vmid: int, name: str, addressing: Addressing) -> None:
    """In its notes, and where its HA resource is labelled."""
    path = f"nodes/{there(api, vmid)['node']}/qemu/{vmid}/config"
    config = api.get(path)
    wanted = described(str(config.get("description", "")), name, addressing)
    api.settle(
        lambda: str(api.get(path).get("description", "")).strip() == wanted,
        lambda: api.put(path, {"description": wanted}),
        late=f"the notes of VM {vmid} could not be changed",
    )
    if vmid in ha_managed(api):
        resource = f"cluster/ha/resources/vm:{vmid}"
        text = _label(name, addresses(config), addressing.shared)
        api.settle(
            lambda: api.get(resource).get("comment") == text,
            lambda: api.put(resource, {"comment": text}),
            late=f"the comment of VM {vmid} in HA could not be changed",
        )


def ha_managed(api: Api) -> frozenset[int]:
    """Ids of the guests that the cluster restarts elsewhere by itself."""
    return managed(api.get("cluster/ha/resources"))


def managed(resources: list[dict[str, Any]]) -> frozenset[int]:
    """Ids of the guests that these resources of HA are."""
    sids = (str(row["sid"]) for row in resources)
    return frozenset(int(sid[3:]) for sid in sids if sid.startswith(("vm:", "ct:")))


def cards(addressing: Addressing) -> dict[str, str]:
    """net0/ipconfig0 and, for a dedicated IPv4, net1/ipconfig1."""
    first, second = [f"ip={addressing.private_ipv4}"], [f"ip={addressing.public_ipv4}"]
    if gateway := addressing.gateway4:
        public = addressing.public_ipv4 and _inside(gateway, addressing.public_ipv4)
        (second if public else first).append(f"gw={gateway}")
    if addressing.ipv6:
        first.append(f"ip6={addressing.ipv6}")
        if addressing.gateway6:
            first.append(f"gw6={addressing.gateway6}")
    made = {"net0": f"virtio,bridge={BRIDGE}", "ipconfig0": ",".join(first)}
    if addressing.public_ipv4:
        # Nothing stands before this card but Proxmox's own firewall, once rules are there.
        made |= {"net1": f"virtio,bridge={BRIDGE},firewall=1", "ipconfig1": ",".join(second)}
    return made


def describe(name: str, addressing: Addressing) -> str:
    """What a person sees in the web interface."""
    lines = [f"{name}, {MADE}"]
    lines.append(f"IPv4: {addressing.treatment} {addressing.public_ipv4 or ''}".rstrip())
    lines += [f"{f.public} {f.protocol}/{f.span} is forwarded here" for f in addressing.forwards]
    lines += [f"{r.name}:{r.port} comes through the proxy {r.public}" for r in addressing.routes]
    return "\n\n".join(lines)


def described(notes: str, name: str, addressing: Addressing) -> str:
    """`notes` with what metal has to say; what people wrote comes after it."""
    theirs = [part.strip() for part in notes.split("\n\n") if part.strip()]
    return "\n\n".join([describe(name, addressing), *(p for p in theirs if not _ours(p))])


def _ours(part: str) -> bool:
    return MADE in part or part.startswith("IPv4: ") or _SHARED.fullmatch(part) is not None


def shared(config: Mapping[str, Any]) -> str | None:
    """The shared address that `describe` wrote down when the VM was made."""
    told = _SHARED.search(str(config.get("description", "")))
    return (told[1] or told[2]) if told else None


def label(name: str, addressing: Addressing) -> str:
    """The comment of its HA resource: what nobody else can tell once its node is dead."""
    return _label(name, addresses(cards(addressing)), addressing.shared)


def _label(name: str, own: Iterable[str], shared: str | None) -> str:
    return " ".join((f"{TAG}:", name, *own, *([f"{VIA}{shared}"] if shared else [])))


@dataclass(frozen=True)
class Label:
    """What the HA resource of a VM remembers of it."""

    name: str
    addresses: tuple[str, ...] = ()
    shared: str | None = None


def labels(api: Api) -> dict[int, Label]:
    """VM id → what is known of the HA-managed VMs that we made, whatever their node does.

    Proxmox itself shows a VM on a dead node without a name, and its configuration not at all.
    """
    return told_by(api.get("cluster/ha/resources"))


def told_by(resources: list[dict[str, Any]]) -> dict[int, Label]:
    """The same of resources that were just asked for."""
    found = {}
    for row in resources:
        mark, _, rest = str(row.get("comment", "")).partition(" ")
        if str(row["sid"]).startswith("vm:") and mark == f"{TAG}:" and rest:
            name, *told = rest.split()
            via = [word.removeprefix(VIA) for word in told if word.startswith(VIA)]
            own = tuple(word for word in told if not word.startswith(VIA))
            found[int(str(row["sid"])[3:])] = Label(name, own, via[0] if via else None)
    return found


def state_of(row: dict[str, Any]) -> VmState:
    status = row.get("status")
    return status if status in ("running", "stopped") else "unknown"


def rows(api: Api) -> list[dict[str, Any]]:
    """Every guest of the cluster: vmid, type, name, node, status, lock."""
    return [row for row in api.get("cluster/resources", type="vm") if row.get("type") in KINDS]


def kind_of(row: dict[str, Any]) -> GuestKind:
    return "template" if int(row.get("template") or 0) else KINDS[str(row["type"])]


def has_agent(config: dict[str, Any]) -> bool:
    """Whether the configuration lets Proxmox speak to a guest agent: "1", "enabled=1,…"."""
    first = str(config.get("agent", "0")).partition(",")[0]
    return first.removeprefix("enabled=") == "1"


def row_of(api: Api, vmid: int) -> dict[str, Any] | None:
    return next((row for row in rows(api) if int(row["vmid"]) == vmid), None)


def _storage(api: Api, node: str, wanted: str) -> str:
    """`wanted`; for "local", if that keeps no VM disks, the node's own storage that does.

    Proxmox on a plain Debian keeps them in `local`, its own installer makes `local-lvm`.
    """
    rows = api.get(f"nodes/{node}/storage", content="images", enabled=1)
    fit = {str(row["storage"]): not row.get("shared") for row in rows}
    if wanted in fit:
        return wanted
    own = sorted(name for name, local in fit.items() if local)
    if wanted == LOCAL and own:
        return own[0]
    raise Failed(
        f"no storage {wanted!r} for VM disks",
        where=node,
        mend=f"it has {', '.join(sorted(fit)) or 'none'}: make one in Datacenter → Storage",
    )


def there(api: Api, vmid: int) -> dict[str, Any]:
    row = row_of(api, vmid)
    if row is None:
        raise Failed(f"there is no VM {vmid}", where=api.node().name, mend="plan again")
    return row


def _name(api: Api, vmid: int) -> tuple[str, str]:
    """(its name, its node); the list of a cluster has no name for a VM made just now."""
    row = there(api, vmid)
    node = str(row["node"])
    name = row.get("name") or labels(api).get(vmid, Label("")).name
    return str(name or api.get(f"nodes/{node}/qemu/{vmid}/config").get("name", "")), node


def _settled(api: Api, vmid: int) -> bool:
    """It is there and whatever makes it has ended."""
    row = row_of(api, vmid)
    return row is not None and row.get("lock") != "create"


def ensure_ha(api: Api, vmid: int, comment: str, *, running: bool = True) -> None:
    state = "started" if running else "stopped"
    api.settle(
        lambda: vmid in ha_managed(api),
        lambda: api.post(
            "cluster/ha/resources",
            {"sid": f"vm:{vmid}", "state": state, "comment": comment},
        ),
        late=f"VM {vmid} is not HA-managed",
    )


def _inside(address: str, interface: str) -> bool:
    return ip_address(address) in ip_interface(interface).network
