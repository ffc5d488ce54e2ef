"""The proof that every single server may die: a packing for each, VM by VM, or what is missing.

What nobody told never counts as safe: a server of unknown memory or threads takes nothing in a
proof, a VM of unknown size makes every failure of its cluster unknown.
"""

from collections.abc import Iterable

from metal.model.certificate import Certificate, Failure, ProvenCluster, ProvenServer, ProvenVm
from metal.model.fleet import Inventory
from metal.model.plan import fingerprint
from metal.model.world import World
from metal.schedule.capacity import Fleet, Host, Room, carries, survey
from metal.schedule.mend import mends, smallest
from metal.schedule.packing import Found, pack_exactly
from metal.schedule.solver import pack_by_solver
from metal.schedule.survival import UNIT_MIB, Guest, Node, Verdict, bundle, waiting


def prove(inventory: Inventory, world: World, only: Iterable[str] | None = None) -> Certificate:
    """The certificate of every cluster that runs or may run VMs; `only` of these clusters."""
    fleet = survey(inventory, world, inventory.clusters, ())
    wanted = set(fleet.rooms if only is None else only)
    return Certificate(
        fingerprint=fingerprint(inventory, world),
        clusters={
            name: _cluster(fleet, room, inventory, world)
            for name, room in fleet.rooms.items()
            if name in wanted and (_formed(world, name) is not False or _guests(room))
        },
    )


def _formed(world: World, cluster: str) -> bool | None:
    seen = world.clusters.get(cluster)
    return seen.formed if seen else None


def _guests(room: Room) -> list[Guest]:
    return [g for host in room.hosts.values() for g in host.node.guests.values()]


def _cluster(fleet: Fleet, room: Room, inventory: Inventory, world: World) -> ProvenCluster:
    up = [h for h in room.hosts.values() if carries(world, h.name)]
    strays = _strays(fleet, room, world)
    unsized = sorted(vm for vm in fleet.unsized if fleet.where.get(vm, ("",))[0] == room.name)
    failures: dict[str, Failure] = {}
    for host in up or list(room.hosts.values()):
        if room.alone:
            waits = _without_replica(fleet, room, inventory, host)
            failures[host.name] = Failure(verdict="alone", why=room.alone, waits=waits)
        elif _formed(world, room.name) is None:
            failures[host.name] = Failure(verdict="unknown", why="nobody of its cluster answers")
        elif strays:
            why = f"nobody told anything of the server that {', '.join(strays)} runs on"
            failures[host.name] = Failure(verdict="unknown", why=why)
        elif unsized:
            why = f"nobody told how large {', '.join(unsized)} is"
            failures[host.name] = Failure(verdict="unknown", why=why)
        elif why := _no_majority(room, world, {h.name for h in up} - {host.name}):
            failures[host.name] = Failure(verdict="not", why=why)
        else:
            failures[host.name] = lose(room, host.name, {h.name for h in up})
    return ProvenCluster(
        servers={h.name: _server(h.node, h.known) for h in up},
        members=_voters(room, world),
        shared=room.shared,
        vms={
            guest.name: ProvenVm(
                server=host.name,
                memory_mib=None if guest.name in unsized else guest.memory * UNIT_MIB,
                vcpus=guest.vcpus,
                apart=guest.apart,
                together=guest.together,
                cpu=guest.cpu,
            )
            for host in room.hosts.values()
            for guest in host.node.guests.values()
        },
        failures=failures,
    )


def _strays(fleet: Fleet, room: Room, world: World) -> list[str]:
    """VMs of the cluster on servers that the inventory does not have in it, or gave back."""
    return sorted(
        vm
        for vm, seen in world.vms.items()
        if seen.cluster == room.name and seen.kind != "template" and vm not in fleet.where
    )


def _no_majority(room: Room, world: World, left: set[str]) -> str:
    """Why nothing would restart, however much room there is; "" where it would.

    A cluster of two has no majority after any loss: how it votes is not metal's to know.
    """
    seen = world.clusters.get(room.name)
    if seen is not None and seen.quorate is False:
        return "its cluster has no quorum now: it restarts nothing"
    voters = _voters(room, world)
    if voters > 2 and 2 * len(left) <= voters:
        return f"{len(left)} of {voters} would be left: no quorum, so nothing restarts"
    return ""


def _voters(room: Room, world: World) -> int:
    """Those of the inventory, and whoever the cluster itself still counts as a node."""
    seen = world.clusters.get(room.name)
    return len({*room.hosts, *(seen.nodes if seen else ())})


def _without_replica(fleet: Fleet, room: Room, inventory: Inventory, host: Host) -> tuple[str, ...]:
    """Those of a server that nobody stands in for that run in no other cluster either."""
    elsewhere = {
        wanted.apart
        for vm, wanted in inventory.vms.items()
        if wanted.apart and fleet.where.get(vm, (room.name,))[0] != room.name
    }
    here = host.node.guests.values()
    return tuple(sorted(g.name for g in here if g.apart not in elsewhere))


def _server(node: Node, known: bool) -> ProvenServer:
    return ProvenServer(
        memory_mib=node.room * UNIT_MIB if known else None,
        vcpus=node.cpus,
        cpus=None if node.offers is None else tuple(sorted(node.offers)),
    )


def lose(room: Room, dead: str, up: set[str]) -> Failure:
    """What becomes of the VMs of `dead`, and of those that wait on servers that are down."""
    names = up - {dead}
    survivors = [h.node for h in room.hosts.values() if h.name in names and h.known]
    sure = [n for n in survivors if n.cpus is not None and n.free >= 0]
    victims = [
        g for h in room.hosts.values() if h.name not in names for g in h.node.guests.values()
    ]
    waits = _waiting(victims, [h.node for h in room.hosts.values() if h.name in names])
    victims = [g for g in victims if g.name not in waits]
    verdict, restarts = packing(victims, sure, wait=False)
    if verdict is Verdict.SURVIVABLE and restarts is not None:
        return Failure(verdict="survivable", restarts=dict(sorted(restarts.items())), waits=waits)
    dark = sorted(names - {n.name for n in survivors})
    uncounted = sorted(n.name for n in survivors if n.cpus is None)
    if dark or uncounted:
        why = _untold(dark, uncounted)
        return Failure(verdict="unknown", why=why)
    if verdict is Verdict.UNKNOWN:
        return Failure(verdict="unknown", why="too many VMs to decide it in the time given")
    few = smallest(victims, sure)
    takers = ", ".join(n.name for n in sure)
    cannot = f"{takers} cannot take" if takers else "no other server is there to take"
    return Failure(
        verdict="not",
        why=f"{cannot} {', '.join(few)}",
        smallest=few,
        mends=mends(dead, sure, victims),
    )


def _waiting(victims: list[Guest], survivors: list[Node]) -> tuple[str, ...]:
    """Replicas that cannot be restarted, and need not be."""
    waits = waiting(bundle(victims), survivors) if survivors else []
    return tuple(sorted(guest.name for item in waits for guest in item.guests))


def packing(guests: list[Guest], nodes: list[Node], *, wait: bool = True) -> Found:
    """Exact where the search ends; the solver behind it, where it is installed."""
    found = pack_exactly(guests, nodes, wait=wait)
    if found[0] is not Verdict.UNKNOWN:
        return found
    return pack_by_solver(guests, nodes, wait=wait)


def _untold(dark: list[str], uncounted: list[str]) -> str:
    parts = [f"the memory of {', '.join(dark)}"] if dark else []
    parts += [f"the threads of {', '.join(uncounted)}"] if uncounted else []
    return f"without {' and '.join(parts)}, which nobody told, there is no room for all"
