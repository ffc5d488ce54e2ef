"""Form a cluster: create, join one at a time, Ceph, OSDs, pool. Every step is safe to repeat."""

from collections.abc import Callable
from functools import partial
from typing import Any

from metal.cluster.ports import POOL, ClusterPorts
from metal.drivers.ports import Forms
from metal.model.errors import Refused
from metal.model.plan import FormCluster
from metal.operations.run import Run

__all__ = ["ClusterPorts", "form"]
TRIES = 4
Step = Callable[[str, Callable[[], Any]], Any]


def form(run: Run, action: FormCluster, ports: ClusterPorts) -> dict[str, Any]:
    """Ends with all servers members of one quorate cluster, and told so to `ports.member`."""
    first, *others = action.servers
    told = _Progress(run, _length(action))

    def step(name: str, act: Callable[[], Any]) -> Any:
        told.next(name)
        done = run.step(name, act, tries=TRIES, backoff=ports.every)
        for warning in ports.hypervisor.told():
            told.say(warning)
        return done

    forms = ports.hypervisor if isinstance(ports.hypervisor, Forms) else None
    if others and forms:
        called, ring = action.called or action.cluster, ports.rings.get(first, ())
        create = partial(forms.ensure_created, called, first, ring)
        step(f"create {action.cluster} on {first}", create)
        for server in others:
            step(
                f"join {server}",
                partial(forms.ensure_joined, server, first, ports.rings.get(server, ())),
            )
    else:
        # Alone, or of a kind that forms nothing: each is complete by itself.
        for server in action.servers:
            told.next(f"{server} answers")
            run.wait(
                f"{server} answers",
                partial(_answers, ports, server),
                seconds=ports.patience,
                every=ports.every,
                late=f"{server}: its hypervisor does not answer",
            )
    if forms:
        # From here on metal comes with a token that may do little, but for what only root may.
        step("log in with a token of metal's own", ports.ensure_token)
    if others and forms:
        for gone, heir in ports.heirs.items():
            rename = partial(forms.ensure_renamed, gone, heir)
            step(f"let HA's wishes for {gone} be for {heir}", rename)
        step("let HA weigh memory and CPUs", forms.ensure_scheduling)
    if action.ceph and forms:
        _ceph(step, action, forms, ports)
        told.next("any one server may go")
        asked = _Survives(forms, action, round(ports.settling / ports.every))
        seconds = ports.settling + ports.patience
        for fault in run.wait("any one server may go", asked, seconds=seconds, every=ports.every):
            told.say(f"not so: {fault}")
    if action.management_from and forms:
        close = partial(forms.ensure_firewall, action.management_from)
        step("close management to all but the mesh", close)
    if action.wishes and forms:
        step("tell HA what the VMs wish for", partial(forms.ensure_wishes, action.wishes))
    for server in action.servers:
        step(f"record {server} as a member", partial(ports.member, server))
    return {"cluster": action.cluster, "servers": list(action.servers)}


def _ceph(step: Step, action: FormCluster, hypervisor: Forms, ports: ClusterPorts) -> None:
    networks = {"network": ports.network, "replication": ports.replication}
    for index, server in enumerate(action.servers):
        begin = partial(hypervisor.ensure_ceph, server, first=index == 0, **networks)
        step(f"Ceph on {server}", begin)
    for osd in action.osds:
        server, devices = osd.server, [osd.device]
        if osd.device == "*":
            # Recorded before the first is taken: a repetition must not choose anew.
            devices = step(f"find the disks of {server}", partial(hypervisor.unused_disks, server))
        for device in devices:
            create = partial(hypervisor.ensure_osd, server, device, osd.serial)
            step(f"OSD on {server} {device}", create)
    if action.pool is None:
        step(f"pool {POOL}", partial(hypervisor.ensure_pool, POOL))


class _Survives:
    """What CRUSH does is judged once the OSDs that were made just now are up.

    What metal made must be right; of what was there before it is told."""

    def __init__(self, hypervisor: Forms, action: FormCluster, tries: int) -> None:
        self._hypervisor, self._action, self._left = hypervisor, action, tries

    def __call__(self) -> list[str] | None:
        faults = self._hypervisor.crush_faults(self._action.pool or POOL)
        self._left -= 1
        if not faults or (self._left < 0 and self._action.pool is not None):
            return list(faults)
        if self._left >= 0:
            return None
        raise Refused(
            f"the loss of one server would stop its VMs: {'; '.join(faults)}",
            where=self._action.cluster,
            mend="an OSD on three servers at least, and a rule whose copies are on different "
            "hosts: `ceph osd tree`, `ceph osd crush rule dump`",
        )


def _answers(ports: ClusterPorts, server: str) -> bool | None:
    if ports.hypervisor.look()[1].get(server) != "online":
        return None
    return True


def _length(action: FormCluster) -> int:
    """Steps to come, about: disks that must be found first count as one each."""
    ceph = len(action.servers) + len(action.osds) + 1 if action.ceph else 0
    return 2 * len(action.servers) + ceph + 2


class _Progress:
    def __init__(self, run: Run, total: int) -> None:
        self._run, self._total, self._done = run, total, 0

    def next(self, text: str) -> None:
        self.say(text)
        self._done += 1

    def say(self, text: str) -> None:
        self._run.progress(min(1.0, self._done / self._total), text)
