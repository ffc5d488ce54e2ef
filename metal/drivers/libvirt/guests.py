"""VMs: made once, started where nobody else runs them, stopped, removed.

Nothing but the caller's proof that a host is off tells that its VMs do not run: while a host is
silent, a VM that is not seen to run elsewhere may run there, and is not started.
"""

import time
from collections.abc import Callable
from typing import Any

from metal.drivers.libvirt.calls import libvirt, missing
from metal.drivers.libvirt.disks import (
    disk_of,
    ensure_no_volume,
    ensure_volume,
    pool_of,
    volume_of,
)
from metal.drivers.libvirt.domain import SPACE, Machine, Told, about, read, render
from metal.drivers.libvirt.hosts import Hosts
from metal.drivers.libvirt.look import Copy, Sight, best, see, state_of
from metal.model.addresses import Addressing
from metal.model.errors import Failed, MetalError, Refused, Unreachable
from metal.model.hypervisor import VmSpec


def ensure_vm(hosts: Hosts, machine: Machine, vm: VmSpec, node: str) -> None:
    sight = see(hosts)
    other = next(
        (c for c in sight.copies if c.told.vmid == vm.vmid and c.told.name != vm.name), None
    )
    if other is not None:
        raise Refused(
            f"VM {vm.vmid} is {other.told.name!r}, not {vm.name!r}",
            where=other.node,
            mend=f"remove or renumber that VM; {vm.vmid} is what {vm.name} must have",
        )
    namesake = next((c for c in sight.copies if c.told.name == vm.name), None)
    if namesake is not None and namesake.told.vmid != vm.vmid:
        raise Refused(
            f"there is a VM {vm.name!r} that is not number {vm.vmid}",
            where=namesake.node,
            mend="rename it, or call yours something else",
        )
    if namesake is not None:
        return
    if hidden := sight.hidden(f"whether {vm.name} is there already is not known"):
        raise hidden
    hosts.call(node, lambda connection: _define(connection, machine, vm, node, new=True))
    if len(hosts.all) == 1:
        # Alone, nobody else can run it: it comes back with its host. Elsewhere metal decides.
        hosts.call(node, lambda connection: connection.lookupByName(vm.name).setAutostart(1))


def ensure_described(hosts: Hosts, vmid: int, addressing: Addressing) -> None:
    """In the metadata of every definition of it, also of one that runs."""
    sight = see(hosts)
    sight.find(vmid)
    for copy in sight.of(vmid):
        if copy.told.shared != addressing.shared:
            text = about(copy.told, addressing.shared)
            hosts.call(copy.node, lambda c, copy=copy, text=text: _tell(c, copy.told.name, text))  # type: ignore[misc]


def ensure_started(hosts: Hosts, vmid: int, seconds: float, poll: float) -> None:
    sight = see(hosts)
    at = sight.find(vmid)
    if at.state == "stopped":
        if hidden := sight.hidden(f"whether VM {vmid} runs there is not known"):
            raise hidden
        start(hosts, at)
    wait(lambda: find(hosts, vmid).state == "running", seconds, poll, f"VM {vmid} does not run")
    forget_stale(hosts, vmid)


def ensure_restarted(
    hosts: Hosts,
    machine: Machine,
    vm: VmSpec,
    target: str,
    fenced: str,
    allowed: Callable[[str], None],
) -> str:
    if at := runs_already(see(hosts), vm, fenced):
        return at
    hosts.call(target, lambda connection: _define(connection, machine, vm, target, new=False))
    told = hosts.call(target, lambda c: _told(c, vm.name))
    allowed(f"restart {vm.name} on {target}")
    start(hosts, Copy(target, told, "stopped"))
    return target


def runs_already(sight: Sight, vm: VmSpec, fenced: str) -> str | None:
    """Where; None where it may be started. Refused where the fenced host runs it, Unreachable
    while another one is silent.

    A stopped copy that the fenced host shows is no reason: it is off, or was before it answered.
    """
    elsewhere = best(c for c in sight.of(vm.vmid) if c.node != fenced)
    if elsewhere is not None and elsewhere.state != "stopped":
        return elsewhere.node
    if any(c.node == fenced and c.state != "stopped" for c in sight.of(vm.vmid)):
        raise Refused(
            f"{vm.name} runs on {fenced}, which was said to be off",
            where=fenced,
            mend="it came back by itself: look again before anything is done",
        )
    if hidden := sight.hidden(f"whether {vm.name} runs there is not known", but=fenced):
        raise hidden
    return None


def ensure_off(hosts: Hosts, vmid: int) -> None:
    at = find(hosts, vmid)
    if at.state != "stopped":
        hosts.call(at.node, lambda connection: _unless_stopped(connection, at, "destroy"))


def ensure_shut_down(hosts: Hosts, vmid: int, seconds: float, poll: float) -> None:
    at = find(hosts, vmid)
    if at.state == "stopped":
        return
    hosts.call(at.node, lambda connection: _unless_stopped(connection, at, "shutdown"))
    wait(
        lambda: find(hosts, vmid).state == "stopped",
        seconds,
        poll,
        f"the system of VM {vmid} did not shut down",
        mend="its console tells why; or cut its power",
    )


def ensure_removed(hosts: Hosts, vmid: int) -> None:
    sight = see(hosts)
    running = next((c for c in sight.of(vmid) if c.state != "stopped"), None)
    if running is not None:
        raise Refused(
            f"VM {vmid} ({running.told.name}) runs",
            where=running.node,
            mend="stop it first, if you mean it",
        )
    if hidden := sight.hidden(f"whether VM {vmid} is there is not known"):
        raise hidden
    for copy in sight.of(vmid):
        # The disk first: while its definition is there, it can be found again.
        hosts.call(copy.node, lambda connection, copy=copy: _remove(connection, copy))  # type: ignore[misc]


def find(hosts: Hosts, vmid: int) -> Copy:
    return see(hosts).find(vmid)


def start(hosts: Hosts, at: Copy) -> None:
    hosts.call(at.node, lambda connection: _start(connection, at.told.name))


def forget_stale(hosts: Hosts, vmid: int) -> None:
    """A host that was fenced and came back still has the definition: only one is to be found."""
    there = see(hosts).of(vmid)
    if not any(copy.state == "running" for copy in there):
        return
    for copy in (c for c in there if c.state == "stopped"):
        hosts.call(
            copy.node,
            lambda connection, copy=copy: connection.lookupByName(copy.told.name).undefine(),  # type: ignore[misc]
        )


def wait(
    reached: Callable[[], bool], seconds: float, poll: float, late: str, *, mend: str = ""
) -> None:
    """Until it is so; no answer is "not yet"."""
    deadline = time.monotonic() + seconds
    while True:
        silent: MetalError | None = None
        try:
            if reached():
                return
        except Unreachable as error:
            silent = error
        if time.monotonic() >= deadline:
            raise silent or Failed(f"{late} within {seconds:g} s", mend=mend)
        time.sleep(poll)


def _define(connection: Any, machine: Machine, vm: VmSpec, node: str, *, new: bool) -> None:
    volume, pool = volume_of(vm.vmid, vm.name), pool_of(connection, vm.storage, node)
    disk = ensure_volume(pool, volume, vm.disk_gib) if new else disk_of(pool, volume)
    connection.defineXML(
        render(
            machine,
            disk,
            vmid=vm.vmid,
            name=vm.name,
            vcpus=vm.vcpus,
            memory_mib=vm.memory_mib,
            pool=vm.storage,
            volume=volume,
            addressing=vm.addressing,
            cpu=vm.cpu,
        )
    )


def _tell(connection: Any, name: str, text: str) -> None:
    module, domain = libvirt(), connection.lookupByName(name)
    where = module.VIR_DOMAIN_AFFECT_CONFIG
    if domain.isActive():
        where |= module.VIR_DOMAIN_AFFECT_LIVE
    kind = module.VIR_DOMAIN_METADATA_ELEMENT
    domain.setMetadata(kind, text, "metal", SPACE, where)


def _start(connection: Any, name: str) -> None:
    domain = connection.lookupByName(name)
    if state_of(domain) == "stopped":
        domain.create()


def _told(connection: Any, name: str) -> Told:
    return read(connection.lookupByName(name).XMLDesc())


def _unless_stopped(connection: Any, at: Copy, act: str) -> None:
    """It may have stopped by itself between the look and the act."""
    domain = connection.lookupByName(at.told.name)
    try:
        getattr(domain, act)()
    except libvirt().libvirtError:
        if state_of(domain) != "stopped":
            raise


def _remove(connection: Any, copy: Copy) -> None:
    if copy.told.volume:
        ensure_no_volume(pool_of(connection, copy.told.pool, copy.node), copy.told.volume)
    try:
        connection.lookupByName(copy.told.name).undefine()
    except libvirt().libvirtError as error:
        if not missing(error):
            raise
