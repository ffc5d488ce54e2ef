"""What the hosts show now, and which of several copies of a VM's definition is the VM.

There is no cluster that agrees on anything: each host speaks for itself. A host counts as offline
when it says nothing at all while most of the others do answer, so that it is the host that is
gone and not our own line; one that refuses us is alive, and unknown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from metal.drivers.libvirt.calls import libvirt, missing
from metal.drivers.libvirt.domain import Told, read
from metal.drivers.libvirt.hosts import Hosts, Silent
from metal.model.errors import Failed, MetalError, Unreachable
from metal.model.world import NodeState, SeenCluster, SeenVm, VmState

_ORDER: tuple[VmState, ...] = ("running", "unknown", "stopped")


@dataclass(frozen=True)
class Copy:
    """One host's definition of a VM."""

    node: str
    told: Told
    state: VmState
    untold: bool = False
    """Stopped, for a reason that its host does not know: it was defined, or the host started,
    since it last ran. Of what somebody stopped since then libvirt knows who did."""


@dataclass(frozen=True)
class Sight:
    """What all hosts said at one time."""

    hosts: tuple[str, ...]
    copies: tuple[Copy, ...]
    silent: Mapping[str, MetalError]
    """Host → why it did not answer."""

    @property
    def majority(self) -> bool:
        """Whether more than half of the hosts answered."""
        return 2 * (len(self.hosts) - len(self.silent)) > len(self.hosts)

    def of(self, vmid: int) -> tuple[Copy, ...]:
        return tuple(copy for copy in self.copies if copy.told.vmid == vmid)

    def state(self, copy: Copy) -> VmState:
        """A host that was fenced and came back still defines what runs elsewhere by now: while a
        host is silent, a stopped copy does not tell that the VM is stopped."""
        return "unknown" if copy.state == "stopped" and self.silent else copy.state

    def find(self, vmid: int) -> Copy:
        """Where the VM is; Unreachable when only a silent host can tell, Failed if nowhere."""
        found = best(self.of(vmid))
        if found is None:
            raise self.hidden(f"where VM {vmid} is, is not known") or Failed(
                f"there is no VM {vmid}", where=", ".join(self.hosts), mend="plan again"
            )
        return found

    def hidden(self, what: str, *, but: str = "") -> Unreachable | None:
        """Why a VM that nobody showed may run all the same; None when every host answered."""
        silent = {name: error for name, error in self.silent.items() if name != but}
        if not silent:
            return None
        return Unreachable(
            f"{what}: " + "; ".join(f"{name}: {error.what}" for name, error in silent.items()),
            where=", ".join(silent),
            mend="make it answer, or prove it off: `metal watch --act` fences it by its BMC",
        )


def see(hosts: Hosts) -> Sight:
    """Every VM of every host that answers."""
    found, silent = hosts.each(
        lambda node, connection: [_copy(node, domain) for domain in connection.listAllDomains()]
    )
    there = tuple(copy for here in found.values() for copy in here if copy is not None)
    return Sight(tuple(hosts.all), there, silent)


def shown(sight: Sight, cluster: str) -> tuple[SeenCluster, dict[str, str], dict[str, SeenVm]]:
    """As the port's `look` wants it."""
    if len(sight.silent) == len(sight.hosts):
        return SeenCluster(), dict.fromkeys(sight.hosts, "unknown"), {}
    seen = SeenCluster(formed=True, quorate=sight.majority, nodes=tuple(sorted(sight.hosts)))
    states: dict[str, str] = {name: _node_state(sight, name) for name in sight.hosts}
    return seen, states, _vms(sight, cluster)


def best(copies: Iterable[Copy]) -> Copy | None:
    """Where the VM is: where it runs, else where it moves, else where it was defined."""
    return min(copies, key=lambda copy: (_ORDER.index(copy.state), copy.node), default=None)


def state_of(domain: Any) -> VmState:
    return _state_of(domain.state()[0])


def _state_of(state: int) -> VmState:
    module = libvirt()
    if state in (module.VIR_DOMAIN_RUNNING, module.VIR_DOMAIN_BLOCKED, module.VIR_DOMAIN_SHUTDOWN):
        return "running"
    if state in (module.VIR_DOMAIN_SHUTOFF, module.VIR_DOMAIN_CRASHED):
        return "stopped"
    # Paused: it waits for its memory to arrive, or for its disk.
    return "unknown"


def _copy(node: str, domain: Any) -> Copy | None:
    try:
        told = read(domain.XMLDesc())
        state, reason = domain.state()
        untold = state == libvirt().VIR_DOMAIN_SHUTOFF and (
            reason == libvirt().VIR_DOMAIN_SHUTOFF_UNKNOWN
        )
        return Copy(node, told, _state_of(state), untold)
    except libvirt().libvirtError as error:
        if not missing(error):
            raise  # the host is dying: what it did not tell is not gone
        return None  # it moved away this moment


def _node_state(sight: Sight, name: str) -> NodeState:
    if name not in sight.silent:
        return "online"
    gone = sight.majority and isinstance(sight.silent[name], Silent)
    return "offline" if gone else "unknown"


def _vms(sight: Sight, cluster: str) -> dict[str, SeenVm]:
    """A VM that really runs twice is shown twice: nothing worse can be seen."""
    found: dict[str, SeenVm] = {}
    for name in sorted({copy.told.name for copy in sight.copies}):
        own = [copy for copy in sight.copies if copy.told.name == name]
        chosen = best(own)
        assert chosen is not None
        twins = [copy for copy in own if copy.state == "running" and copy is not chosen]
        for copy in (chosen, *twins):
            shown_as = name if copy is chosen else f"{name}#{copy.node}"
            found[shown_as] = SeenVm(
                vmid=copy.told.vmid or 0,
                cluster=cluster,
                server=copy.node,
                state=sight.state(copy),
                addresses=copy.told.addresses,
                shared=copy.told.shared,
                memory_mib=copy.told.memory_mib,
                vcpus=copy.told.vcpus,
                untold=copy.untold,
            )
    return found
