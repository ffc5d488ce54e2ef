"""Read a running cluster whole: what `metal cluster adopt` needs to know of it.

Only GETs. What one node or guest does not tell is noted in `unread` and never keeps the rest
from being read; only a cluster that tells nothing at all is an error.
"""

from collections.abc import Callable
from ipaddress import ip_address, ip_interface
from typing import Any, TypeVar

from metal.drivers.proxmox import ceph, guests, rules
from metal.drivers.proxmox.api import Api
from metal.drivers.proxmox.configs import interfaces_of, of_config
from metal.model.errors import MetalError
from metal.model.facts import Media
from metal.model.fleet import Disk
from metal.model.found import FoundCluster, FoundGuest, FoundNode, FoundStorage

T = TypeVar("T")
MEDIA: dict[str, Media] = {"ssd": "ssd", "hdd": "hdd", "nvme": "nvme"}


def found(api: Api) -> FoundCluster:
    return _Reader(api).cluster()


class _Reader:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.unread: list[str] = []

    def cluster(self) -> FoundCluster:
        status = self.api.get("cluster/status")
        head = next((row for row in status if row["type"] == "cluster"), None)
        nodes = self._nodes(status, alone=head is None)
        osds = self._try("Ceph", lambda: ceph.seen(self.api)["ceph_osds"])
        managed = self._try("HA resources", lambda: guests.ha_managed(self.api)) if head else None
        return FoundCluster(
            name=str(head["name"]) if head else None,
            version=str(self.api.get("version")["version"]),
            nodes=nodes,
            ceph=bool(osds),
            osds=osds,
            storages=self._storages(next((node.name for node in nodes if node.online), None)),
            guests=self._guests({node.name for node in nodes if node.online}),
            rules=(self._try("HA rules", lambda: rules.found(self.api)) if head else None) or (),
            managed=tuple(sorted(managed or ())),
            unread=tuple(self.unread),
        )

    def _try(self, what: str, read: Callable[[], T]) -> T | None:
        """None, and why in `unread`, when it cannot be read."""
        try:
            return read()
        except MetalError as error:
            self.unread.append(f"{what}: {error.what}")
            return None

    def _rows(self, what: str, path: str, **params: Any) -> list[dict[str, Any]]:
        return self._try(what, lambda: list(self.api.get(path, **params))) or []

    # ── nodes ───────────────────────────────────────────────────────────────────────────────

    def _nodes(self, status: list[dict[str, Any]], *, alone: bool) -> tuple[FoundNode, ...]:
        pins = {
            str(row["node"]): str(row.get("ssl_fingerprint") or "").upper() or None
            for row in self.api.get("nodes")
        }
        used = self.api.node()
        made = []
        for row in sorted((r for r in status if r["type"] == "node"), key=lambda r: r["name"]):
            name, itself = str(row["name"]), bool(row.get("local"))
            node = FoundNode(
                name=name,
                address=str(row["ip"]) if row.get("ip") else None,
                port=used.access.port,  # where it really answers is tried later
                # What we see of the node we talk to counts more than what it says of itself.
                fingerprint=used.access.pin.upper() if itself else pins.get(name),
                online=bool(row.get("online")) or alone,
            )
            made.append(self._looked_into(node) if node.online else node)
        return tuple(made)

    def _looked_into(self, node: FoundNode) -> FoundNode:
        path = f"nodes/{node.name}/status"
        told: dict[str, Any] = self._try(f"node {node.name}", lambda: self.api.get(path)) or {}
        cpu, memory = told.get("cpuinfo") or {}, told.get("memory") or {}
        network, gateway = self._network(node)
        total = memory.get("total")
        return node.model_copy(
            update={
                "memory_gib": int(total) >> 30 if total else None,
                "cores": _number(cpu.get("cores")),
                "threads": _number(cpu.get("cpus")),
                "cpu": cpu.get("model"),
                "disks": self._disks(node.name),
                "network": network,
                "gateway": gateway,
            }
        )

    def _disks(self, node: str) -> tuple[Disk, ...]:
        rows = self._rows(f"disks of {node}", f"nodes/{node}/disks/list", skipsmart=1)
        return tuple(
            Disk(
                name=str(row["devpath"]).removeprefix("/dev/"),
                size_gib=int(row["size"]) >> 30,
                media=MEDIA.get(str(row.get("type"))),
                serial=None if row.get("serial") in (None, "", "unknown") else str(row["serial"]),
            )
            for row in rows
            if row.get("size")
        )

    def _network(self, node: FoundNode) -> tuple[str | None, str | None]:
        """(the network that its address is in, the gateway there)."""
        for row in self._rows(f"network of {node.name}", f"nodes/{node.name}/network"):
            for key, gate in (("cidr", "gateway"), ("cidr6", "gateway6")):
                if row.get(key) and str(ip_interface(row[key]).ip) == node.address:
                    return str(ip_interface(row[key]).network), row.get(gate)
        return None, None

    def _storages(self, node: str | None) -> tuple[FoundStorage, ...]:
        """`node`: is asked how large they are; what is not active there has no size."""
        there = self._rows("sizes of storages", f"nodes/{node}/storage") if node else []
        bytes_of = {row["storage"]: int(row.get("total") or 0) for row in there}
        return tuple(
            FoundStorage(
                name=str(row["storage"]),
                kind=str(row["type"]),
                shared=bool(row.get("shared")) or row["type"] in SHARED,
                images="images" in str(row.get("content", "")).split(","),
                gib=bytes_of.get(row["storage"], 0) >> 30 or None,
            )
            for row in self._rows("storages", "storage")
            if not row.get("disable")
        )

    # ── guests ──────────────────────────────────────────────────────────────────────────────

    def _guests(self, online: set[str]) -> tuple[FoundGuest, ...]:
        read = [self._guest(row, str(row["node"]) in online) for row in guests.rows(self.api)]
        return tuple(sorted(read, key=lambda guest: guest.vmid))

    def _guest(self, row: dict[str, Any], reachable: bool) -> FoundGuest:
        vmid, node, kind = int(row["vmid"]), str(row["node"]), str(row["type"])
        state = guests.state_of(row)
        bare = FoundGuest(
            vmid=vmid,
            kind=guests.kind_of(row),
            name=str(row.get("name") or ""),
            node=node,
            state=state if reachable else "unknown",
            vcpus=_number(row.get("maxcpu")),
            memory_mib=int(row["maxmem"]) >> 20 if row.get("maxmem") else None,
            disk_gib=-(-int(row["maxdisk"]) >> 30) if row.get("maxdisk") else None,
            ours=guests.TAG in str(row.get("tags", "")).replace(";", ",").split(","),
        )
        if not reachable:
            self.unread.append(f"guest {vmid}: its node {node} is down")
            return bare
        path = f"nodes/{node}/{kind}/{vmid}"
        config = self._try(f"guest {vmid}", lambda: self.api.get(f"{path}/config"))
        if config is None:
            return bare
        told = bare.model_copy(update=of_config(kind, config))
        if kind == "qemu" and state == "running" and guests.has_agent(config):
            more = self._agent(path, config)
            told = told.model_copy(update={"addresses": _merged(told.addresses, more)})
        return told

    def _agent(self, path: str, config: dict[str, Any]) -> tuple[str, ...]:
        """Silent while the guest boots, or where the agent was never installed in it."""
        try:
            return interfaces_of(self.api.get(f"{path}/agent/network-get-interfaces"), config)
        except MetalError:
            return ()


SHARED = frozenset({"rbd", "cephfs", "nfs", "cifs", "pbs", "iscsi", "iscsidirect", "glusterfs"})


def _number(told: Any) -> int | None:
    return int(told) if told else None


def _merged(first: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """Each address once; the prefix length of the configuration counts."""
    known = {ip_address(a.partition("/")[0]) for a in first}
    return first + tuple(a for a in more if ip_address(a.partition("/")[0]) not in known)
