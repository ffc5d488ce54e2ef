"""Which hosts of formed clusters have another network than the inventory says. Pure."""

from collections.abc import Collection

from metal.model.fleet import Inventory
from metal.model.life import Life
from metal.model.links import Port, differences
from metal.model.plan import Risk, SetNetwork
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


def wanted_ports(inventory: Inventory, server: str) -> tuple[Port, ...]:
    """A host's interfaces, by what the inventory says its cards carry."""
    roles = host_ports(inventory.places(server, inventory.links(server)))
    return tuple(port for ports in roles.values() for port in ports)
