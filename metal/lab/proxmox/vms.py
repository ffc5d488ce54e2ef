"""What can be done to a VM on its node, as tasks: calls and the HA manager both use these.

A copy begins and ends in one moment each, and never where there is no power: `Vm.copies` is the
truth that the whole lab is judged by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metal.lab.proxmox import rbd, tasks
from metal.lab.proxmox.errors import TaskError
from metal.lab.proxmox.state import Node, Vm
from metal.lab.proxmox.tasks import Task, Work

if TYPE_CHECKING:
    from metal.lab.proxmox.datacenter import Datacenter

NO_MEMORY = "start failed: QEMU exited with code 1"


def start(dc: Datacenter, node: Node, vm: Vm, user: str) -> Task:
    """A start that exceeds the node's memory fails: nothing is overcommitted here."""
    return tasks.begin(dc, node, "qmstart", str(vm.vmid), user, _start(dc, node, vm))


def stop(dc: Datacenter, node: Node, vm: Vm, user: str) -> Task:
    return tasks.begin(dc, node, "qmstop", str(vm.vmid), user, _stop(node, vm, dc.pace.stop))


def shutdown(dc: Datacenter, node: Node, vm: Vm, user: str) -> Task:
    work = _stop(node, vm, dc.pace.shutdown)
    return tasks.begin(dc, node, "qmshutdown", str(vm.vmid), user, work)


def migrate(dc: Datacenter, node: Node, vm: Vm, target: Node, user: str, *, online: bool) -> Task:
    """Live if it runs: the copy on the target begins when the one here ends."""
    work = _migrate(dc, node, vm, target, online)
    return tasks.begin(dc, node, "qmigrate", str(vm.vmid), user, work)


def _start(dc: Datacenter, node: Node, vm: Vm) -> Work:
    _unlocked(vm)
    if vm.copies or vm.node != node.name:
        raise TaskError(f"VM {vm.vmid} already running")
    if vm.memory_mib > node.free_memory_mib():
        raise TaskError(NO_MEMORY)
    vm.begin(node.name, dc.timeline.now)
    vm.starts += 1
    waits = rbd.opened(node, vm)
    dc.event(node.name, f"VM {vm.vmid} started" + (", waits for an old lock" if waits else ""))
    yield dc.pace.start
    return None


def _stop(node: Node, vm: Vm, seconds: float) -> Work:
    if vm.lock not in ("", "suspended"):
        raise TaskError(f"VM is locked ({vm.lock})")
    if node.name in vm.copies:
        yield seconds
        vm.end(node.name)
        vm.holder = ""
    return None


def _migrate(dc: Datacenter, node: Node, vm: Vm, target: Node, online: bool) -> Work:
    _unlocked(vm)
    running = node.name in vm.copies
    if running and not online:
        raise TaskError("can't migrate running VM without --online")
    if not target.answers or target.name not in node.cluster.members:
        raise TaskError(f"ssh: connect to host {target.address} port 22: No route to host")
    if running and vm.memory_mib > target.free_memory_mib():
        raise TaskError(f"migration aborted: {target.name}: {NO_MEMORY}")
    seconds = dc.pace.migrate
    if running:
        vm.incoming = target.name
        seconds += dc.pace.migrate_per_gib * vm.memory_mib / 1024
    vm.lock, life = "migrate", target.lives
    try:
        yield seconds
    finally:
        vm.incoming = ""
    # Not in the finally: a node that dies leaves its locks behind.
    vm.lock = ""
    if not target.answers or target.lives != life or not node.quorate(dc.timeline.now):
        raise TaskError("migration problems")
    if running and node.name not in vm.copies:
        raise TaskError("migration aborted: VM stopped meanwhile")
    if running:
        vm.end(node.name)
        vm.begin(target.name, dc.timeline.now)
        vm.holder = ""  # handed over
        rbd.opened(target, vm)
    vm.node = target.name
    dc.event(node.name, f"VM {vm.vmid} migrated to {target.name}")
    return None


def send(
    dc: Datacenter, node: Node, vm: Vm, target: Node, new: Vm, user: str, *, delete: bool
) -> Task:
    """To another cluster: `new` is there, locked, until all has come over."""
    work = _send(dc, node, vm, target, new, delete)
    return tasks.begin(dc, node, "qmigrate", str(vm.vmid), user, work)


def _send(dc: Datacenter, node: Node, vm: Vm, target: Node, new: Vm, delete: bool) -> Work:
    _unlocked(vm)
    if new.vmid in target.cluster.vms:
        raise TaskError(f"remote: VM {new.vmid} already exists")
    running, life = node.name in vm.copies, target.lives
    if running and vm.memory_mib > target.free_memory_mib():
        raise TaskError(f"migration aborted: {target.name}: {NO_MEMORY}")
    vm.lock = new.lock = "migrate"
    target.cluster.vms[new.vmid] = new
    yield dc.pace.migrate + dc.pace.migrate_per_gib * vm.memory_mib / 1024
    if not target.answers or target.lives != life or not node.answers:
        vm.lock = ""
        raise TaskError("error - tunnel command failed: connection closed")
    new.lock = ""  # the old one stays locked, as in Proxmox: it must not be started by accident
    if running:
        vm.end(node.name)
        new.begin(target.name, dc.timeline.now)
        # One machine, in two clusters' books.
        new.starts, new.max_copies = vm.starts, max(new.max_copies, vm.max_copies)
    if delete:
        del node.cluster.vms[vm.vmid]
    dc.event(node.name, f"VM {vm.vmid} sent to {target.name}")
    return None


def _unlocked(vm: Vm) -> None:
    if vm.lock:
        raise TaskError(f"VM is locked ({vm.lock})")
