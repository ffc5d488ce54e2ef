"""Place, start, describe and move VMs: one durable operation each."""

from typing import Any

from metal.cluster.ports import ClusterPorts
from metal.drivers.ports import Forms
from metal.model.errors import Failed, Refused
from metal.model.plan import DescribeVm, MigrateVm, PlaceVm, StartVm, TellHa
from metal.operations.run import Run

TRIES = 4
SEEN_SECONDS = 300.0
"""HA may move a VM at once that it was told to start: meanwhile nobody tells where it runs."""


def place(run: Run, action: PlaceVm, ports: ClusterPorts) -> dict[str, Any]:
    """The VM exists, runs, and was seen running: on the planned server, or where HA has put it."""
    run.progress(0.1, f"make {action.vm} on {action.server}")
    run.step(f"make {action.vm}", lambda: _make(action, ports), tries=TRIES, backoff=ports.every)
    if action.ha and action.apart:
        group, vmids = action.apart, action.apart_vmids
        run.step(
            f"keep {action.vm} apart",
            lambda: ports.hypervisor.ensure_apart(group, vmids),
            tries=TRIES,
            backoff=ports.every,
        )
    if action.ha and action.together:
        first, company = action.together, action.together_vmids
        run.step(
            f"keep {action.vm} together with the others",
            lambda: ports.hypervisor.ensure_together(first, company),
            tries=TRIES,
            backoff=ports.every,
        )
    if action.ha and action.home:
        run.step(
            f"tell HA where {action.vm} is at home",
            lambda: ports.hypervisor.ensure_home(action.vmid, action.home),
            tries=TRIES,
            backoff=ports.every,
        )
    return _start(run, action.vm, action.vmid, ports)


def tell_ha(run: Run, action: TellHa, ports: ClusterPorts) -> dict[str, Any]:
    """HA keeps what the VMs of the cluster wish for now, and nothing that metal told it before."""
    forms = ports.hypervisor
    if not isinstance(forms, Forms):
        raise Refused("its hypervisor has no HA to tell anything", where=action.cluster)
    wishes = action.wishes
    run.progress(0.1, f"tell HA of {action.cluster} what its VMs wish for")
    run.step(
        "tell HA what the VMs wish for",
        lambda: forms.ensure_wishes(wishes),
        tries=TRIES,
        backoff=ports.every,
    )
    return {"cluster": action.cluster}


def start(run: Run, action: StartVm, ports: ClusterPorts) -> dict[str, Any]:
    """A VM that exists runs."""
    return _start(run, action.vm, action.vmid, ports)


def describe(run: Run, action: DescribeVm, ports: ClusterPorts) -> dict[str, Any]:
    """It stands at the VM by which shared address it is reached."""
    run.step(
        f"write it down at {action.vm}",
        lambda: ports.hypervisor.ensure_described(action.vmid, action.vm, action.addressing),
        tries=TRIES,
        backoff=ports.every,
    )
    return {"vm": action.vm, "shared": action.addressing.shared}


def migrate(run: Run, action: MigrateVm, ports: ClusterPorts) -> dict[str, Any]:
    """The VM is on the target, moved live if it ran."""
    run.progress(0.1, f"move {action.vm} from {action.source} to {action.target}")
    run.step(
        f"move {action.vm} to {action.target}",
        lambda: ports.hypervisor.ensure_migrated(action.vmid, action.target),
        tries=TRIES,
        backoff=ports.every,
    )
    return {"vm": action.vm, "server": action.target}


def _make(action: PlaceVm, ports: ClusterPorts) -> None:
    ports.hypervisor.ensure_vm(
        vmid=action.vmid,
        name=action.vm,
        node=action.server,
        vcpus=action.vcpus,
        memory_mib=action.memory_mib,
        disk_gib=action.disk_gib,
        storage=ports.storage,
        addressing=action.addressing,
        ha=action.ha,
        cpu=action.cpu,
    )


def _start(run: Run, vm: str, vmid: int, ports: ClusterPorts) -> dict[str, Any]:
    run.progress(0.5, f"start {vm}")
    run.step(
        f"start {vm}",
        lambda: ports.hypervisor.ensure_started(vmid),
        tries=TRIES,
        backoff=ports.every,
    )
    return run.wait(
        f"see {vm} run",
        lambda: _seen(vm, vmid, ports),
        seconds=SEEN_SECONDS,
        every=ports.every,
        late=f"{vm} was started, but is not seen to run",
    )


def _seen(vm: str, vmid: int, ports: ClusterPorts) -> dict[str, Any] | None:
    """Failed when it stopped and stays so: one of HA's is started by HA, or moved and started."""
    server, state = ports.hypervisor.where(vmid)
    if state == "running":
        return {"vm": vm, "server": server}
    if state == "unknown" or vmid in ports.hypervisor.ha_managed():
        return None
    raise Failed(
        f"{vm} was started, but is {state} now",
        where=server,
        mend="its console in Proxmox tells why; the same command starts it again",
    )
