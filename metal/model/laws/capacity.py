"""Laws over one server's room: memory, processors, replicas apart, a machine on its own."""

from collections.abc import Iterator

from metal.model.laws.after import After, Resident
from metal.model.laws.breach import Breach


def capacity_laws(after: After) -> Iterator[Breach]:
    for server in after.inventory.servers:
        guests = after.on(server)
        if any(g.came for g in guests):
            yield from _memory(server, guests, after)
            yield from _processors(server, guests, after)
    yield from _apart(after)
    yield from _alone(after)


def room_mib(server: str, after: After) -> int | None:
    """Memory that may be promised to VMs; None when nobody knows how much there is."""
    learned = after.inventory.servers[server].learned
    if learned is None or learned.memory_gib is None:
        return None
    reserved = after.inventory.profile(server).reserved_memory_gib
    return int((learned.memory_gib - reserved) * 1024)


def _memory(server: str, guests: list[Resident], after: After) -> Iterator[Breach]:
    room = room_mib(server, after)
    if room is None:
        what = "gets VMs, but its memory is unknown"
        yield Breach(law="memory", subject=server, what=what)
        return
    for guest in guests:
        if guest.memory_mib is None:
            what = f"gets VMs beside {guest.name}, whose memory is unknown"
            yield Breach(law="memory", subject=server, what=what)
    taken = sum(g.memory_mib or 0 for g in guests)
    if taken > room:
        what = f"{taken} MiB are promised to VMs, it has {room}"
        yield Breach(law="memory", subject=server, what=what)


def _processors(server: str, guests: list[Resident], after: After) -> Iterator[Breach]:
    """Processors are shared, not used up: an unknown number is no breach, unlike memory."""
    learned = after.inventory.servers[server].learned
    threads = learned and (learned.threads or learned.cores)
    if not threads:
        return
    factor = after.inventory.profile(server).cpu_factor
    taken = sum(g.vcpus for g in guests)
    if taken > factor * threads:
        what = f"{taken} vCPUs are promised, {threads} threads × {factor:g} allow fewer"
        yield Breach(law="cpu", subject=server, what=what)


def _apart(after: After) -> Iterator[Breach]:
    """Replicas never share a server, unless a drain leaves fewer servers than replicas."""
    together: dict[tuple[str, str], list[Resident]] = {}
    for vm in after.residents.values():
        if vm.group:
            together.setdefault((vm.server, vm.group), []).append(vm)
    placed = {p.vm for p in after.places}
    for (server, group), vms in together.items():
        if len(vms) < 2 or not any(v.came for v in vms):
            continue
        cluster = vms[0].cluster
        replicas = sum(r.group == group and r.cluster == cluster for r in after.residents.values())
        chosen = any(v.name in placed for v in vms)
        if chosen or replicas <= len(after.carrying.get(cluster, ())):
            names = ", ".join(sorted(v.name for v in vms))
            what = f"{names} of group {group} share {server}"
            yield Breach(law="apart", subject=group, what=what)


def _alone(after: After) -> Iterator[Breach]:
    """On a cluster of one nothing restarts a VM: it needs a replica on another cluster."""
    for place in after.places:
        if len(after.inventory.clusters[place.cluster].servers) > 1:
            continue
        group = after.inventory.vms[place.vm].apart
        elsewhere = (r for r in after.residents.values() if r.cluster != place.cluster)
        if group is None or not any(r.group == group for r in elsewhere):
            what = f"is placed on {place.cluster}, a single server, without a replica elsewhere"
            yield Breach(law="alone", subject=place.vm, what=what)
