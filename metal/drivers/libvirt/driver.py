"""metal.drivers.ports.Hypervisor for libvirt."""

from typing import Any

from metal.drivers.libvirt import guests, look, moving, preflight
from metal.drivers.libvirt.domain import Machine
from metal.drivers.libvirt.hosts import Host, Hosts
from metal.drivers.libvirt.patience import Patience
from metal.drivers.libvirt.resources import resources
from metal.drivers.ports import Allowed
from metal.model.addresses import Addressing
from metal.model.hypervisor import Capabilities, HostResources, VmSpec
from metal.model.world import SeenCluster, SeenVm


class Libvirt:
    """The hosts of one cluster, or a solo machine.

    `cluster`: its name in the inventory, for what `look` returns. `shared_unseen`: the directory
    that holds the disks is shared in a way libvirt does not recognise (it knows NFS, GFS2, OCFS2,
    CephFS and the like); it then asks nobody whether a live migration is safe.
    """

    capabilities = Capabilities(kind="libvirt", quorum=False, restarts=False, restarted=True)

    def __init__(
        self,
        hosts: list[Host],
        *,
        cluster: str = "",
        machine: Machine | None = None,
        shared_unseen: bool = False,
        patience: Patience | None = None,
    ) -> None:
        self._patience = patience or Patience()
        self._hosts = Hosts({host.name: host for host in hosts}, self._patience)
        self._cluster, self._machine = cluster, machine or Machine()
        self._shared_unseen = shared_unseen
        self._silent: dict[str, str] = {}

    @property
    def silent(self) -> dict[str, str]:
        return dict(self._silent)

    def told(self) -> tuple[str, ...]:
        return ()  # libvirt succeeds or fails

    def look(
        self, *, thorough: bool = False
    ) -> tuple[SeenCluster, dict[str, str], dict[str, SeenVm]]:
        """Never raises for a silent host; what only that one knows of is not shown."""
        sight = look.see(self._hosts)
        self._silent = {name: error.what for name, error in sight.silent.items()}
        return look.shown(sight, self._cluster)

    def resources(self, node: str) -> HostResources:
        return self._hosts.call(node, resources)

    def ensure_vm(
        self,
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
        """`ha` changes nothing here: who restarts a VM elsewhere is metal."""
        vm = VmSpec(
            vmid=vmid,
            name=name,
            vcpus=vcpus,
            memory_mib=memory_mib,
            disk_gib=disk_gib,
            storage=storage,
            addressing=addressing,
            cpu=cpu,
        )
        guests.ensure_vm(self._hosts, self._machine, vm, node)

    def ensure_described(self, vmid: int, name: str, addressing: Addressing) -> None:
        guests.ensure_described(self._hosts, vmid, addressing)

    def ensure_started(self, vmid: int) -> None:
        guests.ensure_started(self._hosts, vmid, self._patience.start, self._patience.poll)

    def ensure_shut_down(self, vmid: int, seconds: float = 180) -> None:
        guests.ensure_shut_down(self._hosts, vmid, seconds, self._patience.poll)

    def ensure_off(self, vmid: int) -> None:
        guests.ensure_off(self._hosts, vmid)

    def ensure_removed(self, vmid: int) -> None:
        guests.ensure_removed(self._hosts, vmid)

    def obstacles(self, vmid: int, target: str) -> tuple[str, ...]:
        return preflight.obstacles(self._hosts, vmid, target)

    def ensure_migrated(self, vmid: int, target: str, mib_s: int = 0) -> None:
        unseen = self._shared_unseen
        moving.ensure_migrated(self._hosts, vmid, target, mib_s, shared_unseen=unseen)

    def ensure_restarted(
        self, vm: VmSpec, target: str, fenced: str, allowed: Allowed = lambda _what: None
    ) -> str:
        return guests.ensure_restarted(self._hosts, self._machine, vm, target, fenced, allowed)

    def ensure_apart(self, group: str, vmids: tuple[int, ...]) -> None:
        """Nobody but metal moves a VM here, and its planner keeps replicas apart."""

    def ensure_together(self, name: str, vmids: tuple[int, ...]) -> None:
        """As `ensure_apart`: it is the planner that keeps them so."""

    def ensure_home(self, vmid: int, nodes: tuple[str, ...]) -> None:
        """Nobody brings it back by itself here."""

    def ha_managed(self) -> frozenset[int]:
        return frozenset()

    def where(self, vmid: int) -> tuple[str, str]:
        sight = look.see(self._hosts)
        at = sight.find(vmid)
        return at.node, sight.state(at)

    def written(self, vmid: int) -> int | None:
        at = guests.find(self._hosts, vmid)
        return self._hosts.call(at.node, lambda connection: _written(connection, at.told.name))


def _written(connection: Any, name: str) -> int:
    """Bytes that its disk said it has; the host's cache keeps none of them."""
    _reads, _read, _writes, written, _errors = connection.lookupByName(name).blockStats("vda")
    return int(written)
