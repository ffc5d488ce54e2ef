"""Every law of placement, counted plainly: what is wrong with one VM's place, and which deaths
are fatal. Slow, and shares no code with the planners or the judge."""

from __future__ import annotations

from collections.abc import Iterator

from metal.model.fleet import Inventory
from metal.model.life import Life
from metal.model.world import World

LEVEL = {"Haswell": 3, "Westmere": 2, "Opteron_G3": 1, None: 0}


def need(inventory: Inventory, world: World, vm: str) -> tuple[int | None, int, int | None]:
    """(MiB, vCPUs, GiB of disk): the larger of what it is to have and has; None for unknown."""
    seen = world.vms[vm]
    if seen.kind == "template":
        return 0, 0, seen.disk_gib or 0
    if vm not in inventory.vms:
        return seen.memory_mib, seen.vcpus or 0, seen.disk_gib
    wanted = inventory.needs(vm)
    return (
        max(wanted.memory_mib, seen.memory_mib or 0),
        max(wanted.vcpus, seen.vcpus or 0),
        max(wanted.disk_gib, seen.disk_gib or 0),
    )


def on(world: World, server: str) -> list[str]:
    return [vm for vm, seen in world.vms.items() if seen.server == server]


def group(inventory: Inventory, vm: str) -> str | None:
    return inventory.vms[vm].apart if vm in inventory.vms else None


def up(world: World, server: str) -> bool:
    seen = world.servers[server]
    return seen.node == "online" and seen.life is Life.MEMBER


def holds(inventory: Inventory, world: World, server: str, vms: list[str]) -> Iterator[str]:
    """What of memory, processors, replicas and CPU types does not hold with these VMs on it."""
    learned = inventory.servers[server].learned
    profile = inventory.profile(server)
    assert learned is not None
    needs = [need(inventory, world, vm) for vm in vms]
    if learned.memory_gib is None or any(n[0] is None for n in needs):
        yield f"nobody knows the memory on {server}"
    elif sum(n[0] or 0 for n in needs) > (learned.memory_gib - profile.reserved_memory_gib) * 1024:
        yield f"memory of {server}"
    threads = learned.threads or float("inf")  # shared, not used up: unknown is no breach
    if sum(n[1] for n in needs) > profile.cpu_factor * threads:
        yield f"vCPUs of {server}"
    groups = [g for vm in vms if (g := group(inventory, vm))]
    if len(set(groups)) < len(groups):
        yield f"replicas side by side on {server}"
    level = LEVEL[learned.cpu_type]
    for vm in vms:
        cpu = inventory.vms[vm].cpu if vm in inventory.vms else None
        if (cpu is None and level == 1) or (cpu == "x86-64-v3" and level < 3):
            yield f"processor of {server} for {vm}"


def amiss(inventory: Inventory, world: World, vm: str, *, comes: bool) -> Iterator[str]:
    """What is wrong with the place that the VM was just given; `comes`: from outside the cluster,
    its disks with it."""
    seen = world.vms[vm]
    cluster, server, wanted = seen.cluster, seen.server, inventory.vms[vm]
    mine = [o for o in on(world, server) if o != vm]
    before = set(holds(inventory, world, server, mine))
    said = set(holds(inventory, world, server, [*mine, vm]))
    sums = {f"memory of {server}", f"vCPUs of {server}", f"nobody knows the memory on {server}"}
    yield from sorted(s for s in said if s in sums or s not in before)
    if group(inventory, vm) in {group(inventory, o) for o in mine} - {None}:
        yield f"{vm} beside a replica"
    if not up(world, server) or world.servers[server].health == "critical":
        yield f"{server} takes nothing"
    if comes:
        yield from _cluster(inventory, world, vm, cluster, server)
        yield from _far(inventory, world, vm)
        if wanted.cluster not in (None, cluster):
            yield f"{vm} is pinned to {wanted.cluster}"
        if inventory.clusters[cluster].only_pinned and wanted.cluster != cluster:
            mates = company(inventory, vm) - {vm}
            if not any(o in world.vms or inventory.vms[o].cluster == cluster for o in mates):
                yield f"{cluster} takes only who is pinned there"


def _cluster(
    inventory: Inventory, world: World, vm: str, cluster: str, server: str
) -> Iterator[str]:
    seen, wanted = world.clusters[cluster], inventory.clusters[cluster]
    if not seen.formed or seen.quorate is False or seen.ceph_full:
        yield f"{cluster} takes nothing"
    disks = {s: inventory.servers[s].learned.disks for s in wanted.servers}  # type: ignore[union-attr]
    if wanted.ceph:
        used = sum(
            need(inventory, world, o)[2] or 0 for o, s in world.vms.items() if s.cluster == cluster
        )
        osds = {s: sum(d.size_gib for d in d[1:]) for s, d in disks.items()}
        losses = [[*osds]] if len(osds) <= 3 else [[s for s in osds if s != lost] for lost in osds]
        for left in losses:
            full, copies = used / 0.85, min(3, len(left))
            if (
                not all(disks.values())
                or sum(min(osds[s], full) for s in left) < copies * full - 0.1
            ):
                yield f"disks of {cluster}"
                break
    elif wanted.storage is not None and wanted.storage_gib is not None:
        used = sum(
            need(inventory, world, o)[2] or 0 for o, s in world.vms.items() if s.cluster == cluster
        )
        if used > wanted.storage_gib:
            yield f"storage of {cluster}"
    elif wanted.storage is None:
        used = sum(need(inventory, world, o)[2] or 0 for o in on(world, server))
        if not disks[server] or used > disks[server][0].size_gib - 40:
            yield f"disk of {server}"
    site = inventory.site_of(cluster)
    lent = inventory.sites[site].donor.traffic_gb
    here = [o for o, s in world.vms.items() if inventory.site_of(s.cluster) == site]
    traffic = sum(inventory.vms[o].traffic_gb for o in here if o in inventory.vms)
    if lent is not None and inventory.vms[vm].traffic_gb and traffic > lent:
        yield f"traffic of {site}"


def _far(inventory: Inventory, world: World, vm: str) -> Iterator[str]:
    """Others of its group where it may share nothing with them."""
    by = inventory.vms[vm].apart_by

    def scope(cluster: str) -> str:
        site = inventory.site_of(cluster)
        donor = inventory.sites[site].donor.name
        return {"cluster": cluster, "site": site, "donor": donor}[by]

    if by != "server":
        for other, seen in world.vms.items():
            mate = other != vm and group(inventory, other) == group(inventory, vm) is not None
            if mate and scope(seen.cluster) == scope(world.vms[vm].cluster):
                yield f"{vm} shares the {by} with {other}"


def company(inventory: Inventory, vm: str) -> set[str]:
    """Whoever shares a server with it, itself among them."""
    found = {vm}
    while True:
        more = {o for v in found for o in inventory.vms[v].together}
        more |= {o for o, w in inventory.vms.items() if found & {*w.together}}
        if more <= found:
            return found
        found |= more


def torn(inventory: Inventory, world: World) -> set[frozenset[str]]:
    """Sets of which not all that were seen are on one server."""
    sets = {frozenset(company(inventory, vm) & world.vms.keys()) for vm in inventory.vms}
    return {s for s in sets if len({world.vms[vm].server for vm in s}) > 1}


def fatal(inventory: Inventory, world: World, cluster: str) -> set[str]:
    """Servers of the cluster that may not die: every way to restart is tried."""
    wanted = inventory.clusters[cluster]
    servers = [s for s in wanted.servers if up(world, s)]
    if not wanted.restarts:  # what it runs has replicas elsewhere, or may wait
        return set()
    return {s for s in servers if not _survives(inventory, world, cluster, s, servers)}


def _survives(
    inventory: Inventory, world: World, cluster: str, dead: str, servers: list[str]
) -> bool:
    alive = [s for s in servers if s != dead]
    there = {s: on(world, s) for s in alive}
    gone = [v for v, s in world.vms.items() if s.cluster == cluster and s.server not in alive]
    lost = [v for v in gone if world.vms[v].kind != "template"]  # it never runs
    units: list[list[str]] = []
    for vm in lost:
        mates = company(inventory, vm) if vm in inventory.vms else {vm}
        if not any(vm in unit for unit in units):
            units.append([v for v in lost if v in mates])
    return _go_on(inventory, world, units, there, there, [])


def _go_on(
    inventory: Inventory,
    world: World,
    units: list[list[str]],
    there: dict[str, list[str]],
    after: dict[str, list[str]],
    waiting: list[list[str]],
) -> bool:
    """Every survivor for the first of them, and for each the rest likewise."""
    if not units:
        return all(_waits(inventory, unit, after) for unit in waiting)
    unit, *rest = units
    for server in after:
        then = [*after[server], *unit]
        more = after | {server: then}
        if _lawful(inventory, world, server, there[server], then) and _go_on(
            inventory, world, rest, there, more, waiting
        ):
            return True
    may = any(group(inventory, vm) for vm in unit)
    return may and _go_on(inventory, world, rest, there, after, [*waiting, unit])


def _lawful(
    inventory: Inventory, world: World, server: str, before: list[str], after: list[str]
) -> bool:
    """Taking those in; replicas and processors that were wrong before are no fault of it."""
    told, then = (
        set(holds(inventory, world, server, before)),
        holds(inventory, world, server, after),
    )
    fresh = [v for v in after if v not in before]
    old = [g for v in before if (g := group(inventory, v))]
    new = [g for v in fresh if (g := group(inventory, v))]
    if len({*new}) < len(new) or {*new} & {*old}:
        return False
    return all("replicas" in what or ("processor" in what and what in told) for what in then)


def _waits(inventory: Inventory, unit: list[str], after: dict[str, list[str]]) -> bool:
    """One of it has a replica on every survivor."""
    groups = {g for vm in unit if (g := group(inventory, vm))}
    return any(
        all(any(group(inventory, o) == g for o in vms) for vms in after.values()) for g in groups
    ) and bool(after)
