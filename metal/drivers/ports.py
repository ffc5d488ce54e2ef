"""What stages ask of the outside world. Protocols only: they import the model and nothing else.

Every mutating call is `ensure_…`: safe to repeat, it returns once the wanted state was read
back, and raises Unreachable (worth a retry), Failed or Refused otherwise.
"""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, runtime_checkable

from metal.model.addresses import Addressing
from metal.model.backup import Backup
from metal.model.facts import (
    Account,
    BootDevice,
    BootMode,
    BootOnce,
    Facts,
    HealthReport,
    LogEntry,
    LogMark,
    LogNews,
    Power,
)
from metal.model.findings import Exposure
from metal.model.hypervisor import (
    Capabilities,
    Condition,
    HaPlace,
    Holding,
    HostResources,
    Landing,
    VmSpec,
)
from metal.model.keys import Pin, Slot
from metal.model.plan import HaWishes
from metal.model.world import SeenCluster, SeenVm


class Bmc(Protocol):
    """One server's baseboard controller, logged in, its certificate pinned."""

    protocol: str
    """"redfish" or "ipmi"."""
    fingerprint: str | None
    """SHA-256 of the certificate that was shown; None over IPMI."""
    cipher_suite: int | None
    """The IPMI cipher suite that worked; None over Redfish."""

    def nodes(self) -> tuple[str, ...]:
        """Ids of the servers behind this BMC, in its order; ("",) where there is just one."""

    def facts(self) -> Facts: ...
    def power(self) -> Power: ...
    def health(self) -> HealthReport: ...

    def ensure_power(self, wanted: Power) -> None:
        """Switch on or off (hard) and wait until the BMC reads the wanted state back."""

    def ensure_shut_down(self) -> None:
        """Ask the system to shut down and wait until it is off; Failed if it does not."""

    def cycle(self) -> None:
        """Hard off and on again, seen to be both. Not safe to repeat: each call restarts it."""

    def boot_once(self) -> BootOnce | None:
        """What the next boot alone is set to; None: its usual order."""

    def ensure_boot_once(self, device: BootDevice, mode: BootMode | None = None) -> BootOnce:
        """The next boot alone is from `device`, in `mode` if the BMC lets one choose; read back.

        Failed when it does not stick, whatever the BMC said.
        """

    def ensure_usual_boot(self) -> None:
        """The next boot goes by the usual order: what `ensure_boot_once` set is taken back."""

    def ensure_media(self, url: str) -> str:
        """The image at `url` is in a virtual drive; its slot. Refused where there is none."""

    def ensure_no_media(self) -> None:
        """Every virtual drive that `metal` can empty is empty."""

    def accounts(self) -> tuple[Account, ...]:
        """Its log-ins, free slots left out."""

    def ensure_account(self, user: str, password: str) -> None:
        """The administrator account `user` has `password`; the session goes on with it."""

    def ensure_locked_out(self, user: str) -> None:
        """The account `user` (never the session's own) cannot log in any more."""

    def log(self) -> tuple[LogEntry, ...]:
        """The event log, oldest first, the last 1,000 entries."""

    def log_news(self, mark: LogMark | None) -> LogNews:
        """What was logged since `mark`, in few calls however long the log is; without a mark
        nothing but where the log ends. History is not news: where it cannot be told what is new,
        nothing is."""

    def ensure_log_empty(self) -> None:
        """Clear the event log; the caller saved it."""

    def exposure(self) -> Exposure:
        """What it offers to whoever reaches it. Asks only, changes nothing, guesses nothing."""

    def console(self) -> "Console":
        """The serial console, taken from whoever has it (I11); Refused where there is none."""

    def close(self) -> None: ...


class Console(Protocol):
    """A server's serial console."""

    def read(self, timeout: float) -> bytes:
        """What came within `timeout` seconds, b"" if nothing; Unreachable when it broke."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...


@runtime_checkable
class PowerMeter(Protocol):
    """A BMC that can tell what its server draws."""

    def watts(self) -> float | None:
        """Watts now; None where the board does not measure it."""


class PowerSwitch(Protocol):
    """What can take a server's power away: its BMC, a switched PDU, a person."""

    by: str
    """For a message: "its BMC", "fence_apc_snmp at 10.0.0.5, plug 3", "a person at the rack"."""

    def power(self) -> Power:
        """As read now. unknown: nobody can read it; Unreachable without answer."""

    def ensure_power(self, wanted: Power) -> None:
        """Switch, and read back; Failed when it does not become so, Unreachable without answer.

        Off is proven, never concluded from silence. A person's switch is Unreachable until the
        person has answered: ask again, it is the same request.
        """

    def close(self) -> None: ...


Allowed = Callable[[str], None]
"""Told what is about to be done, in words; raises where it may not be done any more."""


class Hypervisor(Protocol):
    """The hosts of one cluster (or a solo machine) through whichever of them answers."""

    capabilities: Capabilities

    @property
    def silent(self) -> dict[str, str]:
        """Node → why it did not answer the last look."""

    def look(
        self, *, thorough: bool = False
    ) -> tuple[SeenCluster, dict[str, str], dict[str, SeenVm]]:
        """(cluster, node → online|offline|unknown, VM name → VM).

        `thorough`: the addresses of VMs are read from each one's configuration, not remembered.
        """

    def told(self) -> tuple[str, ...]:
        """What succeeded since this was last asked and warned all the same, in its own words."""

    def resources(self, node: str) -> HostResources:
        """What that host has; Unreachable without answer."""

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
        """The VM exists. One of that id but another name is Refused, wherever it runs is left."""

    def ensure_described(self, vmid: int, name: str, addressing: Addressing) -> None:
        """At the VM stands by which shared address it is reached, or that it is by none; what
        people wrote there stays. Its cards and its system are as they were."""

    def ensure_started(self, vmid: int) -> None: ...

    def ensure_shut_down(self, vmid: int, seconds: float = 180) -> None:
        """Its system was asked to shut down and did; Failed if it did not within `seconds`."""

    def ensure_off(self, vmid: int) -> None:
        """It does not run: its power is cut if it must be."""

    def ensure_removed(self, vmid: int) -> None:
        """It is gone, with its disks. Refused while it runs: whoever means it stops it first."""

    def obstacles(self, vmid: int, target: str) -> tuple[str, ...]:
        """What keeps the VM from moving to `target` now, in words; empty when nothing is known to.

        Asks only: the target is online, has the storages, bridges, version, processor and memory.
        """

    def ensure_migrated(self, vmid: int, target: str, mib_s: int = 0) -> None:
        """The VM runs on `target`, moved live; returns once it does.

        `mib_s`: MiB a second that its way may take of the network; 0: all there is. Others may
        be moved at the same time, from other threads.
        """

    def ensure_restarted(
        self, vm: VmSpec, target: str, fenced: str, allowed: Allowed = lambda _what: None
    ) -> str:
        """The VM, last on `fenced`, runs: on `target`, or wherever it was seen to run already;
        returns where.

        Whoever calls holds the proof that `fenced` is off. `allowed` is told what is about to be
        done, right before each change and the start, and raises where it may not be any more.
        Refused, with the reason, where it cannot run there or the hypervisor's own HA does this.
        """

    def ensure_apart(self, group: str, vmids: tuple[int, ...]) -> None:
        """HA never puts two of these VMs on one node. Those not HA-managed are passed over."""

    def ensure_together(self, name: str, vmids: tuple[int, ...]) -> None:
        """HA keeps these VMs on one node. Those not HA-managed are passed over."""

    def ensure_home(self, vmid: int, nodes: tuple[str, ...]) -> None:
        """HA brings the VM back to the first of these that is online. Passed over without HA."""

    def ha_managed(self) -> frozenset[int]:
        """Ids of the VMs that the cluster restarts elsewhere by itself."""

    def where(self, vmid: int) -> tuple[str, str]:
        """(node, running|stopped|unknown) of a VM; Failed when there is none of that id."""

    def written(self, vmid: int) -> int | None:
        """Bytes its disks took since it was started; None where the hypervisor cannot tell."""


@runtime_checkable
class Forms(Protocol):
    """A hypervisor whose hosts form a cluster of its own, with Ceph."""

    def ensure_created(self, name: str, node: str, links: Sequence[str] = ()) -> None:
        """A cluster `name` exists on `node`, alone in it, quorate.

        `links`: the node's addresses on corosync's networks, the best first; none: its own.
        """

    def ensure_joined(self, node: str, through: str, links: Sequence[str] = ()) -> None:
        """`node` is a member, online, and the cluster is quorate again."""

    def ensure_wishes(self, wishes: HaWishes) -> None:
        """HA knows these wishes of its VMs, and none that metal told it of before. Rules that
        somebody else made stay, and count more."""

    def ensure_renamed(self, old: str, new: str) -> None:
        """Wishes of HA for the server `old` are for `new` from now on, which is a member."""

    def ensure_scheduling(self) -> None:
        """Where VMs are restarted is chosen by memory and CPUs, not by counting VMs."""

    def ensure_firewall(self, mesh: Sequence[str]) -> None:
        """The nodes' management answers to these networks and to the nodes themselves only.

        Refused while we ourselves come from elsewhere.
        """

    def ensure_ceph(self, node: str, *, first: bool, network: str, replication: str = "") -> None:
        """Ceph is initialised and `node` has a monitor and a manager.

        `network`: of clients, monitors and OSDs; `replication`: of what OSDs copy, if another.
        """

    def ensure_osd(self, node: str, device: str, serial: str | None = None) -> None:
        """An encrypted OSD on the disk of that serial, or else on `device` (/dev/sdb).

        A disk in use by anything else is Refused.
        """

    def unused_disks(self, node: str) -> tuple[str, ...]:
        """Device paths of the node's disks that nothing uses, in order."""

    def ensure_pool(self, name: str) -> None:
        """A replicated pool of size 3/min 2 that is also a storage for VM disks."""

    def crush_faults(self, storage: str) -> tuple[str, ...]:
        """Why the loss of one server would stop or lose what is on a storage of Ceph's; empty
        where it would not."""


class Ages(Protocol):
    """A cluster whose servers can be restarted, taken out and replaced one at a time."""

    def condition(self) -> Condition: ...

    def ensure_no_data_moves(self, *, on: bool) -> None:
        """Ceph copies nothing because a server is away for a while (its flag noout)."""

    def booted(self, node: str) -> int:
        """When it booted, in seconds since 1970, to within two seconds."""

    def reboot(self, node: str) -> None:
        """Ask for it. Not safe to repeat: look at `booted`."""

    def shut_down(self, node: str) -> None:
        """Ask for it."""

    def guests_on(self, node: str) -> tuple[str, ...]:
        """Every guest whose configuration is there, running or not: "101 git"."""

    def ha_recovers(self) -> frozenset[int]:
        """Ids of the guests that go elsewhere by themselves when their node dies."""

    def ensure_removed_node(self, node: str) -> None:
        """It is no member any more; Refused while it is online."""

    def ensure_no_peer(self, node: str) -> None:
        """The cluster's firewall lets no address in as that node's any more."""

    def osds_of(self, node: str) -> tuple[int, ...]: ...

    def ensure_osds_out(self, node: str) -> None:
        """Their data moves to the others."""

    def needed_osds(self, node: str) -> tuple[int, ...]:
        """Those of its OSDs that hold data which is not as often elsewhere as it should be."""

    def ensure_no_osd(self, node: str, number: int) -> None: ...

    def ensure_no_daemons(self, node: str) -> None:
        """It has no monitor and no manager."""

    def ensure_migrated(self, vmid: int, target: str) -> None: ...

    def where(self, vmid: int) -> tuple[str, str]: ...


class Crosses(Protocol):
    """A cluster that VMs leave for another one, or come to from one."""

    def holding(self, vmid: int) -> Holding | None:
        """What is there of the VM; None: nothing."""

    def landing(self, node: str, token: str, storage: str, disk_gib: int) -> Landing:
        """Where a VM may come in on `node`; Refused where it has no room or no bridge for it."""

    def ensure_released(self, vmid: int) -> None:
        """HA leaves it alone, and its node does not start it at boot. It runs on."""

    def ha_place(self, vmid: int) -> HaPlace:
        """All that HA has of it."""

    def ensure_given_back(self, vmid: int, place: HaPlace, *, onboot: bool) -> None:
        """HA has it as in `place`, in its rules too, and its node starts it at boot as before."""

    def ensure_kept(self, vmid: int, ha: str | None, *, onboot: bool, running: bool = True) -> None:
        """HA manages it, and remembers `ha`, where that is not None, and wants it as it is; its
        node starts it at boot."""

    def send(self, vmid: int, to: Landing, *, running: bool) -> None:
        """It is sent, live if it runs; ours stays behind, stopped. Not to be asked twice: look."""

    def is_sending(self, vmid: int) -> bool:
        """A task that sends it, or moves it, has not ended."""

    def backup_storages(self) -> dict[str, tuple[str, ...]]:
        """Storage for backups that other clusters can reach → by what it is known there."""

    def backups(self, storage: str) -> tuple[Backup, ...]:
        """All that are on it; Failed where it does not answer or is not active."""

    def back_up(self, vmid: int, storage: str, limit_kib: int = 0) -> str:
        """A new backup of a VM that is stopped: its name on the storage. `limit_kib` a second; 0:
        as fast as it goes."""

    def restore(self, vmid: int, to: Landing, storage: str, backup: str) -> None:
        """It is made of the backup, stopped. Not to be asked twice: look."""

    def ensure_started(self, vmid: int) -> None: ...

    def ensure_shut_down(self, vmid: int, seconds: float = 180) -> None: ...

    def ensure_removed(self, vmid: int) -> None: ...

    def ensure_sent_removed(self, vmid: int) -> None:
        """What `send` left behind is gone."""


class Shell(Protocol):
    """What a cluster's API has no call for, on one of its servers. Every call may be repeated."""

    def answers(self) -> None:
        """Returns if it lets us in; else raises why not."""

    def ensure_maintenance(self, node: str, *, on: bool) -> None:
        """HA moves what it manages off that node, and back when it is over."""

    def upgrade(self) -> None:
        """All packages of that server."""

    def checklist(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(what forbids, what warns of) an upgrade to the next release, by the maker's script."""

    def forget_osd(self, number: int) -> None: ...

    def forget_monitor(self, node: str) -> None: ...

    def forget_host(self, node: str) -> None: ...

    def forget_node(self, node: str) -> None: ...


class Secrets(Protocol):
    """secrets/: every file encrypted to all administrators, before anything uses what it holds.

    Names are such as "bmc/alba1", "disk/alba1", "root/alba1".
    """

    def escrow(self, name: str, secret: str, *, controller: bool) -> None:
        """Write `secret` for all administrators (and the controller, if it needs it unattended).

        Durable and read back before it returns; Failed if it could not be, and then nothing of
        that name changed.
        """

    def reveal(self, name: str) -> str | None:
        """A secret escrowed with `controller=True`; None if there is none of that name."""

    def forget(self, name: str) -> None:
        """Drop the controller's own copy; the administrators' stays."""


class Escrow(Secrets, Protocol):
    """Secrets that replace others."""

    def sealed(self, name: str) -> bytes | None:
        """The administrators' file, encrypted as it is; None if there is none."""

    def reseal(self, name: str, secret: str, *, opened: bytes) -> None:
        """Encrypt what `name` holds to today's administrators; `opened`: the file it is from."""

    def promote(self, pending: str, name: str) -> None:
        """What is escrowed as `pending` is `name` from now on; what `name` was stays beside it."""


class DiskKeys(Protocol):
    """The keys of one encrypted disk."""

    device: str

    def slots(self) -> tuple[Slot, ...]:
        """Every slot in use, as the header tells."""

    def slot_of(self, key: str) -> int | None:
        """The slot that `key` opens, by trying; None if it opens none."""

    def ensure_key(self, new: str, *, by: Sequence[str]) -> int:
        """`new` opens it, tried; added by the first of `by` that opens it."""

    def ensure_without(self, old: str, *, keep: str) -> None:
        """`old` opens it no more; `keep` does."""

    def ensure_empty(self, slots: Sequence[int], *, keep: str) -> None:
        """None of `slots` is in use, whatever is in them; `keep` is in another."""

    def ensure_bound(self, pins: Sequence[Pin], *, by: str) -> list[str]:
        """It opens itself by each of `pins`, tried, and by no other; what was done, in words.
        `by`: a key that opens it."""

    def header(self) -> tuple[str, str]:
        """(the disk's UUID, its header packed as text)."""


class HostKeys(Protocol):
    """The SSH host keys that servers are known by, at each of their doors."""

    def of(self, server: str, door: Literal["system", "initramfs"]) -> tuple[str, ...]:
        """The pinned keys, "ssh-ed25519 AAAA…" each; empty where none is."""

    def pin(self, server: str, door: Literal["system", "initramfs"], keys: Sequence[str]) -> None:
        """These are the door's keys from now on."""

    def forget(self, server: str) -> None:
        """It is going to be installed anew, and will show others."""
