"""Laws over the plan as a document: ids, needs, names."""

from collections import Counter
from collections.abc import Iterator

from metal.model.fleet import Inventory
from metal.model.laws.breach import Breach
from metal.model.plan import (
    DescribeVm,
    DrainServer,
    FormCluster,
    InstallServer,
    MigrateVm,
    PlaceVm,
    Plan,
    RecoverServer,
    SetNetwork,
    SetRings,
    StartVm,
    TellHa,
)
from metal.model.world import World


def order_laws(plan: Plan) -> Iterator[Breach]:
    """Every id once; needs refer to actions of the plan, and never in a circle."""
    for name, times in Counter(a.id for a in plan.actions).items():
        if times > 1:
            yield Breach(law="once", subject=name, what=f"is in the plan {times} times")
    needs = {a.id: set(a.needs) for a in plan.actions}
    for name, wanted in needs.items():
        for missing in sorted(wanted - needs.keys()):
            yield Breach(law="needs", subject=name, what=f"needs {missing}, which is not planned")
    for name in sorted(_in_circles(needs)):
        yield Breach(law="needs", subject=name, what="needs itself, directly or through others")


def _in_circles(needs: dict[str, set[str]]) -> set[str]:
    """What can never start: take away what needs nothing (left) until nothing more goes."""
    left = {name: wanted & needs.keys() for name, wanted in needs.items()}
    while free := {name for name, wanted in left.items() if not wanted}:
        left = {name: wanted - free for name, wanted in left.items() if name not in free}
    return set(left)


def before(plan: Plan) -> dict[str, set[str]]:
    """id → ids of everything that is done before it."""
    needs = {a.id: set(a.needs) for a in plan.actions}
    reach: dict[str, set[str]] = {}
    for start in needs:
        seen: set[str] = set()
        edge = set(needs[start])
        while edge:
            seen |= edge
            edge = {n for e in edge for n in needs.get(e, ())} - seen
        reach[start] = seen
    return reach


def known_names(plan: Plan, inventory: Inventory, world: World) -> Iterator[Breach]:
    """Servers, clusters and VMs of the plan exist, and servers belong to the cluster named."""
    for action in plan.actions:
        servers: tuple[str, ...] = ()
        cluster: str | None = None
        vms: tuple[str, ...] = ()
        match action:
            case InstallServer(server=server):
                servers = (server,)
            case FormCluster(cluster=cluster, servers=servers):
                pass
            case SetNetwork(cluster=cluster, server=server):
                servers = (server,)
            case SetRings(cluster=cluster, rings=rings):
                servers = tuple(rings)
            case TellHa(cluster=cluster, wishes=wishes):
                servers = tuple(s for nodes in wishes.home.values() for s in nodes)
                yield from _strangers(action, world)
            case PlaceVm(vm=vm, cluster=cluster, server=server):
                servers = (server,)
                if vm not in inventory.vms:
                    yield _unknown(action.id, f"VM {vm} is not in the inventory")
            case StartVm() | DescribeVm():
                vm, cluster, server = action.vm, action.cluster, action.server
                servers, vms = (server,), (vm,)
            case MigrateVm(vm=vm, cluster=cluster, source=source, target=target):
                servers, vms = (source, target), (vm,)
            case DrainServer(server=server, cluster=cluster, moves=moves):
                servers = (server, *(m.target for m in moves))
                vms = tuple(m.vm for m in moves)
            case RecoverServer(server=server, cluster=cluster, vms=died, restarts=restarts):
                # What ran on a dead node may be known from an earlier look only.
                servers = (server, *(r.target for r in (restarts.planned if restarts else ())))
                vms = tuple(vm for vm in died if vm not in inventory.vms)
        yield from _check(action.id, servers, cluster, inventory)
        for vm in vms:
            if vm not in world.vms:
                yield _unknown(action.id, f"VM {vm} was not seen anywhere")


def _check(
    action: str, servers: tuple[str, ...], cluster: str | None, inventory: Inventory
) -> Iterator[Breach]:
    if cluster is not None and cluster not in inventory.clusters:
        yield _unknown(action, f"cluster {cluster} is not in the inventory")
        return
    for server in servers:
        if server not in inventory.servers:
            yield _unknown(action, f"server {server} is not in the inventory")
        elif cluster is not None and server not in inventory.clusters[cluster].servers:
            yield _unknown(action, f"server {server} is not in cluster {cluster}")


def _strangers(action: TellHa, world: World) -> Iterator[Breach]:
    """HA is told of VMs that are in its cluster."""
    here = {vm.vmid for vm in world.vms.values() if vm.cluster == action.cluster}
    wishes = action.wishes
    sets = (*wishes.apart.values(), *wishes.together.values(), wishes.home)
    for vmid in sorted({vmid for ids in sets for vmid in ids} - here):
        yield _unknown(action.id, f"VM {vmid} is not in cluster {action.cluster}")


def _unknown(action: str, what: str) -> Breach:
    return Breach(law="known", subject=action, what=what)
