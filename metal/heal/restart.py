"""Restart a dead server's VMs elsewhere, where no HA does it.

Where the disks are in Ceph, its clients on the dead server are shut out first: whatever the proof
is worth, nothing writes from there any more, and the first write of the new copy does not wait for
the old one's lock to run out.

Three things keep a VM from running twice: nothing is restarted on a proof that is old, every host
but the proven one must say that it does not run the VM, and every step belongs to one operation
of one leader's term, which is asked for again just before the VM is started.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from metal.heal.abreast import Abreast
from metal.heal.ports import HealPorts
from metal.model.errors import Failed, MetalError, Refused, Unreachable
from metal.model.hypervisor import VmSpec
from metal.model.plan import RecoverServer, Restart, Restarts
from metal.operations.lease import LeaseLost
from metal.operations.run import Run

TRIES = 4
DELETED = "nowhere"
"""Where a VM runs that somebody deleted while it was recovered."""
FRESH = 20.0
"""Seconds for which a reading "off" is believed; then it is read again."""


class Proof:
    """What the server's switch was last seen to read, and by this process itself."""

    def __init__(self, server: str, ports: HealPorts) -> None:
        self._server, self._ports = server, ports
        self._at: float | None = None
        self._turn = threading.Lock()

    def read_off(self) -> None:
        """Its switch read off this moment."""
        self._at = self._ports.monotonic()

    def holds(self) -> bool:
        """Whether it is off now. Whoever resumes an operation of yesterday reads anew."""
        with self._turn:
            now = self._ports.monotonic()
            if self._at is None or now - self._at > FRESH:
                off = self._reads() == "off" and not self._ports.answers(self._server)
                self._at = now if off else None
            return self._at is not None

    def _reads(self) -> str:
        try:
            switch = self._ports.power.open(f"read {self._server}", "whether it is still off")
            try:
                return switch.power()
            finally:
                switch.close()
        except Unreachable:
            return "unknown"


def restart(
    run: Run,
    action: RecoverServer,
    restarts: Restarts,
    ports: HealPorts,
    proof: Proof,
    deleted: Callable[[int], bool] = lambda _vmid: False,
) -> dict[str, str]:
    """VM → the server it runs on, of all that had a place; each has written to its disk.

    `deleted`: whether somebody deleted it meanwhile, where that can be told of a dead server's.
    Failed, naming each VM that does not run and why, once all the others do. Unreachable while a
    host is silent that may run one of them.
    """
    server = action.server
    if restarts.shut_out:
        run.progress(0.25, f"shut {server} out of Ceph")
        run.step(
            f"shut {server} out of Ceph",
            lambda: ports.shut_out(restarts.shut_out),
            tries=TRIES,
            backoff=ports.every,
        )
    landed: dict[str, str] = {}
    failed: dict[str, str] = {}
    planned = {
        one.vm: partial(_restart, run, server, one, ports, proof) for one in restarts.planned
    }
    vms = [*planned, *restarts.stranded]
    with ports.crew(ports.abreast) as crew:
        abreast = Abreast(crew, ports.abreast, planned)
        for done, vm in enumerate(vms):
            run.progress(0.3 + 0.5 * done / len(vms), f"restart {vm} ({done + 1}/{len(vms)})")
            if vm in planned:
                act = partial(abreast.result, vm)
            else:
                vmid = action.vms[vm]
                act = partial(_place_and_restart, run, server, vm, vmid, ports, proof, deleted)
            try:
                landed[vm] = run.step(f"restart {vm}", act, tries=TRIES, backoff=ports.every)
            except (Failed, Refused) as error:
                if vm in planned and ports.removed(vm):
                    landed[vm] = DELETED
                    run.say(_awaited_no_more(vm, error))
                else:
                    failed[vm] = error.what
    if failed:
        raise Failed(
            "; ".join(f"{vm} stays down: {why}" for vm, why in failed.items()),
            where=server,
            mend="make room or mend that; it is tried again while metal watches, and by "
            f"metal run resume {run.id}",
        )
    there = [vm for vm, at in landed.items() if at != DELETED]
    _see_them_write(run, {vm: action.vms[vm] for vm in there}, ports)
    return landed


def _place_and_restart(
    run: Run,
    server: str,
    vm: str,
    vmid: int,
    ports: HealPorts,
    proof: Proof,
    deleted: Callable[[int], bool],
) -> str:
    """There was no place when this was planned: perhaps there is one by now."""
    with suppress(Unreachable):
        try:
            node, state = ports.hypervisor.where(vmid)
        except Failed:
            if deleted(vmid):
                return DELETED
        else:
            if state == "running":
                return node  # this was killed once it had restarted it
    return _restart(run, server, ports.place(server, vm), ports, proof)


def _restart(run: Run, server: str, one: Restart, ports: HealPorts, proof: Proof) -> str:
    """The server it runs on. Where the proof does not hold any more, the server must speak."""
    spec = VmSpec(
        vmid=one.vmid,
        name=one.vm,
        vcpus=one.vcpus,
        memory_mib=one.memory_mib,
        disk_gib=one.disk_gib,
        storage=ports.storage,
        addressing=one.addressing,
        cpu=one.cpu,
    )
    fenced = server if proof.holds() else ""

    def allowed(what: str) -> None:
        """Raises where another watcher took over meanwhile."""
        run.say(what)

    try:
        return ports.hypervisor.ensure_restarted(spec, one.target, fenced, allowed)
    except Refused:
        # It came back by itself and runs the VM: then that is where it runs.
        if ports.hypervisor.where(one.vmid) != (server, "running"):
            raise
        return server


def _settled(vm: str, vmid: int, ports: HealPorts) -> str:
    """What is told of one that writes, or that was removed since: that libvirt cannot tell while
    the dead host is silent. "" of one that is awaited still."""
    try:
        return f"{vm} writes to its disk" if ports.hypervisor.written(vmid) != 0 else ""
    except (Failed, Unreachable) as error:
        if not ports.removed(vm):
            raise
        return _awaited_no_more(vm, error)


def _awaited_no_more(vm: str, error: MetalError) -> str:
    return f"{vm} is awaited no more, the inventory does not have it: {error.what}"


def _see_them_write(run: Run, vms: dict[str, int], ports: HealPorts) -> None:
    """A guest that boots is no sign that its disk can be written; that it wrote is one."""
    wrote: set[str] = set()

    def all_wrote() -> bool | None:
        for vm in sorted(set(vms) - wrote):
            if text := _settled(vm, vms[vm], ports):
                wrote.add(vm)
                run.progress(0.8 + 0.2 * len(wrote) / len(vms), text)
        return True if len(wrote) == len(vms) else None

    if not vms:
        return
    late = "not every restarted VM wrote to its disk"
    try:
        run.wait(
            "the restarted VMs write",
            all_wrote,
            seconds=ports.patience,
            every=ports.every,
            late=late,
        )
    except LeaseLost:
        raise
    except MetalError as error:
        if not error.what.startswith(late):
            raise
        names = ", ".join(sorted(set(vms) - wrote))
        raise Failed(
            f"{names} were restarted and wrote nothing within {ports.patience:g} s",
            mend=f"see their consoles: can they read their disks? then metal run resume {run.id}",
        ) from error
