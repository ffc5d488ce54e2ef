"""Laws over where VMs go: place, start, migrate. No VM twice, nothing onto what may be dead."""

from collections import Counter
from collections.abc import Iterator

from metal.model.laws.after import After
from metal.model.laws.breach import Breach
from metal.model.life import Life
from metal.model.plan import MigrateVm, PlaceVm, RecoverServer, Restart, StartVm

VMIDS = range(100, 1_000_000_000)
"""What Proxmox takes as a vmid (its API schema, pve-vmid)."""


def move_laws(after: After) -> Iterator[Breach]:
    for place in after.places:
        for what in _place(place, after):
            yield Breach(law="place", subject=place.vm, what=what)
        yield from _twice(place, after)
        yield from _ha(place, after)
    for move in after.moves:
        for what in _move(move, after):
            yield Breach(law="quorum", subject=move.vm, what=what)
        yield from _own_processor(move, after)
    for recovery in after.recoveries:
        for restart in recovery.restarts.planned if recovery.restarts else ():
            for what in _restart(restart, recovery, after):
                yield Breach(law="restart", subject=restart.vm, what=what)
    for start in (a for a in after.plan.actions if isinstance(a, StartVm)):
        for what in _start(start, after):
            yield Breach(law="start", subject=start.vm, what=what)
    yield from _touched_once(after)
    yield from _vmids(after)
    yield from _sources(after)


def _place(action: PlaceVm, after: After) -> Iterator[str]:
    """Where the VM asked to be, as large as it asked, on a server that can run it by then."""
    wanted = after.inventory.vms[action.vm]
    needs = after.inventory.needs(action.vm)
    if wanted.cluster not in (None, action.cluster):
        yield f"is pinned to {wanted.cluster} but placed on {action.cluster}"
    if (action.vcpus, action.memory_mib, action.disk_gib) != (
        needs.vcpus,
        needs.memory_mib,
        needs.disk_gib,
    ):
        yield "gets another size than it asked for"
    if action.cpu != wanted.cpu:
        yield "gets another processor than it asked for"
    forms = [f for f in after.forms if action.server in f.servers]
    if forms:
        if not any(f.id in after.before[action.id] for f in forms):
            yield f"is placed on {action.server} without waiting for its cluster"
        return
    yield from _target(action.server, action.cluster, after)


def _target(server: str, cluster: str, after: After) -> Iterator[str]:
    """Positive proof that the server can take a VM now."""
    seen = after.seen(server)
    if seen.node != "online":
        yield f"goes to {server}, whose node is {seen.node}"
    if seen.life in (Life.DRAINING, Life.RETIRED):
        yield f"goes to {server}, which is {seen.life}"
    if server in after.emptied:
        yield f"goes to {server}, which this plan empties"
    state = after.world.clusters.get(cluster)
    if state is None or state.formed is not True:
        yield f"goes to cluster {cluster}, which is not known to be formed"
    elif state.quorate is False:
        yield f"goes to cluster {cluster}, which has no quorum"


def _twice(action: PlaceVm, after: After) -> Iterator[Breach]:
    """Silent is not absent: what a silent cluster may still run is not placed a second time."""
    if seen := after.world.vms.get(action.vm):
        what = f"exists already on {seen.server}"
        yield Breach(law="twice", subject=action.vm, what=what)
        return
    pinned = after.inventory.vms[action.vm].cluster
    for name, cluster in after.inventory.clusters.items():
        state = after.world.clusters.get(name)
        lived = {Life.MEMBER, Life.DRAINING} & {after.seen(s).life for s in cluster.servers}
        if pinned in (None, name) and lived and (state is None or state.formed is None):
            what = f"cluster {name} is silent and may be running it"
            yield Breach(law="twice", subject=action.vm, what=what)


def _ha(action: PlaceVm, after: After) -> Iterator[Breach]:
    """Restarted elsewhere if and only if there is an elsewhere that shares its disk."""
    cluster = after.inventory.clusters[action.cluster]
    alone = len(cluster.servers) == 1
    if action.ha and alone:
        what = f"is to be restarted elsewhere, but {action.cluster} has one server"
        yield Breach(law="ha", subject=action.vm, what=what)
    if not action.ha and not alone and cluster.ceph:
        what = "would stay down when its server dies: ha is off"
        yield Breach(law="ha", subject=action.vm, what=what)


def _move(action: MigrateVm, after: After) -> Iterator[str]:
    seen = after.world.vms[action.vm]
    if (seen.server, seen.cluster, seen.vmid) != (action.source, action.cluster, action.vmid):
        yield f"is {seen.vmid} on {seen.server}, the plan moves {action.vmid} from {action.source}"
    if action.source == action.target:
        yield f"is moved to where it is, {action.target}"
    yield from _target(action.target, action.cluster, after)


def _restart(action: Restart, recovery: RecoverServer, after: After) -> Iterator[str]:
    """Only what died there, and what no HA restarts as well."""
    if recovery.vms.get(action.vm) != action.vmid:
        yield f"did not run on {recovery.server} as {action.vmid}"
    if after.inventory.clusters[recovery.cluster].has_ha:
        yield f"would run twice: the HA of {recovery.cluster} restarts it"
    yield from _target(action.target, recovery.cluster, after)


def _own_processor(action: MigrateVm, after: After) -> Iterator[Breach]:
    """Whoever has its server's own processor finds the same one where it goes while it runs."""
    wanted = after.inventory.vms.get(action.vm)
    if wanted is None or wanted.cpu != "host" or after.world.vms[action.vm].state == "stopped":
        return
    learned = [after.inventory.servers[s].learned for s in (action.source, action.target)]
    names = [told.cpu if told else None for told in learned]
    if names[0] is None or names[0] != names[1]:
        what = f"has the processor of {action.source}, and {action.target} is not known to have it"
        yield Breach(law="processor", subject=action.vm, what=what)


def _start(action: StartVm, after: After) -> Iterator[str]:
    seen = after.world.vms[action.vm]
    if seen.state != "stopped":
        yield f"is {seen.state}; only what is known to be stopped may be started"
    if (seen.server, seen.vmid) != (action.server, action.vmid):
        yield f"is {seen.vmid} on {seen.server}, not {action.vmid} on {action.server}"
    if (node := after.seen(action.server).node) != "online":
        yield f"is started on {action.server}, whose node is {node}"


def _sources(after: After) -> Iterator[Breach]:
    for drain in after.drains:
        for move in drain.moves:
            if move.source != drain.server:
                what = f"is moved from {move.source} by the drain of {drain.server}"
                yield Breach(law="drain", subject=move.vm, what=what)


def _touched_once(after: After) -> Iterator[Breach]:
    """A VM is placed, moved or recovered by one action, or two would fight over it."""
    touched = Counter(
        [
            *(p.vm for p in after.places),
            *(m.vm for m in after.moves),
            *(vm for r in after.recoveries for vm in r.vms),
        ]
    )
    for vm, times in touched.items():
        if times > 1:
            yield Breach(
                law="once", subject=vm, what=f"is placed, moved or recovered {times} times"
            )


def _vmids(after: After) -> Iterator[Breach]:
    owners: dict[int, list[str]] = {}
    for vm in after.residents.values():
        owners.setdefault(vm.vmid, []).append(vm.name)
    for place in after.places:
        if place.vmid not in VMIDS:
            what = f"gets vmid {place.vmid}; Proxmox begins at {VMIDS.start}"
            yield Breach(law="vmid", subject=place.vm, what=what)
        others = sorted(set(owners[place.vmid]) - {place.vm})
        if others:
            what = f"gets vmid {place.vmid}, which {', '.join(others)} has"
            yield Breach(law="vmid", subject=place.vm, what=what)
