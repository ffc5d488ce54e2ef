"""Where the VMs of one server go when it must be emptied."""

from collections.abc import Sequence
from dataclasses import dataclass

from metal.model.fleet import Inventory
from metal.model.plan import MigrateVm, Risk
from metal.model.world import World
from metal.schedule.capacity import Host, Room, survey
from metal.schedule.preflight import unlike
from metal.schedule.survival import Guest, Item, Node, Verdict, bundle, pack, verdict


@dataclass(frozen=True)
class Stranded:
    """A VM that has nowhere to go, and why."""

    vm: str
    why: str


@dataclass(frozen=True)
class Drain:
    """Moves in the order to make them, most important VM first."""

    moves: tuple[MigrateVm, ...]
    stranded: tuple[Stranded, ...] = ()
    """These would stay; the moves are those of the others."""
    warnings: tuple[str, ...] = ()


def drain_moves(inventory: Inventory, world: World, server: str) -> Drain:
    """Live migrations that empty `server` into the rest of its cluster.

    VMs that the inventory lacks are left alone, which a warning says.
    """
    cluster = inventory.cluster_of(server)
    if cluster is None:
        return _all_stay(world, server, f"{server} is in no cluster")
    room = survey(inventory, world, inventory.clusters, ()).rooms[cluster]
    if server not in room.hosts:
        return _all_stay(world, server, f"{server} is retired")
    source = room.hosts[server]
    guests = most_important_first(inventory, source)
    targets = [h for h in room.hosts.values() if h is not source and takes(world, h)]
    strangers = [g for g in source.node.guests.values() if g.name not in inventory.vms]
    foreign = tuple(
        f"{g.name} on {server} is not in the inventory: it is left where it is" for g in strangers
    )
    homes = find_homes(guests, targets, strangers)
    torn = {
        vm: why
        for vm, at in homes.items()
        if world.vms[vm].state != "stopped" and (why := unlike(inventory, vm, server, at))
    }
    homes = {vm: at for vm, at in homes.items() if vm not in torn}
    staying = [g.name for g in guests if g.name not in homes and _stopped(world, g)]
    stranded = tuple(
        Stranded(g.name, torn.get(g.name) or why_stranded(g, room, source, targets))
        for g in guests
        if g.name not in homes and g.name not in staying
    )
    asleep = tuple(f"{vm} is stopped and has no place elsewhere: it stays" for vm in staying)
    moves = tuple(
        _move(world, g, cluster, server, homes[g.name]) for g in guests if g.name in homes
    )
    after = _afterwards(guests, homes, targets, source, strangers)
    return Drain(moves, stranded, (*foreign, *asleep, *after))


def _all_stay(world: World, server: str, why: str) -> Drain:
    vms = sorted(vm for vm, seen in world.vms.items() if seen.server == server)
    return Drain((), tuple(Stranded(vm, why) for vm in vms))


def most_important_first(inventory: Inventory, source: Host) -> list[Guest]:
    managed = [g for g in source.node.guests.values() if g.name in inventory.vms]
    return sorted(managed, key=lambda g: (-inventory.vms[g.name].priority, g.name))


def _stopped(world: World, guest: Guest) -> bool:
    return world.vms[guest.name].state == "stopped"


def takes(world: World, host: Host) -> bool:
    seen = world.servers.get(host.name)
    return not host.closed and seen is not None and seen.node == "online"


SAFE_TRIES = 2_000
"""Partial spreads that are looked at for one after which every server left may die."""


def find_homes(
    guests: list[Guest], targets: list[Host], staying: Sequence[Guest] = ()
) -> dict[str, str]:
    """VM → server. Spread so that each of the servers left may die, and the one that is emptied
    with who stays there, if that was found; else if that holds all; else any packing of all; else
    what fits, by importance."""
    safe = _Safe([h.node.copy() for h in targets], staying).spread(bundle(guests))
    if safe is not None:
        return safe
    spread = _spread(guests, targets)
    if len(spread) == len(guests):
        return spread
    return pack(guests, [h.node for h in targets]) or spread


class _Safe:
    """The freest server first, and back again where a server left may not die any more."""

    def __init__(self, nodes: list[Node], staying: Sequence[Guest]) -> None:
        self.nodes = nodes
        self.staying = staying
        self.tries = 0

    def spread(self, items: list[Item]) -> dict[str, str] | None:
        if len(self.nodes) < 2 or verdict(self.nodes) is not Verdict.SURVIVABLE:
            return None
        if not items:
            return {} if pack(self.staying, self.nodes) is not None else None
        item, *rest = items
        for node in sorted(self.nodes, key=lambda n: freedom(n, item)):
            if self.tries == SAFE_TRIES:
                return None
            if has_room(node, item):
                self.tries += 1
                undo = [(guest, _added(node, guest)) for guest in item.guests]
                found = self.spread(rest)
                if found is not None:
                    return found | {guest.name: node.name for guest in item.guests}
                for guest, sums in reversed(undo):
                    node.undo(guest, sums)
        return None


def _added(node: Node, guest: Guest) -> int:
    """Its sums before."""
    sums = node.sums
    node.add(guest)
    return sums


def has_room(node: Node, item: Item) -> bool:
    return item.memory <= node.free and item.vcpus <= node.cpus_free and item.suits(node)


def freedom(node: Node, item: Item) -> tuple[float, str]:
    """The lower the freer it is with the item."""
    return -(node.free - item.memory) / max(1, node.room), node.name


def _spread(guests: list[Guest], targets: list[Host]) -> dict[str, str]:
    """Each, with those it stays with, on the freest server that takes it."""
    nodes = [h.node.copy() for h in targets]
    found: dict[str, str] = {}
    for item in bundle(guests):
        fitting = [n for n in nodes if has_room(n, item)]
        if fitting:
            best = min(fitting, key=lambda n: freedom(n, item))
            for guest in item.guests:
                best.add(guest)
                found[guest.name] = best.name
    return found


def why_stranded(guest: Guest, room: Room, source: Host, targets: list[Host]) -> str:
    if len(room.hosts) == 1:
        return f"{source.name} stands alone: there is no server to move it to"
    if not targets:
        return f"no other server of {room.name} is online and sound"
    whys = [
        f"{h.name}: {h.refuses(Item.of([guest])) or 'taken by more important VMs'}" for h in targets
    ]
    return ", ".join(whys)


def _move(world: World, guest: Guest, cluster: str, source: str, target: str) -> MigrateVm:
    seen = world.vms[guest.name]
    return MigrateVm(
        what=f"move {guest.name} from {source} to {target}",
        why=f"{source} is emptied",
        risk=Risk.SAFE if seen.state == "running" else Risk.DISRUPTS,
        vm=guest.name,
        vmid=seen.vmid,
        cluster=cluster,
        source=source,
        target=target,
    )


def _afterwards(
    guests: list[Guest],
    homes: dict[str, str],
    targets: list[Host],
    source: Host,
    strangers: list[Guest],
) -> tuple[str, ...]:
    """What the cluster is left with while the server is away, or keeps strangers' VMs."""
    nodes = {h.name: h.node.copy() for h in targets}
    for guest in guests:
        if guest.name in homes:
            nodes[homes[guest.name]].add(guest)
    if len(nodes) < 2:
        return ()
    said: list[str] = []
    if verdict(list(nodes.values())) is not Verdict.SURVIVABLE:
        said.append(f"one of {', '.join(nodes)}")
    if pack(strangers, list(nodes.values())) is None:
        names = ", ".join(g.name for g in strangers)
        said.append(f"{source.name}, which keeps {names},")
    return tuple(f"until it is back, the death of {who} cannot be survived in full" for who in said)
