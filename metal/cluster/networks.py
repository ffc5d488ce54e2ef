"""Which hosts of formed clusters have another network than the inventory says. Pure."""

from collections.abc import Collection, Iterator

from metal.model.fleet import Inventory
from metal.model.life import Life
from metal.model.links import Port, differences, is_plain
from metal.model.plan import Risk, SetNetwork, SetRings
from metal.model.world import SeenCluster, SeenServer, World
from metal.network.engines.hosts import host_ports


def plan_networks(
    inventory: Inventory, world: World, but: Collection[str] = ()
) -> list[SetNetwork]:
    """One host of a cluster after the other: none is begun before the one before it is done.

    `but`: clusters that are being formed, and get their networks with that."""
    actions: list[SetNetwork] = []
    for name in inventory.clusters:
        seen = world.clusters.get(name, SeenCluster())
        before: tuple[str, ...] = ()
        for server in inventory.clusters[name].servers:
            life = world.servers.get(server, SeenServer()).life
            if name in but or life is not Life.MEMBER or server not in seen.networks:
                continue
            if not inventory.links(server):
                continue  # what is wanted instead nobody said: `left_networks` tells
            found = differences(seen.networks[server], wanted_ports(inventory, server))
            if found:
                actions.append(
                    SetNetwork(
                        server=server,
                        cluster=name,
                        what=f"change the network of {server}, and back if it is lost by that",
                        why=f"by the inventory {'; '.join(found)}",
                        risk=Risk.DISRUPTS,
                        needs=before,
                    )
                )
                before = (actions[-1].id,)
    return actions


def left_networks(inventory: Inventory, world: World) -> Iterator[str]:
    """Hosts whose cards had links once, of which the inventory says nothing any more."""
    for name in inventory.clusters:
        for server, ports in world.clusters.get(name, SeenCluster()).networks.items():
            if not inventory.links(server) and not is_plain(ports):
                yield (
                    f"{server} has no `links` in inventory.toml any more, and keeps the network "
                    "that they gave it: write them back, or write how its cards are to be now"
                )


def plan_rings(
    inventory: Inventory, world: World, but: Collection[str], networks: Collection[SetNetwork]
) -> list[SetRings]:
    """Corosync's links, where each server's cards are told; after its hosts' `networks`."""
    actions = []
    for name, cluster in inventory.clusters.items():
        seen = world.clusters.get(name, SeenCluster()).rings
        told = {s for s in cluster.servers if inventory.links(s)}
        if name in but or not seen or seen.keys() != told:
            continue
        wanted = {server: wanted_rings(inventory, server) for server in seen}
        if any(set(seen[server]) != set(wanted[server]) for server in seen):
            words = "; ".join(
                f"{s} has {' and '.join(seen[s])}, is to have {' and '.join(wanted[s])}"
                for s in sorted(seen)
                if set(seen[s]) != set(wanted[s])
            )
            actions.append(
                SetRings(
                    cluster=name,
                    rings=wanted,
                    what=f"change corosync's links of {name}, and back if one gets not through",
                    why=f"by the inventory {words}",
                    risk=Risk.DISRUPTS,
                    needs=tuple(a.id for a in networks if a.cluster == name),
                )
            )
    return actions


def wanted_rings(inventory: Inventory, server: str) -> tuple[str, ...]:
    """Corosync's own network first, management if that fails."""
    places = inventory.places(server, inventory.links(server))
    own = (str(places["corosync"].address.ip),) if "corosync" in places else ()
    return (*own, str(inventory.servers[server].address))


def wanted_ports(inventory: Inventory, server: str) -> tuple[Port, ...]:
    """A host's interfaces, by what the inventory says its cards carry."""
    roles = host_ports(inventory.places(server, inventory.links(server)))
    return tuple(port for ports in roles.values() for port in ports)
