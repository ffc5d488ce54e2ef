"""metal.drivers.ports.Hypervisor for Proxmox VE 8 and 9."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from metal.drivers.ports import Allowed
from metal.drivers.proxmox import (
    ageing,
    between,
    ceph,
    crush,
    forming,
    guests,
    preflight,
    rules,
    running,
    settings,
    stopping,
    takeover,
    tokens,
    walls,
)
from metal.drivers.proxmox.api import Api
from metal.drivers.proxmox.found import found
from metal.drivers.proxmox.look import Known, look
from metal.drivers.proxmox.node import Node, NodeAccess
from metal.drivers.proxmox.patience import Patience
from metal.drivers.proxmox.takeover import Root
from metal.model.addresses import Addressing
from metal.model.backup import Backup
from metal.model.errors import BadInput, Refused
from metal.model.found import FoundCluster
from metal.model.hypervisor import (
    Capabilities,
    Condition,
    HaPlace,
    Holding,
    HostResources,
    Landing,
    VmSpec,
)
from metal.model.plan import HaWishes
from metal.model.walls import SeenWall, WallOptions, WallRule
from metal.model.world import SeenCluster, SeenVm


class Proxmox:
    """One cluster, or a solo node.

    `nodes`: every server of the inventory's cluster, joined already or not.
    `cluster`: its name in the inventory, for what `look` returns. `solo`: it is a machine of its
    own, complete without any cluster configuration.
    `password`: node → the password of `user` there, asked for at each login and never kept.
    `token`: an API token (USER@REALM!ID=SECRET) for all that Proxmox lets tokens do; "" for none.
    `known`: the VMs that were there before metal.
    `poll`: seconds between two looks while it waits; the rest of `patience` are deadlines.
    `repinned`: told (node, fingerprint) when joining gave a node a new certificate.
    `root`: how VMs of a dead node are taken over; without it they are not.
    """

    def __init__(
        self,
        nodes: dict[str, NodeAccess],
        user: str = "root@pam",
        *,
        cluster: str = "",
        solo: bool = False,
        password: Callable[[str], str],
        token: Callable[[], str] = lambda: "",
        known: Known | None = None,
        patience: Patience | None = None,
        poll: float | None = None,
        repinned: Callable[[str, str], None] = lambda _node, _pin: None,
        root: Root | None = None,
    ) -> None:
        self._patience = patience or Patience()
        if poll is not None:
            self._patience = replace(self._patience, poll=poll)
        timeout = (self._patience.connect, self._patience.answer)
        made = {n: Node(n, access, user, password, timeout, token) for n, access in nodes.items()}
        self._api, self._repinned = Api(made, self._patience), repinned
        self._cluster, self._solo, self._known = cluster, solo, known or Known()
        self._root = root
        self.capabilities = Capabilities(
            kind="proxmox", quorum=True, restarts=True, restarted=root is not None
        )

    @property
    def silent(self) -> dict[str, str]:
        """Node → why it did not answer the last look."""
        return dict(self._api.silent)

    def look(
        self, *, thorough: bool = False
    ) -> tuple[SeenCluster, dict[str, str], dict[str, SeenVm]]:
        """Never raises for a silent node; addresses of VMs on one that is gone are not known."""
        return look(self._api, self._cluster, solo=self._solo, known=self._known, thorough=thorough)

    def found(self) -> FoundCluster:
        """All of the cluster as it is, whoever made it."""
        return found(self._api)

    def certificate_of(self, node: str) -> tuple[str, str]:
        """(another node, the fingerprint that it vouches for); "" where it tells none."""
        others = {name: n for name, n in self._api.nodes.items() if name != node}
        return forming.certificate_of(Api(others, self._patience), node)

    def has_token(self, ident: str) -> bool:
        """Whether there is one of that name already, whoever keeps its secret."""
        return tokens.has_token(self._api, ident)

    def make_token(self, ident: str, comment: str) -> str:
        """A new API token of metal's own user and role; whoever calls keeps it at once."""
        return tokens.make_token(self._api, ident, comment)

    def lacking(self) -> frozenset[str]:
        """Privileges that metal's role has and the credential in use has not."""
        return tokens.lacking(self._api)

    def resources(self, node: str) -> HostResources:
        return stopping.resources(self._api, self._node(node).name)

    def ensure_created(self, name: str, node: str, links: Sequence[str] = ()) -> None:
        forming.ensure_created(self._api, name, self._node(node), links)

    def ensure_joined(self, node: str, through: str, links: Sequence[str] = ()) -> None:
        joining, member = self._node(node), self._node(through)
        forming.ensure_joined(self._api, joining, member, self._repinned, links)

    # ── growing old ─────────────────────────────────────────────────────────────────────────

    def condition(self) -> Condition:
        return ageing.condition(self._api)

    def ensure_no_data_moves(self, *, on: bool) -> None:
        ageing.ensure_flag(self._api, on=on)

    def booted(self, node: str) -> int:
        return ageing.booted(self._api, node)

    def reboot(self, node: str) -> None:
        ageing.reboot(self._api, node)

    def shut_down(self, node: str) -> None:
        ageing.shut_down(self._api, node)

    def guests_on(self, node: str) -> tuple[str, ...]:
        return ageing.guests_on(self._api, node)

    def ha_recovers(self) -> frozenset[int]:
        return ageing.ha_recovers(self._api)

    def ensure_removed_node(self, node: str) -> None:
        ageing.ensure_removed(self._api, node)

    def ensure_no_peer(self, node: str) -> None:
        settings.ensure_no_peer(self._api, node)

    def ensure_renamed(self, old: str, new: str) -> None:
        rules.ensure_renamed(self._api, old, new)

    def osds_of(self, node: str) -> tuple[int, ...]:
        return ageing.osds_of(self._api, node)

    def ensure_osds_out(self, node: str) -> None:
        ageing.ensure_osds_out(self._api, node)

    def needed_osds(self, node: str) -> tuple[int, ...]:
        return ageing.needed_osds(self._api, node)

    def ensure_no_osd(self, node: str, number: int) -> None:
        ageing.ensure_no_osd(self._api, node, number)

    def ensure_no_daemons(self, node: str) -> None:
        ageing.ensure_no_daemons(self._api, node)

    # ── forming ─────────────────────────────────────────────────────────────────────────────

    def ensure_scheduling(self) -> None:
        settings.ensure_scheduling(self._api)

    def ensure_firewall(self, mesh: Sequence[str]) -> None:
        settings.ensure_firewall(self._api, mesh)

    # ── the firewall before VMs ─────────────────────────────────────────────────────────────

    def wall(self, vmid: int) -> SeenWall:
        return walls.seen(self._api, vmid)

    def datacenter_on(self) -> bool:
        return walls.datacenter_on(self._api)

    def ensure_datacenter(self, *, on: bool) -> None:
        walls.ensure_datacenter(self._api, on=on)

    def ensure_opened(self, vmid: int, rules: Sequence[WallRule]) -> None:
        walls.ensure_opened(self._api, vmid, rules)

    def ensure_wall_options(self, vmid: int, options: WallOptions) -> None:
        walls.ensure_options(self._api, vmid, options)

    def ensure_only(self, vmid: int, comments: Sequence[str]) -> None:
        walls.ensure_only(self._api, vmid, comments)

    # ── forming, further ────────────────────────────────────────────────────────────────────

    def told(self) -> tuple[str, ...]:
        return self._api.take_warnings()

    def ensure_ceph(self, node: str, *, first: bool, network: str, replication: str = "") -> None:
        ceph.ensure_ceph(self._api, node, first=first, network=network, replication=replication)

    def ensure_osd(self, node: str, device: str, serial: str | None = None) -> None:
        ceph.ensure_osd(self._api, node, device, serial)

    def unused_disks(self, node: str) -> tuple[str, ...]:
        """Device paths of the disks that nothing uses, in order."""
        return ceph.unused_disks(self._api, node)

    def ensure_pool(self, name: str) -> None:
        ceph.ensure_pool(self._api, name)

    def crush_faults(self, storage: str) -> tuple[str, ...]:
        return crush.faults(self._api, ceph.pool_of(self._api, storage))

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
        guests.ensure_vm(
            self._api,
            vmid=vmid,
            name=name,
            node=node,
            vcpus=vcpus,
            memory_mib=memory_mib,
            disk_gib=disk_gib,
            storage=storage,
            addressing=addressing,
            ha=ha,
            cpu=cpu,
        )

    def ensure_described(self, vmid: int, name: str, addressing: Addressing) -> None:
        guests.ensure_described(self._api, vmid, name, addressing)

    def ensure_started(self, vmid: int) -> None:
        running.ensure_started(self._api, vmid)

    def ensure_shut_down(self, vmid: int, seconds: float = 180) -> None:
        stopping.ensure_shut_down(self._api, vmid, seconds)

    def ensure_off(self, vmid: int) -> None:
        stopping.ensure_off(self._api, vmid)

    def ensure_removed(self, vmid: int) -> None:
        stopping.ensure_removed(self._api, vmid)

    def ensure_sent_removed(self, vmid: int) -> None:
        stopping.ensure_sent_removed(self._api, vmid)

    def ensure_restarted(
        self, vm: VmSpec, target: str, fenced: str, allowed: Allowed = lambda _what: None
    ) -> str:
        if self._root is None:
            raise Refused(
                f"{vm.name} is not restarted elsewhere: nobody may log in to its nodes",
                where=target,
                mend=f"add it to HA while {fenced} is off, and HA recovers it; or repair {fenced}",
            )
        return takeover.ensure_taken_over(self._api, self._root, vm, target, fenced, allowed)

    def obstacles(self, vmid: int, target: str) -> tuple[str, ...]:
        return preflight.obstacles(self._api, vmid, target)

    def ensure_migrated(self, vmid: int, target: str, mib_s: int = 0) -> None:
        if mib_s and vmid in self.ha_managed():
            settings.ensure_slower(self._api, mib_s)
        running.ensure_migrated(self._api, vmid, target, mib_s)

    def ensure_apart(self, group: str, vmids: tuple[int, ...]) -> None:
        rules.ensure_apart(self._api, group, vmids)

    def ensure_together(self, name: str, vmids: tuple[int, ...]) -> None:
        rules.ensure_together(self._api, name, vmids)

    def ensure_home(self, vmid: int, nodes: tuple[str, ...]) -> None:
        rules.ensure_home(self._api, vmid, nodes)

    def ensure_wishes(self, wishes: HaWishes) -> None:
        rules.ensure_wishes(self._api, wishes)

    # ── between clusters ────────────────────────────────────────────────────────────────────

    def holding(self, vmid: int) -> Holding | None:
        return between.holding(self._api, vmid)

    def landing(self, node: str, token: str, storage: str, disk_gib: int) -> Landing:
        return between.landing(self._api, self._node(node).name, token, storage, disk_gib)

    def ensure_released(self, vmid: int) -> None:
        between.ensure_released(self._api, vmid)

    def ha_place(self, vmid: int) -> HaPlace:
        return rules.place_of(self._api, vmid)

    def ensure_given_back(self, vmid: int, place: HaPlace, *, onboot: bool) -> None:
        between.ensure_onboot(self._api, vmid, on=onboot)
        rules.ensure_place(self._api, vmid, place)

    def ensure_kept(self, vmid: int, ha: str | None, *, onboot: bool, running: bool = True) -> None:
        between.ensure_kept(self._api, vmid, ha, onboot=onboot, running=running)

    def send(self, vmid: int, to: Landing, *, running: bool) -> None:
        between.send(self._api, vmid, to, running=running)

    def is_sending(self, vmid: int) -> bool:
        return between.is_sending(self._api, vmid)

    def backup_storages(self) -> dict[str, tuple[str, ...]]:
        return between.backup_storages(self._api)

    def backups(self, storage: str) -> tuple[Backup, ...]:
        return between.backups(self._api, storage)

    def back_up(self, vmid: int, storage: str, limit_kib: int = 0) -> str:
        return between.back_up(self._api, vmid, storage, limit_kib)

    def restore(self, vmid: int, to: Landing, storage: str, backup: str) -> None:
        between.restore(self._api, vmid, to, storage, backup)

    def ha_managed(self) -> frozenset[int]:
        """Ids of the VMs that the cluster restarts elsewhere by itself."""
        return guests.ha_managed(self._api)

    def where(self, vmid: int) -> tuple[str, str]:
        return running.where(self._api, vmid)

    def written(self, vmid: int) -> int | None:
        return stopping.written(self._api, vmid)

    def _node(self, name: str) -> Node:
        if name not in self._api.nodes:
            known = ", ".join(self._api.nodes)
            raise BadInput(f"no access to a node {name!r}", where=name, mend=f"known: {known}")
        return self._api.nodes[name]
