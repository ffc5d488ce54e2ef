"""The world once a plan was carried out: what the proof of a plan and a plan of a plan look at."""

from metal.model.fleet import Inventory
from metal.model.ha import after_changes, rule_changes
from metal.model.life import Life
from metal.model.plan import (
    DescribeVm,
    DrainServer,
    FormCluster,
    InstallServer,
    MigrateVm,
    PlaceVm,
    Plan,
    SetNetwork,
    SetRings,
    StartVm,
    TellHa,
)
from metal.model.world import SeenCluster, SeenHa, SeenServer, SeenVm, World


def carried_out(inventory: Inventory, world: World, plan: Plan) -> World:
    """The world as it will be if every action of the plan succeeds."""
    servers, clusters, vms = dict(world.servers), dict(world.clusters), dict(world.vms)
    for action in plan.actions:
        match action:
            case InstallServer():
                servers[action.server] = _up(servers, action.server, Life.INSTALLED)
            case FormCluster():
                members = tuple(dict.fromkeys((*_nodes(clusters, action.cluster), *action.servers)))
                clusters[action.cluster] = SeenCluster(formed=True, quorate=True, nodes=members)
                for server in action.servers:
                    servers[server] = _up(servers, server, Life.MEMBER)
            case SetNetwork():
                clusters[action.cluster] = _without(clusters[action.cluster], action.server)
            case SetRings():
                clusters[action.cluster] = clusters[action.cluster].model_copy(
                    update={"rings": action.rings}
                )
            case TellHa():
                clusters[action.cluster] = _told(clusters[action.cluster], action)
            case PlaceVm():
                vms[action.vm] = _placed(action)
            case StartVm():
                vms[action.vm] = vms[action.vm].model_copy(update={"state": "running"})
            case DescribeVm():
                known = {"shared": action.addressing.shared}
                vms[action.vm] = vms[action.vm].model_copy(update=known)
            case MigrateVm():
                vms[action.vm] = _moved(vms[action.vm], action)
            case DrainServer():
                vms |= {m.vm: _moved(vms[m.vm], m) for m in action.moves}
                drained = servers[action.server].model_copy(update={"life": Life.DRAINING})
                servers[action.server] = drained
    return world.model_copy(update={"servers": servers, "clusters": clusters, "vms": vms})


def _nodes(clusters: dict[str, SeenCluster], cluster: str) -> tuple[str, ...]:
    return clusters[cluster].nodes if cluster in clusters else ()


def _up(servers: dict[str, SeenServer], server: str, life: Life) -> SeenServer:
    seen = servers.get(server, SeenServer())
    return seen.model_copy(update={"life": life, "power": "on", "node": "online"})


def _placed(action: PlaceVm) -> SeenVm:
    has = action.addressing
    return SeenVm(
        vmid=action.vmid,
        cluster=action.cluster,
        server=action.server,
        state="running",
        addresses=tuple(a for a in (has.private_ipv4, has.public_ipv4, has.ipv6) if a),
        shared=has.shared,
        memory_mib=action.memory_mib,
    )


def _without(seen: SeenCluster, server: str) -> SeenCluster:
    """Its network is what was wanted, and is not looked at again."""
    left = {name: ports for name, ports in seen.networks.items() if name != server}
    return seen.model_copy(update={"networks": left})


def _told(seen: SeenCluster, action: TellHa) -> SeenCluster:
    ha = seen.ha or SeenHa()
    return seen.model_copy(update={"ha": after_changes(ha, rule_changes(ha, action.wishes))})


def _moved(seen: SeenVm, action: MigrateVm) -> SeenVm:
    return seen.model_copy(update={"server": action.target})
