"""Laws over room and company: memory, processors, disks, who is apart and who together."""

from collections.abc import Iterator

from metal.model.cpus import offers, runs
from metal.model.laws.after import After, Resident
from metal.model.laws.breach import Breach


def capacity_laws(after: After) -> Iterator[Breach]:
    for server in after.inventory.servers:
        guests = after.on(server)
        if any(g.came for g in guests):
            yield from _memory(server, guests, after)
            yield from _processors(server, guests, after)
            yield from _processor_types(server, guests, after)
    yield from _apart(after)
    yield from _far_apart(after)
    yield from _together(after)
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


def room_vcpus(server: str, after: After) -> float | None:
    """vCPUs that may be promised; None when nobody knows its threads."""
    learned = after.inventory.servers[server].learned
    threads = learned and (learned.threads or learned.cores)
    return after.inventory.profile(server).cpu_factor * threads if threads else None


def _processors(server: str, guests: list[Resident], after: After) -> Iterator[Breach]:
    """Processors are shared, not used up: an unknown number is no breach, unlike memory."""
    room = room_vcpus(server, after)
    taken = sum(g.vcpus for g in guests)
    if room is not None and taken > room:
        factor = after.inventory.profile(server).cpu_factor
        what = f"{taken} vCPUs are promised, {room / factor:g} threads × {factor:g} allow fewer"
        yield Breach(law="cpu", subject=server, what=what)


def _processor_types(server: str, guests: list[Resident], after: After) -> Iterator[Breach]:
    offered = offers(after.inventory.cpu_of(server))
    for guest in guests:
        if guest.came and not runs(guest.cpu, offered):
            what = f"{guest.name} needs a {guest.cpu or 'newer processor'}, which is not known here"
            yield Breach(law="processor", subject=server, what=what)


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


def _far_apart(after: After) -> Iterator[Breach]:
    """Groups that are to be apart by more than servers."""
    for place in after.places:
        wanted = after.inventory.vms[place.vm]
        if wanted.apart is None or wanted.apart_by == "server":
            continue
        here = _scope(wanted.apart_by, place.cluster, after)
        for other in sorted(after.residents.values(), key=lambda r: r.name):
            if other.group != wanted.apart or other.name == place.vm:
                continue
            if _scope(wanted.apart_by, other.cluster, after) == here:
                what = f"{place.vm} and {other.name} share the {wanted.apart_by} {here}"
                yield Breach(law="apart", subject=wanted.apart, what=what)


def _scope(by: str, cluster: str, after: After) -> str:
    if by == "cluster" or cluster not in after.inventory.clusters:
        return cluster
    site = after.inventory.site_of(cluster)
    return after.inventory.sites[site].donor.name if by == "donor" else site


def _together(after: After) -> Iterator[Breach]:
    """Whoever comes somewhere comes to those it stays together with."""
    dead = {r.server for r in after.recoveries}
    for vm in after.residents.values():
        if not vm.came:
            continue
        for name in sorted(vm.together & after.residents.keys() - {vm.name}):
            other = after.residents[name]
            if other.server in dead:
                continue  # it was stopped, or has no place: nobody waits for it
            if other.server != vm.server:
                what = f"is on {vm.server}, but {name}, which it stays with, on {other.server}"
                yield Breach(law="together", subject=vm.name, what=what)


def _alone(after: After) -> Iterator[Breach]:
    """On a cluster of one, or without shared storage, nothing restarts a VM: it needs a replica on
    another cluster, unless the inventory lets it wait."""
    for place in after.places:
        wanted = after.inventory.vms[place.vm]
        cluster = after.inventory.clusters[place.cluster]
        if cluster.restarts or wanted.may_wait:
            continue
        group = wanted.apart
        elsewhere = (r for r in after.residents.values() if r.cluster != place.cluster)
        if group is None or not any(r.group == group for r in elsewhere):
            whose = "a single server" if len(cluster.servers) == 1 else "without shared storage"
            what = f"is placed on {place.cluster}, {whose}, without a replica elsewhere"
            yield Breach(law="alone", subject=place.vm, what=what)
