"""Virtual machines: made once, started, moved live, found again wherever the cluster put them.

How addresses become network cards: `net0` is on the VMs' private network and carries the
private IPv4 and the IPv6; a `dedicated` VM has `net1` beside it with the public IPv4, because
cloud-init gives one IPv4 a card. The IPv4 gateway goes to the card in whose network it lies.
Both are on the bridge vmbr0 of the host.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from typing import Any

from metal.drivers.proxmox.api import Api
from metal.drivers.proxmox.configs import addresses
from metal.drivers.proxmox.node import ApiError
from metal.model.addresses import Addressing
from metal.model.errors import Failed, Refused, Unreachable
from metal.model.world import GuestKind, VmState

BRIDGE = "vmbr0"
TAG = "metal"
VIA = "via="
"""Before the shared address in an HA resource's comment."""
_SHARED = re.compile(
    r"^(?:(\S+) (?:tcp|udp)/[\d-]+ is forwarded here|\S+ comes through the proxy (\S+))$", re.M
)
LOCAL = "local"
"""Asked for where there is no Ceph: whatever storage of the node itself keeps VM disks."""
CALM = 5
"""Looks without a sign of a migration before it counts as given up."""
KINDS: dict[str, GuestKind] = {"qemu": "vm", "lxc": "container"}
CPU = "x86-64-v2-AES"
"""The least of all donated servers: with `host`, mixed processors block live migration."""


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
) -> None:
    if _row(api, vmid) is None:
        storage = _storage(api, node, storage)
        params = {
            "vmid": vmid,
            "name": name,
            "cores": vcpus,
            "cpu": CPU,
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
        _ensure_ha(api, vmid, label(name, addressing))


def ensure_started(api: Api, vmid: int) -> None:
    if where(api, vmid)[1] == "running":
        return
    if vmid in ha_managed(api):
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
    _until_at(api, vmid, None, api.patience.start)


def ensure_migrated(api: Api, vmid: int, target: str) -> None:
    node, state = where(api, vmid)
    if node == target and state != "unknown":
        return
    if not api.standing().nodes.get(target, False):
        raise Refused(
            f"VM {vmid} cannot move to {target}: that node is not online",
            where=node,
            mend="choose another target: plan again",
        )
    params: dict[str, Any] = {"target": target}
    if state == "running":
        params["online"] = 1
    api.settle(
        lambda: where(api, vmid)[0] == target or _moving(api, vmid),
        lambda: api.run(f"nodes/{node}/qemu/{vmid}/migrate", params, api.patience.migrate),
        late=f"VM {vmid} does not move to {target}",
    )
    # For an HA VM the task has only queued a request.
    _until_at(api, vmid, target, api.patience.migrate, running=state == "running")


def where(api: Api, vmid: int) -> tuple[str, VmState]:
    """Asks the node itself: the cluster's own list lags ten seconds behind."""
    online = api.standing().nodes
    row = _there(api, vmid)
    node = str(row["node"])
    if not online.get(node, False):
        return node, "unknown"
    try:
        return node, state_of(api.get(f"nodes/{node}/{row['type']}/{vmid}/status/current"))
    except (Unreachable, ApiError):
        # It is moving, or the node is going down this moment.
        return node, "unknown"


def ensure_apart(api: Api, group: str, vmids: tuple[int, ...]) -> None:
    """HA keeps these VMs on different nodes (PVE 9; 8 has no such rules: nothing is done)."""
    managed = ha_managed(api)
    resources = sorted(f"vm:{vmid}" for vmid in set(vmids) & managed)
    if len(resources) < 2:
        return
    rule = f"{TAG}-apart-{group}"
    wanted = {"type": "resource-affinity", "affinity": "negative", "resources": ",".join(resources)}
    try:
        rules = api.get("cluster/ha/rules")
    except ApiError as error:
        if error.status == 501:
            return
        raise
    found = next((r for r in rules if r["rule"] == rule), None)
    if found is None:
        api.post("cluster/ha/rules", {"rule": rule, **wanted})
    elif sorted(str(found.get("resources", "")).split(",")) != resources:
        api.put(f"cluster/ha/rules/{rule}", wanted)


def ha_managed(api: Api) -> frozenset[int]:
    """Ids of the guests that the cluster restarts elsewhere by itself."""
    sids = (str(row["sid"]) for row in api.get("cluster/ha/resources"))
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
        made |= {"net1": f"virtio,bridge={BRIDGE}", "ipconfig1": ",".join(second)}
    return made


def describe(name: str, addressing: Addressing) -> str:
    """What a person sees in the web interface."""
    lines = [f"{name}, made by metal: change it in inventory.toml, not here."]
    lines.append(f"IPv4: {addressing.treatment} {addressing.public_ipv4 or ''}".rstrip())
    lines += [f"{f.public} {f.protocol}/{f.span} is forwarded here" for f in addressing.forwards]
    lines += [f"{r.name}:{r.port} comes through the proxy {r.public}" for r in addressing.routes]
    return "\n\n".join(lines)


def shared(config: Mapping[str, Any]) -> str | None:
    """The shared address that `describe` wrote down when the VM was made."""
    told = _SHARED.search(str(config.get("description", "")))
    return (told[1] or told[2]) if told else None


def label(name: str, addressing: Addressing) -> str:
    """The comment of its HA resource: what nobody else can tell once its node is dead."""
    via = [f"{VIA}{addressing.shared}"] if addressing.shared else []
    return " ".join((f"{TAG}:", name, *addresses(cards(addressing)), *via))


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
    found = {}
    for row in api.get("cluster/ha/resources"):
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


def _row(api: Api, vmid: int) -> dict[str, Any] | None:
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


def _there(api: Api, vmid: int) -> dict[str, Any]:
    row = _row(api, vmid)
    if row is None:
        raise Failed(f"there is no VM {vmid}", where=api.node().name, mend="plan again")
    return row


def _name(api: Api, vmid: int) -> tuple[str, str]:
    """(its name, its node); the list of a cluster has no name for a VM made just now."""
    row = _there(api, vmid)
    node = str(row["node"])
    name = row.get("name") or labels(api).get(vmid, Label("")).name
    return str(name or api.get(f"nodes/{node}/qemu/{vmid}/config").get("name", "")), node


def _settled(api: Api, vmid: int) -> bool:
    """It is there and whatever makes it has ended."""
    row = _row(api, vmid)
    return row is not None and row.get("lock") != "create"


def _ensure_ha(api: Api, vmid: int, comment: str) -> None:
    api.settle(
        lambda: vmid in ha_managed(api),
        lambda: api.post(
            "cluster/ha/resources",
            {"sid": f"vm:{vmid}", "state": "started", "comment": comment},
        ),
        late=f"VM {vmid} is not HA-managed",
    )


def _moving(api: Api, vmid: int) -> bool:
    """A migration is on its way already: asked for before a crash of ours."""
    service = _service(api, vmid)
    row = _row(api, vmid) or {}
    return row.get("lock") == "migrate" or service.get("state") in ("migrate", "relocate")


def _service(api: Api, vmid: int) -> dict[str, Any]:
    current = api.get("cluster/ha/status/current")
    return next((row for row in current if row.get("sid") == f"vm:{vmid}"), {})


def _until_at(
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


def _inside(address: str, interface: str) -> bool:
    return ip_address(address) in ip_interface(interface).network
