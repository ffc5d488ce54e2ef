"""What the hosts show now, and which of several copies of a VM's definition is the VM.

There is no cluster that agrees on anything: each host speaks for itself. A host counts as offline
when it says nothing at all while most of the others do answer, so that it is the host that is
gone and not our own line; one that refuses us is alive, and unknown.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from metal.drivers.libvirt.calls import libvirt
from metal.drivers.libvirt.domain import Told, read
from metal.drivers.libvirt.hosts import Hosts, Silent
from metal.model.errors import Unreachable
from metal.model.world import NodeState, SeenCluster, SeenVm, VmState

_ORDER: tuple[VmState, ...] = ("running", "unknown", "stopped")


@dataclass(frozen=True)
class Copy:
    """One host's definition of a VM."""

    node: str
    told: Told
    state: VmState


def copies(hosts: Hosts) -> list[Copy]:
    """Every VM of every host that answers; `hosts.silent` are the others."""
    found = hosts.each(
        lambda node, connection: [_copy(node, domain) for domain in connection.listAllDomains()]
    )
    return [copy for here in found.values() for copy in here if copy is not None]


def look(hosts: Hosts, cluster: str) -> tuple[SeenCluster, dict[str, str], dict[str, SeenVm]]:
    there = copies(hosts)
    answered = [name for name in hosts.all if name not in hosts.silent]
    if not answered:
        return SeenCluster(), dict.fromkeys(hosts.all, "unknown"), {}
    most = majority(hosts)
    seen = SeenCluster(formed=True, quorate=most, nodes=tuple(sorted(hosts.all)))
    states: dict[str, str] = {name: _state(hosts.silent.get(name), gone=most) for name in hosts.all}
    return seen, states, _vms(hosts, there, cluster)


def majority(hosts: Hosts) -> bool:
    """Whether more than half of the hosts answered."""
    return 2 * (len(hosts.all) - len(hosts.silent)) > len(hosts.all)


def best(copies: Iterable[Copy]) -> Copy | None:
    """Where the VM is: where it runs, else where it moves, else where it was defined."""
    return min(copies, key=lambda copy: (_ORDER.index(copy.state), copy.node), default=None)


def state_of(domain: Any) -> VmState:
    module = libvirt()
    state = domain.state()[0]
    if state in (module.VIR_DOMAIN_RUNNING, module.VIR_DOMAIN_BLOCKED, module.VIR_DOMAIN_SHUTDOWN):
        return "running"
    if state in (module.VIR_DOMAIN_SHUTOFF, module.VIR_DOMAIN_CRASHED):
        return "stopped"
    # Paused: it waits for its memory to arrive, or for its disk.
    return "unknown"


def _copy(node: str, domain: Any) -> Copy | None:
    try:
        return Copy(node, read(domain.XMLDesc()), state_of(domain))
    except libvirt().libvirtError:
        return None  # it moved away this moment


def _state(silence: Exception | None, *, gone: bool) -> NodeState:
    if silence is None:
        return "online"
    return "offline" if gone and isinstance(silence, Silent) else "unknown"


def doubted(hosts: Hosts, copy: Copy) -> VmState:
    """A host that was fenced and came back still defines what runs elsewhere by now: while a
    host is silent, a stopped copy does not tell that the VM is stopped."""
    return "unknown" if copy.state == "stopped" and hosts.silent else copy.state


def _vms(hosts: Hosts, there: list[Copy], cluster: str) -> dict[str, SeenVm]:
    """A VM that really runs twice is shown twice: nothing worse can be seen."""
    found: dict[str, SeenVm] = {}
    names = {copy.told.name for copy in there}
    for name in sorted(names):
        own = [copy for copy in there if copy.told.name == name]
        running = [copy for copy in own if copy.state == "running"]
        chosen = best(own)
        assert chosen is not None
        for copy in [chosen, *(twin for twin in running if twin is not chosen)]:
            shown = name if copy is chosen else f"{name}#{copy.node}"
            found[shown] = SeenVm(
                vmid=copy.told.vmid or 0,
                cluster=cluster,
                server=copy.node,
                state=doubted(hosts, copy),
                addresses=copy.told.addresses,
                memory_mib=copy.told.memory_mib,
            )
    return found


def silence(hosts: Hosts, what: str, *, but: str = "") -> Unreachable | None:
    """Why a VM that nobody showed may be there all the same; None when every host answered."""
    silent = {name: error for name, error in hosts.silent.items() if name != but}
    if not silent:
        return None
    return Unreachable(
        f"{what}: " + "; ".join(f"{name}: {error}" for name, error in silent.items()),
        where=", ".join(silent),
        mend="make it answer, or prove it off: `metal watch` fences it through its BMC",
    )
